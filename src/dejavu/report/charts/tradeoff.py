"""Memorization against utility: every model with both intervals, and its control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_below, axis_left, circle, figure, line, path_of, scale_of, text
from dejavu.report.queries import Queries
from dejavu.report.tradeoff import drawn_front

TOP, BOTTOM = 12, 250
# Pixels from one name to the next below it.
ROOM = 16
NAME = "tradeoff"
COLUMNS = (
    *("model", "reference", "query", "gap", "band_low", "band_high", "control_value", "control_low", "control_high"),
    *("recall_at_10", "recall_low", "recall_high", "front_share"),
)


def tradeoff_chart(queries: Queries, tradeoff: Sequence[Mapping]) -> Chart | None:
    """Return the figure of the rows of :func:`dejavu.report.tradeoff.tradeoff`; None without rows."""
    if not tradeoff:
        return None
    rows: list[dict[str, Any]] = [{column: row[column] for column in COLUMNS} for row in tradeoff]
    return Chart(
        name=NAME,
        heading="What a mitigation costs",
        caption="Memorization by the query that shows most of it, with its 95 % band, against utility, with its 95 % "
        "interval. Lower and further right is better. The dotted line joins the two-model tests that are on the Pareto "
        "front in at least half of the resamples of this run. A one-model test finds about half the gap for the same "
        "memory.",
        drawings=[("", _draw(rows))],
        rows=rows,
        query="tradeoff",
        sql=queries.sql("tradeoff"),
        keys=(("gap", "symmetric PPG of the strongest query"), ("control", "control")),
    )


def _draw(rows: Sequence[Mapping]) -> Markup:
    across = _range([row[end] for row in rows for end in ("recall_at_10", "recall_low", "recall_high")])
    ends = ("gap", "band_low", "band_high", "control_value", "control_low", "control_high")
    up = scale_of([row[end] for row in rows for end in ends], BOTTOM, TOP, at_most=5)
    marks = [axis_left(up, 10, 98), axis_below(across, TOP, BOTTOM, "recall@10 of holdout retrieval, %", at_most=6)]
    front = [
        (100 * row["recall_at_10"], row["gap"], row["front_share"]) for row in rows if row["reference"] == "trained"
    ]
    marks.append(path_of([(across(x), up(y)) for x, y in drawn_front(front)], "front"))
    # names come last, so that no bar crosses them
    marks += [mark for row in rows for mark in _point(row, across, up)] + _names(rows, across, up)
    told = " ".join(
        f"{row['model']}: gap {row['gap']:+.3f}, recall@10 {row['recall_at_10']:.1%}, control "
        f"{'unknown' if row['control_value'] is None else format(row['control_value'], '+.3f')}."
        for row in rows
    )
    return figure(NAME, "Memorization against utility", told, BOTTOM + 42, marks)


def _point(row: Mapping, across: Scale, up: Scale) -> list[Markup]:
    x, y = across(100 * row["recall_at_10"]), up(row["gap"])
    told = f"{row['model']}: gap {row['gap']:+.3f}, recall@10 {row['recall_at_10']:.1%}"
    marks = []
    if row["control_value"] is not None:
        if row["control_low"] is not None and row["control_high"] is not None:
            marks.append(line(x, up(row["control_low"]), x, up(row["control_high"]), "bar control"))
        marks.append(circle(x, up(row["control_value"]), "dot control", f"{row['model']}: its control"))
    if row["recall_low"] is not None and row["recall_high"] is not None:
        marks.append(line(across(100 * row["recall_low"]), y, across(100 * row["recall_high"]), y, "bar gap", told))
    if row["band_low"] is not None and row["band_high"] is not None:
        marks.append(line(x, up(row["band_low"]), x, up(row["band_high"]), "bar gap", told))
    marks.append(circle(x, y, "dot gap", told, radius=6))
    return marks


def _names(rows: Sequence[Mapping], across: Scale, up: Scale) -> list[Markup]:
    """Return the models' names: above their points, or below where another name is above."""
    marks, last = [], -math.inf
    for row in sorted(rows, key=lambda row: -row["gap"]):
        x, y = across(100 * row["recall_at_10"]), up(row["gap"])
        place = y - 9 if y - 9 - last > ROOM else max(y + 18, last + ROOM)
        right = x > 70
        marks.append(
            text(x - 1.5 if right else x + 1.5, place, row["model"], "name", anchor="end" if right else "start")
        )
        last = place
    return marks


def _range(shares: Sequence[float | None]) -> Scale:
    """Return a scale across that holds the shares in per cent, with some room; it need not hold 0."""
    known = [100 * share for share in shares if share is not None]
    room = max(0.1 * (max(known) - min(known)), 0.05)
    return Scale(min(known) - room, max(known) + room, 10, 98)
