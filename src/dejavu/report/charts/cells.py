"""The gap over the numbers of neighbours and labels, with its control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_left, circle, figure, line, scale_of, text
from dejavu.report.queries import Queries

TOP, BOTTOM = 10, 190
NAME = "cells"
ENDS = ("value", "ci_low", "ci_high", "control_value", "control_low", "control_high")


def cells(queries: Queries, asked: Mapping[str, str]) -> Chart | None:
    """Return the figure; None where there are no gaps.

    Args:
        queries: the queries on the database.
        asked: model -> the query that is drawn.
    """
    rows = [r for r in queries.rows("cells") if asked.get(r["model"]) == r["query"] and r["value"] is not None]
    if not rows:
        return None
    scale = scale_of([100 * row[end] for row in rows for end in ENDS if row[end] is not None], BOTTOM, TOP, at_most=5)
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawings = [
        (f"{model}, query: {asked[model]}", _draw(f"{NAME}-{i}", [r for r in rows if r["model"] == model], scale))
        for i, model in enumerate(models)
    ]
    return Chart(
        name=NAME,
        heading="The gap over the numbers of neighbours and labels",
        caption="Symmetric PPG over all objects, in captions of 100, with 95 % intervals, each for one cell alone. A "
        "result that hangs on one choice of k or labels is weak.",
        drawings=drawings,
        rows=rows,
        query="cells",
        sql=queries.sql("cells"),
        keys=(("gap", "symmetric gap"), ("control", "control")),
    )


def _draw(name: str, rows: Sequence[dict], up: Scale) -> Markup:
    across = Scale(-0.5, len(rows) - 0.5, 9, 99)
    marks = [axis_left(up, 9, 99)]
    for i, row in enumerate(rows):
        for kind, shift, (value, low, high) in (("gap", -0.14, ENDS[:3]), ("control", 0.14, ENDS[3:])):
            if row[value] is None:
                continue
            x = across(i + shift)
            told = f"k {row['k']}, labels {row['labels']}, {kind} {100 * row[value]:.1f}"
            if row[low] is not None and row[high] is not None:
                told += f" ({100 * row[low]:.1f} to {100 * row[high]:.1f})"
                marks.append(line(x, up(100 * row[low]), x, up(100 * row[high]), f"bar {kind}", told))
            marks.append(circle(x, up(100 * row[value]), f"dot {kind}", told, radius=4))
        marks.append(text(across(i), BOTTOM + 17, row["labels"], "tick", anchor="middle"))
    for k in dict.fromkeys(row["k"] for row in rows):
        places = [i for i, row in enumerate(rows) if row["k"] == k]
        middle = across(sum(places) / len(places))
        marks.append(text(middle, BOTTOM + 34, f"k = {k}", "axis", anchor="middle"))
        if places[0] > 0:
            marks.append(line(across(places[0] - 0.5), TOP, across(places[0] - 0.5), BOTTOM + 36, "grid"))
    marks.append(text(0, BOTTOM + 17, "labels", "tick"))
    largest = max(rows, key=lambda row: row["value"])
    told = (
        f"Gaps of {len(rows)} cells, from {100 * min(row['value'] for row in rows):.1f} to "
        f"{100 * largest['value']:.1f} captions of 100; the largest at k = {largest['k']}, labels {largest['labels']}."
    )
    return figure(name, f"Gap of {rows[0]['model']} over k and labels", told, BOTTOM + 40, marks)
