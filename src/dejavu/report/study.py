"""The report of a study: gap, control and utility along one axis, and one against the other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dejavu.files import atomic, write_text
from dejavu.memorization.verdicts import METRIC_NAMES, PRIMARY_METRIC, QUERY_NAMES
from dejavu.report.changes import RECALL, Drawn, drawn_of, joint, with_changes, with_utility_changes
from dejavu.report.direction import Cell, Direction, directions, studies_of_seeds
from dejavu.report.figures import CONTROL, GAP, STYLE, draw_front, figure_grid, interval_bars
from dejavu.report.queries import Queries
from dejavu.report.site import environment
from dejavu.report.summary import band, number
from dejavu.report.tradeoff import front_shares, percent, percent_band, points
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
# metrics that are put in words: of captions all, of other queries the first and the one chosen beforehand
SAID = {True: tuple(METRIC_NAMES), False: ("ppg", PRIMARY_METRIC)}
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
        utility: rows of ``study_utility.sql`` with their intervals and their change since the first point, by place.
        fronts: place -> share of the draws in which the point is on the front of PPG against recall@10.
        directions: (place, query, metric) -> change of the recipe since the first point, where seeds were run at both.
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
    fronts: Mapping[int, float]
    directions: Mapping[Cell, Direction]
    noise: Mapping[tuple[str, str, str], dict]
    draws: int

    def of(self, metric: str, query: str = CAPTION) -> list[dict]:
        """The gaps of one metric over all objects, asked with a query, by place."""
        return [row for row in self.gaps if (row["query"], row["scope"], row["metric"]) == (query, "all", metric)]

    def strongest(self) -> list[dict]:
        """The PPG over all objects of the query that shows most, by place."""
        rows = [row for row in self.gaps if (row["scope"], row["metric"]) == ("all", "ppg") and row["gap"] is not None]
        places = dict.fromkeys(row["place"] for row in rows)
        return [max((r for r in rows if r["place"] == place), key=lambda row: row["gap"]) for place in places]

    def useful(self, place: int) -> dict | None:
        """Holdout retrieval recall@10 at a point, mean over sides and directions."""
        return next((r for r in self.utility if r["place"] == place and r["metric"] == RECALL), None)


def gather(name: str, studies: Mapping, databases: Mapping[str, Queries]) -> Study:
    """Reads a study from the databases of the splits that its points were measured in.

    Args:
        name: of the study.
        studies: of the configuration, expanded.
        databases: split -> its database; the study's own split is among them.
    """
    study = studies[name]
    found: dict[str, list[dict]] = {}
    for query in ("study", "study_draws", "study_utility", "study_utility_draws"):
        rows = [{**row, "split": split} for split, base in databases.items() for row in base.rows(query)]
        found[query] = sorted(rows, key=lambda row: row["place"])
    drawn = drawn_of(found, databases)
    gaps = [row for row in found["study"] if row["study"] == name]
    utility = [row for row in found["study_utility"] if row["study"] == name]
    same = studies_of_seeds(studies, study["model"], study["split"])
    spread = [row for row in databases[study["split"]].rows("seed_spread") if row["study"] in same]
    return Study(
        name=name,
        axis=study["axis"],
        model=study["model"],
        split=study["split"],
        values=[json.dumps(value) for value in study["values"]],
        gaps=list(with_changes(gaps, drawn, databases)),
        utility=list(with_utility_changes(utility, drawn)),
        # trainings of one recipe are no choices
        fronts={} if study["axis"] == "seed" else _fronts(name, gaps, drawn),
        directions=dict(directions(name, studies, found, drawn)),
        noise={(row["query"], row["scope"], row["metric"]): row for row in spread},
        draws=databases[study["split"]].config("measure.bootstrap"),
    )


def _fronts(name: str, gaps: Sequence[dict], drawn: Drawn) -> dict[int, float]:
    places = list(dict.fromkeys(row["place"] for row in gaps))
    pairs = {place: (drawn.of(name, place, None, RECALL), drawn.strongest(name, place)) for place in places}
    useful = {place: one for place, (one, _) in pairs.items() if one is not None}
    memory = {place: other for place, (_, other) in pairs.items() if other is not None}
    shown = [place for place in places if place in useful and place in memory]
    if not shown:
        return {}
    shares = front_shares(joint(useful, shown), joint(memory, shown))
    return dict(zip(shown, shares, strict=True))


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
        bars = np.array([_utility_bars(row) for row in rows]).reshape(-1, 2).T
        line = "none" if study.axis == "seed" else "-"
        name = metric.split("_recall@")[0].split("_accuracy@")[0].replace("_", " ")
        axis.errorbar(at, values, yerr=bars, fmt="o", linestyle=line, markersize=4, capsize=3, label=name)
    axis.margins(y=0.15)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)


def _utility_bars(row: Mapping) -> tuple[float, float]:
    """How far the interval of a share reaches, in per cent."""
    below, above = interval_bars(row["utility"], row["ci_low"], row["ci_high"])
    return 100 * below, 100 * above


def _tradeoff(study: Study) -> Figure:
    """Symmetric PPG of the strongest query against recall@10, with the front."""
    figure, axes = figure_grid(1, 1, width=5.2, height=3.4)
    axis = axes[0][0]
    found = [(study.useful(row["place"]), row) for row in study.strongest()]
    known = [(100 * useful["utility"], useful, row) for useful, row in found if useful is not None]
    for x, useful, row in known:
        bars = [[end] for end in interval_bars(row["gap"], row["ci_low"], row["ci_high"])]
        across = [[end] for end in _utility_bars(useful)]
        axis.errorbar(x, row["gap"], yerr=bars, xerr=across, fmt="o", color=GAP, capsize=3)
        axis.plot(x, row["control_value"], "o", color=CONTROL, markerfacecolor="white")
        axis.annotate(json.loads(row["value"]), (x, row["gap"]), xytext=(7, 4), textcoords="offset points")
    draw_front(axis, [(x, row["gap"], study.fronts.get(row["place"])) for x, _, row in known])
    axis.plot([], [], "o", color=GAP, label="symmetric PPG of the strongest query, with 95 % interval")
    axis.plot([], [], "o", color=CONTROL, markerfacecolor="white", label="its control on the holdout")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.2, y=0.15)
    axis.set_xlabel("utility: recall@10 of holdout retrieval, %, with 95 % interval")
    axis.set_ylabel("population precision gap")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=8, bbox_to_anchor=(0.5, 1.0))
    return figure


# texts


def sentences(study: Study) -> list[str]:
    """What the study found, in words: what these trainings show from the first value to the last, then the recipe."""
    if study.axis == "seed":
        return [
            _spread_sentence(METRIC_NAMES[metric], row)
            for (query, scope, metric), row in study.noise.items()
            if (query, scope) == (CAPTION, "all")
        ]
    found = [*_sentences_on_gaps(study), *_sentences_on_recall(study), *_sentences_on_recipes(study)]
    noise = study.noise.get((CAPTION, "all", "ppg"))
    if noise is not None and noise["spread"] is not None:
        found.append(_spread_sentence("PPG", noise))
    return found


def _sentences_on_gaps(study: Study) -> Iterator[str]:
    for query in dict.fromkeys(row["query"] for row in study.gaps):
        for metric in SAID[query == CAPTION]:
            rows = study.of(metric, query)
            if len(rows) < 2 or rows[-1]["change"] is None:
                continue
            start, end = rows[0], rows[-1]
            how = f" ({end['pairing']})" if end["pairing"] else ""
            yield (
                f"{_named(query, metric)} is {number(start['gap'])} at {study.axis} {start['value']} and "
                f"{number(end['gap'])} at {end['value']}: between these trainings a difference of "
                f"{number(end['change'])} {band(end['change_low'], end['change_high'])}{how}; the control goes from "
                f"{number(start['control_value'])} to {number(end['control_value'])}."
            )


def _named(query: str | None, metric: str) -> str:
    if query is None:
        return f"holdout retrieval {metric}"
    return METRIC_NAMES[metric] if query == CAPTION else f"{METRIC_NAMES[metric]} {QUERY_NAMES[query]}"


def _sentences_on_recall(study: Study) -> Iterator[str]:
    start, end = study.useful(0), study.useful(len(study.values) - 1)
    if start is not None and end is not None and end["change"] is not None:
        yield (
            f"Holdout retrieval recall@10 is {percent(start['utility'])} and {percent(end['utility'])}: between these "
            f"trainings a difference of {points(end['change'])} points [{points(end['change_low'])}, "
            f"{points(end['change_high'])}]."
        )


def _sentences_on_recipes(study: Study) -> Iterator[str]:
    """What holds of the recipe and not of these trainings alone, wherever seeds were run at both ends."""
    for (place, query, metric), found in study.directions.items():
        if query is not None and metric not in SAID[query == CAPTION]:
            continue
        shown: Callable[[float | None], str] = points if metric == RECALL else number
        first, second = found.seeds
        unit = " points" if metric == RECALL else ""
        seeds = f"the same {first} seeds" if found.paired else f"{first} and {second} other seeds"
        yield (
            f"Over {seeds} of training at both ends, {_named(query, metric)} {found.word} from {study.axis} "
            f"{study.values[0]} to {study.values[place]}: a change of {shown(found.change)}{unit} "
            f"[{shown(found.low)}, {shown(found.high)}], which holds the noise of training and of the queries."
        )
    last = len(study.values) - 1
    if not any(place == last for place, _, _ in study.directions):
        yield (
            f"Whether the recipe makes the difference from {study.values[0]} to {study.values[last]} is not known: no "
            "further seeds were trained at both ends, and how far training anew moves these points is in no interval."
        )


def _spread_sentence(name: str, row: Mapping) -> str:
    return (
        f"Over {row['seeds']} seeds of training {name} is {number(row['mean'])} with a standard deviation of "
        f"{row['spread']:.3f}, its control {number(row['control_mean'])} with {row['control_spread']:.3f}; an "
        "interval on single trainings does not hold that noise."
    )


def write_points(study: Study, points: Path, utility: Path) -> None:
    """Writes all gaps, and what the models are good for, as tab-separated values; one line per point and metric."""
    columns = ["study", "axis", "value", "split", "model", "epoch", "query", "scope", "metric", "gap"]
    columns += ["ci_low", "ci_high"]
    columns += ["p_value", "n", "control_value", "control_low", "control_high"]
    columns += ["change", "change_low", "change_high", "pairing"]
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
        "ci_low",
        "ci_high",
        "worse_side",
        "better_side",
        "change",
        "change_low",
        "change_high",
        "front_share",
    ]
    shares = {(place, RECALL): share for place, share in study.fronts.items()}
    rows = [{**row, "front_share": shares.get((row["place"], row["metric"]))} for row in study.utility]
    _write_tsv(utility, columns, study, rows)


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
            percent_band=percent_band,
        )
    )
    write_text(site / "index.html", page)


def write_summary(study: Study, path: Path) -> None:
    """Writes the text that the terminal shows at the end."""
    heading = f"Study {study.name}: {study.axis} of {study.model} in {study.split}"
    write_text(path, "\n".join([heading, "", *sentences(study)]) + "\n")
