"""What each query shows of the same memory: the gap asked with the caption and otherwise, with its control."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_below, circle, figure, line, scale_of, text
from dejavu.report.queries import Queries

NAME = "by-query"
LINE = 58
GAP, CONTROL = ("value", "ci_low", "ci_high"), ("control_value", "control_low", "control_high")


def by_query(queries: Queries) -> Chart | None:
    """Return the figure; None where every model was asked with one query."""
    k, labels = queries.config("report.k"), str(queries.config("report.labels"))
    rows = [
        row for row in queries.rows("cells") if (row["k"], row["labels"]) == (k, labels) and row["value"] is not None
    ]
    if len({row["query"] for row in rows}) < 2:
        return None
    scale = scale_of(
        [100 * row[end] for row in rows for end in GAP + CONTROL if row[end] is not None], 1, 99, at_most=6
    )
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawings = [
        (model, _draw(f"{NAME}-{i}", model, [row for row in rows if row["model"] == model], scale))
        for i, model in enumerate(models)
    ]
    return Chart(
        name=NAME,
        heading="The queries side by side",
        caption="Symmetric PPG over all objects by what the models are asked with, in captions of 100, with 95 % "
        "intervals, each for one cell alone. Where a mitigation lowers the gap of one query and not of another, the "
        "memory is still there.",
        drawings=drawings,
        rows=rows,
        query="cells",
        sql=queries.sql("cells"),
        keys=(("gap", "symmetric gap"), ("control", "control")),
    )


def _draw(name: str, model: str, rows: Sequence[dict], across: Scale) -> Markup:
    bottom = LINE * len(rows) + 4
    marks, described = [axis_below(across, 0, bottom, "captions of 100")], []
    for i, row in enumerate(rows):
        marks.append(text(1, LINE * i + 15, f"query: {row['query']}", "name small"))
        for kind, y, ends in (("gap", 30, GAP), ("control", 47, CONTROL)):
            value, low, high = (None if row[end] is None else 100 * row[end] for end in ends)
            if value is None:
                continue
            told = f"{row['query']}, {kind} {value:.1f}"
            if low is not None and high is not None:
                told += f" ({low:.1f} to {high:.1f})"
                marks.append(line(across(low), LINE * i + y, across(high), LINE * i + y, f"bar {kind}", told))
            marks.append(circle(across(value), LINE * i + y, f"dot {kind}", told))
            described.append(told)
    return figure(name, f"Gaps of {model} by query", "; ".join(described) + ".", bottom + 42, marks)
