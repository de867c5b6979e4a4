"""The figures, as SVG; each shows the control beside the gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dejavu.files import atomic
from dejavu.memorization.verdicts import METRIC_NAMES
from dejavu.report.queries import Queries
from dejavu.report.summary import ONE_MODEL
from dejavu.report.tradeoff import drawn_front, tradeoff

GAP, CONTROL = "#c2410c", "#64748b"
SIDE_COLORS = {"a": "#1d4ed8", "b": "#b45309"}
SORT_NAMES = {
    "nearest": "closest public image first",
    "correct": "most correct objects first",
    "gap": "largest gap first",
}
POPULATION_NAMES = {"a": "role a, which a saw", "b": "role b, which b saw", "holdout": "holdout, which none saw"}
ONE_MODEL_NAMES = POPULATION_NAMES | {"b": "role b, which none saw"}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "vlm-dejavu",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def draw_figures(queries: Queries, paths: Mapping[str, Path]) -> None:
    """Draws the figures whose names are the keys of ``paths``; each name has its maker below."""
    makers: dict[str, Callable[[Queries], Figure]] = {
        "gaps": _gaps,
        "top_l": _top_l,
        "attacks": _attacks,
        "recall_curves": _recall_curves,
        "epochs": _epochs,
        "tradeoff": _tradeoff,
        "training": _training,
    }
    with plt.rc_context(STYLE):
        for name, path in paths.items():
            figure = makers[name](queries)
            with atomic(path) as temporary:
                figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)


def _gaps(queries: Queries) -> Figure:
    """Symmetric gaps with their controls, by metric; one line per model, scope and query."""
    rows = queries.rows("result_table")
    labels = list(dict.fromkeys((row["model"], row["scope"], row["query"]) for row in rows))
    figure, axes = figure_grid(1, len(METRIC_NAMES), width=3.4, height=0.9 + 0.42 * len(labels), sharey=True)
    for axis, (metric, name) in zip(axes[0], METRIC_NAMES.items(), strict=True):
        for row in (row for row in rows if row["metric"] == metric):
            y = len(labels) - 1 - labels.index((row["model"], row["scope"], row["query"]))
            _point(axis, y + 0.12, row["value"], row["band_low"], row["band_high"], GAP, filled=True)
            control = (row["control_value"], row["control_band_low"], row["control_band_high"])
            _point(axis, y - 0.12, *control, CONTROL, filled=False)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(name)
        ticks = [f"{model}, {query}\n{scope} objects" for model, scope, query in reversed(labels)]
        axis.set_yticks(range(len(labels)), ticks)
        axis.set_ylim(-0.5, len(labels) - 0.5)
        axis.set_xlabel("gap, with simultaneous 95 % band")
    axes[0][0].plot([], [], "o", color=GAP, label="symmetric gap: (a − b) / 2")
    axes[0][0].plot(
        [], [], "o", color=CONTROL, markerfacecolor="white", label="control: the gap where nothing was seen"
    )
    figure.legend(loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))
    return figure


def _point(
    axis: Axes, y: float, value: float, low: float | None, high: float | None, color: str, *, filled: bool
) -> None:
    if value is None or low is None or high is None:
        return
    axis.plot([low, high], [y, y], color=color, linewidth=1.5)
    axis.plot([value], [y], "o", color=color, markerfacecolor=color if filled else "white", markersize=5)


def _top_l(queries: Queries) -> Figure:
    """Recall gap of the first L queries by fraction, one row per model, one column per order, with its control."""
    rows = [row for row in queries.rows("top_l") if row["unit"] == "fraction"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = figure_grid(max(1, len(models)), len(SORT_NAMES), width=3.2, height=2.3, sharex=True, sharey="row")
    shown = {
        "gap": (GAP, "o-", "gap: side that was trained on the query"),
        "control": (CONTROL, "o--", "control: the holdout"),
    }
    for i, model in enumerate(models):
        for j, (sort, name) in enumerate(SORT_NAMES.items()):
            axis = axes[i][j]
            for kind, (color, style, label) in shown.items():
                points = [r for r in rows if (r["model"], r["sort"], r["shown_as"]) == (model, sort, kind)]
                face = color if kind == "gap" else "white"
                xs, ys = [100 * p["l"] for p in points], [p["recall_gap"] for p in points]
                axis.plot(xs, ys, style, color=color, markerfacecolor=face, label=label)
                low, high = ([p[end] for p in points] for end in ("recall_gap_low", "recall_gap_high"))
                axis.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
            axis.axhline(0, color="black", linewidth=0.8)
            axis.set_title(f"{model}: {name}" if j == 0 else name)
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            if j == 0:
                axis.set_ylabel("recall gap")
            if i == len(models) - 1:
                axis.set_xlabel("first L % of the queries")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))
    return figure


ATTACK_PANELS = {
    ("csa", "roc_auc"): ("CSA: ROC AUC", 0.5),
    ("clipmem", "mean"): ("CLIPMem: mean", 0.0),
    ("csa", "spearman_gap"): ("CSA against the déjà vu gap:\nrank correlation", 0.0),
    ("clipmem", "spearman_gap"): ("CLIPMem against the déjà vu gap:\nrank correlation", 0.0),
}


def _attacks(queries: Queries) -> Figure:
    """Other attacks on every side with their nulls."""
    rows = queries.rows("attacks")
    sides = list(dict.fromkeys((row["model"], row["side"]) for row in sorted(rows, key=lambda r: r["model"])))
    figure, axes = figure_grid(1, len(ATTACK_PANELS), width=2.8, height=1.2 + 0.32 * len(sides), sharey=True)
    for axis, (panel, (name, chance)) in zip(axes[0], ATTACK_PANELS.items(), strict=True):
        for row in (row for row in rows if (row["attack"], row["metric"]) == panel):
            y = len(sides) - 1 - sides.index((row["model"], row["side"]))
            _point(axis, y + 0.12, row["value"], row["ci_low"], row["ci_high"], GAP, filled=True)
            _point(axis, y - 0.12, row["control_value"], row["control_low"], row["control_high"], CONTROL, filled=False)
        axis.axvline(chance, color="black", linewidth=0.8)
        axis.set_title(name)
        axis.set_yticks(range(len(sides)), [f"{model} {side}" for model, side in reversed(sides)])
        axis.set_ylim(-0.5, max(0, len(sides) - 1) + 0.5)
        axis.set_xlabel("with 95 % interval")
    axes[0][0].plot([], [], "o", color=GAP, label="training role")
    axes[0][0].plot([], [], "o", color=CONTROL, markerfacecolor="white", label="null: where nothing was seen")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))
    return figure


def _recall_curves(queries: Queries) -> Figure:
    """Share of the queries with at least a recall, both sides; the area between the curves is AUCG."""
    rows = queries.rows("recall_curves")
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = figure_grid(
        max(1, len(models)), len(POPULATION_NAMES), width=3.2, height=2.4, sharex=True, sharey=True
    )
    for i, model in enumerate(models):
        one_model = any(row["reference"] == ONE_MODEL for row in rows if row["model"] == model)
        for j, (population, name) in enumerate((ONE_MODEL_NAMES if one_model else POPULATION_NAMES).items()):
            axis = axes[i][j]
            for side, color in SIDE_COLORS.items():
                points = [r for r in rows if (r["model"], r["population"], r["side"]) == (model, population, side)]
                xs = [0.0, *(p["recall"] for p in points), 1.0]
                ys = [
                    1.0,
                    *(p["share_at_least"] for p in points),
                    points[-1]["share_at_least"] if points and points[-1]["recall"] >= 1 else 0.0,
                ]
                axis.step(xs, ys, where="pre", color=color, label=f"side {side}")
            axis.set_title(f"{model}: {name}")
            if i == len(models) - 1:
                axis.set_xlabel("recall r")
            if j == 0:
                axis.set_ylabel("share of queries\nwith recall ≥ r")
    axes[0][0].legend()
    return figure


def _epochs(queries: Queries) -> Figure:
    """Gap, control and utility at every checkpoint that was measured, one line per model."""
    rows = queries.rows("points")
    figure, axes = figure_grid(1, len(METRIC_NAMES) + 1, width=3.1, height=2.9)
    colors = plt.get_cmap("tab10")
    for number, model in enumerate(dict.fromkeys(row["model"] for row in rows)):
        color = colors(number % 10)
        for axis, metric in zip(axes[0], METRIC_NAMES, strict=False):
            points = [row for row in rows if (row["model"], row["metric"]) == (model, metric)]
            at = [row["epoch"] for row in points]
            bars = [interval_bars(row["gap"], row["ci_low"], row["ci_high"]) for row in points]
            values = [row["gap"] for row in points]
            axis.errorbar(at, values, yerr=list(zip(*bars, strict=True)), fmt="o-", color=color, capsize=3, label=model)
            controls = [row["control_value"] for row in points]
            axis.plot(at, controls, "o--", color=color, markerfacecolor="white", label=f"{model}, control")
        useful = [row for row in rows if (row["model"], row["metric"]) == (model, "ppg")]
        ys = [np.nan if row["recall_at_10"] is None else 100 * row["recall_at_10"] for row in useful]
        axes[0][-1].plot([row["epoch"] for row in useful], ys, "o-", color=color)
    for axis, name in zip(axes[0], [*METRIC_NAMES.values(), "holdout recall@10, %"], strict=True):
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.axhline(0, color="black", linewidth=0.8)
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0))
    return figure


def _tradeoff(queries: Queries) -> Figure:
    """Gap against utility, one point per model with its intervals, and the control at the same utility."""
    figure, axes = figure_grid(1, 1, width=5.2, height=3.4)
    axis = axes[0][0]
    rows = tradeoff(queries)
    for row in rows:
        x = 100 * row["recall_at_10"]
        bars = [[end] for end in interval_bars(row["gap"], row["band_low"], row["band_high"])]
        ends = [100 * row[end] if row[end] is not None else None for end in ("recall_low", "recall_high")]
        across = [[end] for end in interval_bars(x, *ends)]
        marker = "D" if row["reference"] == ONE_MODEL else "o"
        axis.errorbar(x, row["gap"], yerr=bars, xerr=across, fmt=marker, color=GAP, capsize=3)
        axis.errorbar(
            x,
            row["control_value"],
            yerr=[[end] for end in interval_bars(row["control_value"], row["control_low"], row["control_high"])],
            fmt="o",
            color=CONTROL,
            markerfacecolor="white",
            capsize=3,
        )
        axis.annotate(row["model"], (x, row["gap"]), xytext=(7, 4), textcoords="offset points")
    two_models = [row for row in rows if row["reference"] != ONE_MODEL]
    draw_front(axis, [(100 * row["recall_at_10"], row["gap"], row["front_share"]) for row in two_models])
    axis.plot([], [], "o", color=GAP, label="symmetric PPG of the strongest query")
    if len(two_models) < len(rows):
        axis.plot([], [], "D", color=GAP, label="symmetric PPG of a one-model test: about half as large")
    axis.plot([], [], "o", color=CONTROL, markerfacecolor="white", label="its control: the gap where nothing was seen")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.25, y=0.15)
    axis.set_xlabel("utility: recall@10 of holdout retrieval, %, with 95 % interval")
    axis.set_ylabel("population precision gap")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))
    return figure


def draw_front(axis: Axes, points: Sequence[tuple[float, float, float | None]]) -> None:
    """A dotted line through the points (utility, gap, share of the draws) on the Pareto front in most draws."""
    best = drawn_front(points)
    label = "on the front of these points in at least half of the draws"
    axis.plot(*zip(*best, strict=True) if best else ([], []), color=GAP, linestyle=":", label=label)


def interval_bars(value: float | None, low: float | None, high: float | None) -> tuple[float, float]:
    """How far an interval reaches below and above a value; not at all where there is none."""
    if value is None or low is None or high is None:
        return 0.0, 0.0
    return max(0.0, value - low), max(0.0, high - value)


def _training(queries: Queries) -> Figure:
    """Loss, temperature and learning rate over the samples seen."""
    rows = queries.rows("training")
    runs = list(dict.fromkeys((row["model"], row["side"]) for row in rows))
    models = list(dict.fromkeys(model for model, _ in runs))
    panels = {"loss": "contrastive loss", "logit_scale": "logit scale", "learning_rate": "learning rate"}
    figure, axes = figure_grid(1, len(panels), width=3.4, height=2.6)
    colors = plt.get_cmap("tab10")
    for axis, (column, name) in zip(axes[0], panels.items(), strict=True):
        for model, side in runs:
            points = [row for row in rows if (row["model"], row["side"]) == (model, side)]
            axis.plot(
                [p["samples_seen"] for p in points],
                [p[column] for p in points],
                color=colors(models.index(model) % 10),
                linestyle="-" if side == "a" else "--",
                linewidth=1.2,
                label=f"{model} {side}",
            )
        axis.set_title(name)
        axis.set_xlabel("samples seen")
    if any(row["loss"] > 0 for row in rows):
        axes[0][0].set_yscale("log")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=min(6, len(runs)), bbox_to_anchor=(0.5, 1.0)
    )
    return figure


def figure_grid(
    rows: int, columns: int, *, width: float, height: float, **shared: Any
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained", **shared
    )
    return figure, axes
