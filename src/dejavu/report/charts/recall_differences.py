"""How much more often one model reaches a recall than the other: the difference of the recall curves, with bands."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_left, circle, figure, line, path_of, scale_of, text, tick_text
from dejavu.report.queries import Queries

TOP, BOTTOM = 10, 200
NAME = "recall-differences"
# population -> class, and how far its marks are moved aside
LINES = {"a": ("gap", -0.02), "b": ("second", 0.0), "holdout": ("control", 0.02)}
ENDS = ("difference", "band_low", "band_high")


def recall_differences(queries: Queries, one_models: set[str]) -> Chart | None:
    """Return the figure; None where no sample was scored.

    Args:
        queries: the queries on the database.
        one_models: models whose role b was seen by neither side.
    """
    rows = queries.rows("recall_differences")
    if not rows:
        return None
    scale = scale_of([100 * row[end] for row in rows for end in ENDS if row[end] is not None], BOTTOM, TOP, at_most=5)
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawings = [
        (model, _draw(f"{NAME}-{i}", model, [row for row in rows if row["model"] == model], scale))
        for i, model in enumerate(models)
    ]
    caption = (
        "Of 100 captions, how many more reach at least recall r under one model than under the other: in a training "
        "role under the model that saw it, in the holdout under model a. All ten bands of a line hold at once with 95 "
        "% confidence. Memory lifts both training roles above 0; a better model would lift one and lower the other."
    )
    if one_models:
        caption += (
            " In a one-model test all differences are of model a, which saw role a only: memory lifts that role above "
            "the two others."
        )
    return Chart(
        name=NAME,
        heading="At which recall the models differ",
        caption=caption,
        drawings=drawings,
        rows=rows,
        query="recall_differences",
        sql=queries.sql("recall_differences"),
        keys=(("gap", "role a"), ("second", "role b"), ("control", "holdout")),
    )


def _draw(name: str, model: str, rows: Sequence[dict], up: Scale) -> Markup:
    across = Scale(0.05, 1.05, 9, 99)
    marks, told = [axis_left(up, 9, 99)], []
    for population, (kind, shift) in LINES.items():
        points = [row for row in rows if row["population"] == population]
        places = [(across(row["recall"] + shift), up(100 * row["difference"])) for row in points]
        marks.append(path_of(places, f"joined {kind}"))
        for row, (x, y) in zip(points, places, strict=True):
            label = f"{_role(population)}, recall {row['recall']:g}: {100 * row['difference']:+.1f} captions of 100"
            if row["band_low"] is not None:
                low, high = 100 * row["band_low"], 100 * row["band_high"]
                label += f" ({low:.1f} to {high:.1f})"
                marks.append(line(x, up(low), x, up(high), f"bar thin {kind}", label))
            marks.append(circle(x, y, f"dot {kind}", label, radius=4))
        if points:
            most = max(points, key=lambda row: abs(row["difference"]))
            told.append(f"{_role(population)}: {100 * most['difference']:+.1f} at recall {most['recall']:g}")
    marks += [text(across(i / 10), BOTTOM + 17, tick_text(i / 10), "tick", anchor="middle") for i in range(2, 11, 2)]
    marks.append(text(54, BOTTOM + 35, "recall r", "axis", anchor="middle"))
    described = "The largest differences, in captions of 100: " + "; ".join(told) + "."
    return figure(name, f"Differences of recall curves of {model}", described, BOTTOM + 42, marks)


def _role(population: str) -> str:
    return population if population == "holdout" else f"role {population}"
