"""The figures of a study: gap, control and utility along the axis, and gap against utility."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.report.drawing import CONTROL, GAP, STYLE, draw_front, draw_legend, interval_bars, panels, save
from dejavu.report.study import Study
from dejavu.tables.queries import CAPTION

AXIS_NAMES = {
    "text_mask": "share of the caption hidden",
    "caption_dropout": "share of the captions left out",
    "training_set_size": "samples in each of the roles a and b",
    "public_set_size": "public images that are searched",
    "shared_set_size": "samples that both sides are trained on",
    "samples_seen": "samples seen in training",
    "checkpoint": "samples seen, in one training",
    "deduplicate": "one sample of each duplicate group",
}
# The axis is logarithmic where the largest value is more than this many times the smallest.
LOG_SPAN = 20


def draw_study(study: Study, along: Path, tradeoff: Path) -> None:
    """Draw gap, control and utility along the axis, and gap against utility."""
    with plt.rc_context(STYLE):
        save(_along(study), along)
        save(_tradeoff(study), tradeoff)


def _along(study: Study) -> Figure:
    useful = _utility_panels(study)
    figure, axes = panels(1, len(METRIC_NAMES) + len(useful), width=2.9, height=2.9)
    xs, ticks = _places(study)
    for axis, (metric, name) in zip(axes[0], METRIC_NAMES.items(), strict=False):
        _gap_lines(axis, study, metric, xs)
        axis.set_title(name)
    for axis, (title, metrics) in zip(axes[0][len(METRIC_NAMES) :], useful.items(), strict=True):
        _utility_lines(axis, study, metrics, xs)
        axis.set_title(title)
    for axis in axes[0]:
        _x_axis(axis, study, xs, ticks)
    draw_legend(figure, axes[0][0], columns=3)
    return figure


def _gap_lines(axis: Axes, study: Study, metric: str, xs: Sequence[float]) -> None:
    """Draw the gaps of one metric and their controls, and the noise of training behind them."""
    rows = study.of(metric)
    noise = study.noise.get((CAPTION, "all", metric))
    if noise is not None and noise["spread"] is not None:
        _noise(axis, study, xs, rows, noise)
    at = [xs[row["place"]] for row in rows]
    line = "none" if study.axis == "seed" else "-"
    for prefix, color, label in (("gap", GAP, "symmetric gap"), ("control_value", CONTROL, "control")):
        ends = ("ci_low", "ci_high") if prefix == "gap" else ("control_low", "control_high")
        values = [row[prefix] for row in rows]
        bars = np.array([interval_bars(row[prefix], *(row[end] for end in ends)) for row in rows]).reshape(-1, 2).T
        (markers, *_) = axis.errorbar(
            at, values, yerr=bars, fmt="o", linestyle=line, color=color, capsize=3, label=label
        )
        markers.set_markerfacecolor(color if prefix == "gap" else "white")
    axis.axhline(0, color="black", linewidth=0.8)


def _places(study: Study) -> tuple[list[float], list[str] | None]:
    """Return the points' positions on the axis, and the labels of the ticks where the values are not numbers."""
    values = [json.loads(value) for value in study.values]
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if numbers and study.axis != "seed":
        return [float(value) for value in values], None
    names = [Path(value).stem if isinstance(value, str) else json.dumps(value) for value in values]
    return [float(place) for place in range(len(values))], names


def _x_axis(axis: Axes, study: Study, xs: Sequence[float], ticks: Sequence[str] | None) -> None:
    axis.set_xlabel(AXIS_NAMES.get(study.axis, study.axis.replace("_", " ")))
    if ticks is not None:
        axis.set_xticks(xs, ticks)
    elif min(xs) > 0 and max(xs) > LOG_SPAN * min(xs):
        axis.set_xscale("log")
    axis.margins(x=0.08)


def _noise(axis: Axes, study: Study, xs: Sequence[float], rows: Sequence[dict], noise: Mapping) -> None:
    """Draw the noise of training as a band of ± two standard deviations over seeds.

    The band is around every point; in a study of seeds it is around the mean of the points.
    """
    width = 2 * noise["spread"]
    label = "± 2 standard deviations over seeds, of the model without changes"
    if study.axis == "seed":
        axis.axhspan(noise["mean"] - width, noise["mean"] + width, color=GAP, alpha=0.12, linewidth=0, label=label)
        return
    at = [xs[row["place"]] for row in rows]
    gaps = np.array([row["gap"] for row in rows], dtype=float)
    axis.fill_between(at, gaps - width, gaps + width, color=GAP, alpha=0.12, linewidth=0, label=label)


def _utility_panels(study: Study) -> dict[str, list[str]]:
    """Return title of a panel -> the metrics of utility in this panel."""
    metrics = list(dict.fromkeys(row["metric"] for row in study.utility))
    titles = {
        "holdout retrieval, recall@10, %": [m for m in metrics if m.endswith("_recall@10")],
        "benchmarks, accuracy@1, %": [m for m in metrics if m.endswith("_accuracy@1") and "_mean_class_" not in m],
    }
    return {title: shown for title, shown in titles.items() if shown}


def _utility_lines(axis: Axes, study: Study, metrics: Sequence[str], xs: Sequence[float]) -> None:
    for metric in metrics:
        rows = [row for row in study.utility if row["metric"] == metric]
        at = [xs[row["place"]] for row in rows]
        values = [100 * row["utility"] for row in rows]
        bars = np.array([_utility_bars(row) for row in rows]).reshape(-1, 2).T
        line = "none" if study.axis == "seed" else "-"
        name = metric.split("_recall@")[0].split("_accuracy@")[0].replace("_", " ")
        axis.errorbar(at, values, yerr=bars, fmt="o", linestyle=line, markersize=4, capsize=3, label=name)
    axis.margins(y=0.15)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)


def _utility_bars(row: Mapping) -> tuple[float, float]:
    """Return how far the interval of a share reaches below and above it, in percentage points."""
    below, above = interval_bars(row["utility"], row["ci_low"], row["ci_high"])
    return 100 * below, 100 * above


def _tradeoff(study: Study) -> Figure:
    """Draw the symmetric PPG of the strongest query against recall@10, with the Pareto front."""
    figure, axes = panels(1, 1, width=5.2, height=3.4)
    axis = axes[0][0]
    pairs = [(study.useful(row["place"]), row) for row in study.strongest()]
    known = [(100 * useful["utility"], useful, row) for useful, row in pairs if useful is not None]
    for x, useful, row in known:
        bars = [[end] for end in interval_bars(row["gap"], row["ci_low"], row["ci_high"])]
        across = [[end] for end in _utility_bars(useful)]
        axis.errorbar(x, row["gap"], yerr=bars, xerr=across, fmt="o", color=GAP, capsize=3)
        axis.plot(x, row["control_value"], "o", color=CONTROL, markerfacecolor="white")
        axis.annotate(json.loads(row["value"]), (x, row["gap"]), xytext=(7, 4), textcoords="offset points")
    draw_front(axis, [(x, row["gap"], study.fronts.get(row["place"])) for x, _, row in known])
    axis.plot([], [], "o", color=GAP, label="symmetric PPG of the strongest query, with 95 % interval")
    axis.plot([], [], "o", color=CONTROL, markerfacecolor="white", label="its control")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.2, y=0.15)
    axis.set_xlabel("utility: recall@10 of holdout retrieval, %, with 95 % interval")
    axis.set_ylabel("population precision gap")
    draw_legend(figure, axis, fontsize=8)
    return figure
