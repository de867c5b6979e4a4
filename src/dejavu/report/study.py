"""The report of a study: gap, control and utility along one axis, and one against the other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dejavu.files import atomic, write_text
from dejavu.memorization.verdicts import METRIC_NAMES
from dejavu.report.figures import CONTROL, GAP, STYLE, figure_grid, front, interval_bars
from dejavu.report.queries import Queries
from dejavu.report.site import environment
from dejavu.report.summary import band, number
from dejavu.tables.queries import CAPTION

AXIS_NAMES = {
    "text_mask": "share of the caption hidden",
    "caption_dropout": "share of the captions left out",
    "training_set_size": "training pairs per side",
    "public_set_size": "public images that are searched",
    "samples_seen": "samples seen in training",
    "checkpoint": "samples seen, in one training",
    "deduplicate": "one sample of each duplicate group",
}
# where the largest value is more than this many times the smallest, the axis is logarithmic
LOG_SPAN = 20


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes:
        name, axis: of the configuration.
        model, split: what it varies.
        values: one for each point, as JSON.
        gaps: rows of ``study.sql`` with their change since the first point, by place, scope and metric.
        utility: rows of ``study_utility.sql``, by place.
        noise: (query, scope, metric) -> row of ``seed_spread.sql``, where a study of seeds was run for the same model.
        draws: number of permutations that p-values were counted over.
    """

    name: str
    axis: str
    model: str
    split: str
    values: Sequence[str]
    gaps: Sequence[dict]
    utility: Sequence[dict]
    noise: Mapping[tuple[str, str, str], dict]
    draws: int

    def of(self, metric: str) -> list[dict]:
        """The gaps of one metric over all objects, asked with the caption, by place."""
        return [row for row in self.gaps if (row["query"], row["scope"], row["metric"]) == (CAPTION, "all", metric)]

    def recall_at_10(self, place: int) -> float | None:
        """Holdout retrieval recall@10 at a point, mean over sides and directions."""
        found = [r["utility"] for r in self.utility if r["place"] == place and r["metric"].endswith("_recall@10")]
        return float(np.mean(found)) if found else None


def gather(name: str, studies: Mapping, databases: Mapping[str, Queries]) -> Study:
    """Reads a study from the databases of the splits that its points were measured in.

    Args:
        name: of the study.
        studies: of the configuration, expanded.
        databases: split -> its database; the study's own split is among them.
    """
    study = studies[name]
    found: dict[str, list[dict]] = {}
    for query in ("study", "study_draws", "study_utility"):
        rows = [{**row, "split": split} for split, base in databases.items() for row in base.rows(query)]
        found[query] = sorted((row for row in rows if row["study"] == name), key=lambda row: row["place"])
    same = {
        other
        for other, section in studies.items()
        if section["axis"] == "seed" and (section["model"], section["split"]) == (study["model"], study["split"])
    }
    spread = [row for row in databases[study["split"]].rows("seed_spread") if row["study"] in same]
    return Study(
        name=name,
        axis=study["axis"],
        model=study["model"],
        split=study["split"],
        values=[json.dumps(value) for value in study["values"]],
        gaps=list(_with_changes(found["study"], found["study_draws"])),
        utility=found["study_utility"],
        noise={(row["query"], row["scope"], row["metric"]): row for row in spread},
        draws=databases[study["split"]].config("measure.bootstrap"),
    )


def _with_changes(gaps: Sequence[dict], draws: Sequence[dict]) -> Iterator[dict]:
    """Adds the change since the first point, with its bootstrap interval where it could be resampled."""
    drawn = {(row["place"], row["query"], row["metric"]): row for row in draws}
    first = {(row["query"], row["scope"], row["metric"]): row for row in gaps if row["place"] == 0}
    for row in gaps:
        start = first.get((row["query"], row["scope"], row["metric"]))
        change: dict[str, float | None] = {"change": None, "change_low": None, "change_high": None}
        if start is not None and row["place"] > 0 and None not in (row["gap"], start["gap"]):
            change["change"] = row["gap"] - start["gap"]
            if row["scope"] == "all":
                cell = row["query"], row["metric"]
                ends = _interval(drawn.get((0, *cell)), drawn.get((row["place"], *cell)))
                change["change_low"], change["change_high"] = ends
        yield {**row, **change}


def _interval(one: dict | None, other: dict | None) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of a difference: in one split draw by draw, between two as if they were independent.

    Training sets of two splits lie in each other, so the latter is, if anything, too wide.
    """
    if one is None or other is None:
        return None, None
    before, after = (np.array(row["drawn"], dtype=float) for row in (one, other))
    if one["split"] != other["split"]:
        after = np.random.default_rng(0).permutation(after)
    low, high = np.quantile(after - before, [0.025, 0.975])
    return float(low), float(high)


# figures


def draw_study(study: Study, along: Path, tradeoff: Path) -> None:
    """Draws gap, control and utility along the axis, and gap against utility."""
    with plt.rc_context(STYLE):
        for figure, path in ((_along(study), along), (_tradeoff(study), tradeoff)):
            with atomic(path) as temporary:
                figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)


def _along(study: Study) -> Figure:
    panels = _utility_panels(study)
    figure, axes = figure_grid(1, len(METRIC_NAMES) + len(panels), width=2.9, height=2.9)
    xs, ticks = _places(study)
    for axis, (metric, name) in zip(axes[0], METRIC_NAMES.items(), strict=False):
        rows = study.of(metric)
        noise = study.noise.get((CAPTION, "all", metric))
        if noise is not None and noise["spread"] is not None:
            _noise(axis, study, xs, rows, noise)
        at = [xs[row["place"]] for row in rows]
        line = "none" if study.axis == "seed" else "-"
        for prefix, color, label in (("gap", GAP, "symmetric gap"), ("control_value", CONTROL, "control: holdout")):
            ends = ("ci_low", "ci_high") if prefix == "gap" else ("control_low", "control_high")
            values = [row[prefix] for row in rows]
            bars = np.array([interval_bars(row[prefix], *(row[end] for end in ends)) for row in rows]).reshape(-1, 2).T
            face = color if prefix == "gap" else "white"
            axis.errorbar(
                at,
                values,
                yerr=bars,
                fmt="o",
                linestyle=line,
                color=color,
                markerfacecolor=face,
                capsize=3,
                label=label,
            )
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_title(name)
    for axis, (title, metrics) in zip(axes[0][len(METRIC_NAMES) :], panels.items(), strict=True):
        _utility_lines(axis, study, metrics, xs)
        axis.set_title(title)
    for axis in axes[0]:
        _x_axis(axis, study, xs, ticks)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=3, bbox_to_anchor=(0.5, 1.0))
    return figure


def _places(study: Study) -> tuple[list[float], list[str] | None]:
    """Where the points lie on the axis, and their names where the values are no numbers."""
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
    """The noise of training: two standard deviations over seeds, around every point, or around their mean."""
    width = 2 * noise["spread"]
    label = "± 2 standard deviations over seeds, of the model without changes"
    if study.axis == "seed":
        axis.axhspan(noise["mean"] - width, noise["mean"] + width, color=GAP, alpha=0.12, linewidth=0, label=label)
        return
    at = [xs[row["place"]] for row in rows]
    gaps = np.array([row["gap"] for row in rows], dtype=float)
    axis.fill_between(at, gaps - width, gaps + width, color=GAP, alpha=0.12, linewidth=0, label=label)


def _utility_panels(study: Study) -> dict[str, list[str]]:
    """Title of a panel -> the metrics that it shows."""
    metrics = list(dict.fromkeys(row["metric"] for row in study.utility))
    panels = {
        "holdout retrieval, recall@10, %": [m for m in metrics if m.endswith("_recall@10")],
        "benchmarks, accuracy@1, %": [m for m in metrics if m.endswith("_accuracy@1") and "_mean_class_" not in m],
    }
    return {title: shown for title, shown in panels.items() if shown}


def _utility_lines(axis: Axes, study: Study, metrics: Sequence[str], xs: Sequence[float]) -> None:
    for metric in metrics:
        rows = [row for row in study.utility if row["metric"] == metric]
        at = [xs[row["place"]] for row in rows]
        values = [100 * row["utility"] for row in rows]
        ends = [interval_bars(100 * r["utility"], 100 * r["worse_side"], 100 * r["better_side"]) for r in rows]
        bars = np.array(ends).reshape(-1, 2).T
        line = "none" if study.axis == "seed" else "-"
        name = metric.split("_recall@")[0].split("_accuracy@")[0].replace("_", " ")
        axis.errorbar(at, values, yerr=bars, fmt="o", linestyle=line, markersize=4, capsize=3, label=name)
    axis.margins(y=0.15)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)


def _tradeoff(study: Study) -> Figure:
    """Symmetric PPG against recall@10, with the points that no other beats in both."""
    figure, axes = figure_grid(1, 1, width=5.2, height=3.4)
    axis = axes[0][0]
    points = [(study.recall_at_10(row["place"]), row) for row in study.of("ppg")]
    known = [(100 * useful, row) for useful, row in points if useful is not None and row["gap"] is not None]
    for x, row in known:
        bars = [[end] for end in interval_bars(row["gap"], row["ci_low"], row["ci_high"])]
        axis.errorbar(x, row["gap"], yerr=bars, fmt="o", color=GAP, capsize=3)
        axis.plot(x, row["control_value"], "o", color=CONTROL, markerfacecolor="white")
        axis.annotate(json.loads(row["value"]), (x, row["gap"]), xytext=(7, 4), textcoords="offset points")
    best = front([(x, row["gap"]) for x, row in known])
    axis.plot(*zip(*best, strict=True) if best else ([], []), color=GAP, linestyle=":", label="Pareto front")
    axis.plot([], [], "o", color=GAP, label="symmetric PPG, with 95 % interval")
    axis.plot([], [], "o", color=CONTROL, markerfacecolor="white", label="its control on the holdout")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.2, y=0.15)
    axis.set_xlabel("utility: recall@10 of holdout retrieval, %")
    axis.set_ylabel("population precision gap")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8, bbox_to_anchor=(0.5, 1.0))
    return figure


# texts


def sentences(study: Study) -> list[str]:
    """What the study found, in words: the change of each metric from the first value to the last."""
    if study.axis == "seed":
        return [
            _spread_sentence(METRIC_NAMES[metric], row)
            for (query, scope, metric), row in study.noise.items()
            if (query, scope) == (CAPTION, "all")
        ]
    found = []
    for metric, name in METRIC_NAMES.items():
        rows = study.of(metric)
        if len(rows) < 2 or rows[-1]["change"] is None:
            continue
        start, end = rows[0], rows[-1]
        found.append(
            f"{name} {_moves(end)} from {number(start['gap'])} at {study.axis} {start['value']} to "
            f"{number(end['gap'])} at {end['value']}: a change of {number(end['change'])} "
            f"{band(end['change_low'], end['change_high'])}; the control goes from {number(start['control_value'])} to "
            f"{number(end['control_value'])}."
        )
    noise = study.noise.get((CAPTION, "all", "ppg"))
    if noise is None or noise["spread"] is None:
        found.append("How far training anew would move these points was not measured: add a study of seeds.")
    else:
        found.append(_spread_sentence("PPG", noise))
    return found


def _moves(row: Mapping) -> str:
    if row["change_low"] is not None and row["change_low"] > 0:
        return "rises"
    if row["change_high"] is not None and row["change_high"] < 0:
        return "falls"
    return "does not change beyond its interval,"


def _spread_sentence(name: str, row: Mapping) -> str:
    return (
        f"Over {row['seeds']} seeds of training {name} is {number(row['mean'])} with a standard deviation of "
        f"{row['spread']:.3f}, its control {number(row['control_mean'])} with {row['control_spread']:.3f}; no "
        "interval here holds that noise."
    )


def write_points(study: Study, points: Path, utility: Path) -> None:
    """Writes all gaps, and what the models are good for, as tab-separated values; one line per point and metric."""
    columns = ["study", "axis", "value", "split", "model", "epoch", "query", "scope", "metric", "gap"]
    columns += [
        "ci_low",
        "ci_high",
        "p_value",
        "n",
        "control_value",
        "control_low",
        "control_high",
        "change",
        "change_low",
        "change_high",
    ]
    _write_tsv(points, columns, study, study.gaps)
    columns = [
        "study",
        "axis",
        "value",
        "split",
        "model",
        "epoch",
        "task",
        "metric",
        "utility",
        "worse_side",
        "better_side",
    ]
    _write_tsv(utility, columns, study, study.utility)


def _write_tsv(path: Path, columns: Sequence[str], study: Study, rows: Sequence[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, "axis": study.axis} for row in rows)
    write_text(path, text.getvalue())


def write_study(study: Study, figures: Sequence[Path], templates: Path, site: Path, *, title: str) -> None:
    """Writes ``index.html`` with its style and figures into the folder ``site``.

    Args:
        study: what was found.
        figures: SVG files, copied.
        templates: folder with ``study.html.j2`` and ``style.css``.
        site: folder to make.
        title: heading of the page.
    """
    (site / "figures").mkdir(parents=True, exist_ok=True)
    for figure in figures:
        shutil.copyfile(figure, site / "figures" / figure.name)
    shutil.copyfile(templates / "style.css", site / "style.css")
    page = (
        environment(templates)
        .get_template("study.html.j2")
        .render(
            title=title,
            study=study,
            sentences=sentences(study),
            metric_names=METRIC_NAMES,
            draws=study.draws,
            figures=[figure.stem for figure in figures],
            band=band,
        )
    )
    write_text(site / "index.html", page)


def write_summary(study: Study, path: Path) -> None:
    """Writes the text that the terminal shows at the end."""
    heading = f"Study {study.name}: {study.axis} of {study.model} in {study.split}"
    write_text(path, "\n".join([heading, "", *sentences(study)]) + "\n")
