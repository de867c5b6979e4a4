"""How often each object is found: by the model that saw the sample, by the other model, and in the holdout."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_below, circle, figure, line, text
from dejavu.report.queries import Queries

NAME = "recall-by-object"
# Those with the most images; all others are in the data.
MOST = 20
LINE = 34


def recall_by_object(queries: Queries) -> Chart | None:
    """Return the figure; None where no sample was asked about with its caption."""
    rows = queries.rows("recall_by_object")
    if not rows:
        return None
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawings = [
        (model, _draw(f"{NAME}-{i}", model, [row for row in rows if row["model"] == model][:MOST]))
        for i, model in enumerate(models)
    ]
    return Chart(
        name=NAME,
        heading="Recall by object",
        caption="Of the training images with an object, the share for which the k nearest public images show it too, "
        "asked with the caption. The model that saw the image stands against the other model; the holdout shows what a "
        f"model finds of images that it never saw. These are the at most {MOST} objects with the most training images; "
        "the data has all of them, with an interval of the difference, each for one object alone.",
        drawings=drawings,
        rows=rows,
        query="recall_by_object",
        sql=queries.sql("recall_by_object"),
        keys=(("gap", "model that saw the image"), ("control", "other model"), ("second", "holdout")),
    )


def _draw(name: str, model: str, rows: Sequence[dict]) -> Markup:
    across, bottom = Scale(0, 100, 1, 99), LINE * len(rows) + 4
    marks = [axis_below(across, 0, bottom, "recall, %", at_most=5)]
    for i, row in enumerate(rows):
        y = LINE * i + 25
        own, other = across(100 * row["own"]), across(100 * row["other"])
        told = _told(row)
        marks += [
            text(1, y - 10, row["object"], "name small"),
            line(other, y, own, y, "bar gap" if own > other else "bar control", told),
        ]
        if row["holdout"] is not None:
            marks.append(
                line(across(100 * row["holdout"]), y - 7, across(100 * row["holdout"]), y + 7, "bar second", told)
            )
        marks += [circle(other, y, "dot control", told), circle(own, y, "dot gap", told)]
    described = " ".join(_told(row) + "." for row in rows)
    return figure(name, f"Recall by object of {model}", described, bottom + 42, marks)


def _told(row: dict) -> str:
    told = f"{row['object']}, {row['number']:,} training images: {row['own']:.1%} by the model that saw them, "
    told += f"{row['other']:.1%} by the other"
    return told if row["holdout"] is None else told + f", {row['holdout']:.1%} in the holdout"
