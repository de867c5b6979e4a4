"""The gap, its control and holdout retrieval at every measured checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dejavu.memorization.metrics import TRADED
from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_left, circle, figure, line, path_of, scale_of, text, tick_text
from dejavu.report.queries import Queries

# height of the gaps, and of the utility below them
GAPS, UTILITY = (10, 160), (200, 280)
NAME = "epochs"
COLUMNS = ("model", "epoch", "gap", "ci_low", "ci_high", "control_value", "control_low", "control_high", "recall_at_10")
ENDS = COLUMNS[2:8]


def epochs(queries: Queries) -> Chart | None:
    """Return the figure; None where every model was measured at one checkpoint."""
    rows = [
        {name: row[name] for name in COLUMNS}
        for row in queries.rows("points")
        if row["metric"] == TRADED and row["gap"] is not None
    ]
    models = [model for model in dict.fromkeys(row["model"] for row in rows) if len(_of(rows, model)) > 1]
    if not models:
        return None
    rows = [row for row in rows if row["model"] in models]
    up = scale_of([100 * row[end] for row in rows for end in ENDS if row[end] is not None], *GAPS[::-1], at_most=4)
    shares = [100 * row["recall_at_10"] for row in rows if row["recall_at_10"] is not None]
    useful = scale_of(shares, *UTILITY[::-1], at_most=3)
    return Chart(
        name=NAME,
        heading="Memorization during training",
        caption="Symmetric PPG over all objects, asked with the caption, in captions of 100, with its control; below "
        "it recall@10 of holdout retrieval in per cent. Intervals are 95 %, each for one checkpoint alone.",
        drawings=[(model, _draw(f"{NAME}-{i}", model, _of(rows, model), up, useful)) for i, model in enumerate(models)],
        rows=rows,
        query="points",
        sql=queries.sql("points"),
        keys=(("gap", "symmetric gap"), ("control", "control"), ("second", "recall@10")),
    )


def _of(rows: Sequence[dict], model: str) -> list[dict]:
    return [row for row in rows if row["model"] == model]


def _draw(name: str, model: str, rows: Sequence[dict], up: Scale, useful: Scale) -> Markup:
    across = Scale(0, max(row["epoch"] for row in rows), 9, 97)
    marks = [
        axis_left(up, 9, 99, at_most=4),
        *_series(rows, ENDS[3:], "control", across, up),
        *_series(rows, ENDS[:3], "gap", across, up),
    ]
    bottom = GAPS[1]
    if any(row["recall_at_10"] is not None for row in rows):
        bottom = UTILITY[1]
        marks += [axis_left(useful, 9, 99, at_most=3), *_series(rows, COLUMNS[8:], "second", across, useful)]
    marks += [text(across(tick), bottom + 17, tick_text(tick), "tick", anchor="middle") for tick in across.ticks(6)]
    marks.append(text(53, bottom + 35, "epoch", "axis", anchor="middle"))
    described = " ".join(_told(row) + "." for row in rows)
    return figure(name, f"Gap of {model} by epoch", described, bottom + 42, marks)


def _series(rows: Sequence[dict], columns: Sequence[str], kind: str, across: Scale, up: Scale) -> list[Markup]:
    """Return joined points with their intervals; ``columns`` names the value and, where there are any, its ends."""
    known = [row for row in rows if row[columns[0]] is not None]
    marks = [path_of([(across(row["epoch"]), up(100 * row[columns[0]])) for row in known], f"joined {kind}")]
    for row in known:
        x = across(row["epoch"])
        ends = [row[column] for column in columns[1:]]
        if ends and None not in ends:
            marks.append(line(x, up(100 * ends[0]), x, up(100 * ends[1]), f"bar thin {kind}", _told(row)))
        marks.append(circle(x, up(100 * row[columns[0]]), f"dot {kind}", _told(row), radius=4))
    return marks


def _told(row: dict) -> str:
    told = f"epoch {row['epoch']}: gap {100 * row['gap']:.1f}"
    if row["control_value"] is not None:
        told += f", control {100 * row['control_value']:.1f} captions of 100"
    return told if row["recall_at_10"] is None else told + f", recall@10 {row['recall_at_10']:.1%}"
