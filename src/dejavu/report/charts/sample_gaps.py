"""How the gaps of single samples spread: training samples against the holdout."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dejavu.report.charts.chart import Chart
from dejavu.report.charts.svg import Scale, axis_left, figure, line, rectangle, scale_of, text, tick_text
from dejavu.report.queries import Queries

TOP, BOTTOM = 8, 170
NAME = "sample-gaps"


def sample_gaps(queries: Queries) -> Chart | None:
    """Return the figure; None where no samples were scored."""
    rows = queries.rows("sample_gaps")
    if not rows:
        return None
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawings = [
        (model, _draw(f"{NAME}-{i}", model, [row for row in rows if row["model"] == model]))
        for i, model in enumerate(models)
    ]
    return Chart(
        name=NAME,
        heading="Single samples: training samples against the holdout",
        caption="By how many correct objects more a sample’s own model finds than the other model, asked with the "
        "caption: share of the training samples and of the holdout, which shows luck. Memory shifts the training "
        "samples to the right of the holdout.",
        drawings=drawings,
        rows=rows,
        query="sample_gaps",
        sql=queries.sql("sample_gaps"),
        keys=(("gap", "training samples, %"), ("holdout", "holdout, %")),
    )


def _draw(name: str, model: str, rows: Sequence[dict]) -> Markup:
    low, high = min(row["gap"] for row in rows), max(row["gap"] for row in rows)
    across = Scale(low - 0.5, high + 0.5, 9, 99)
    up = scale_of([100 * row[kind] for row in rows for kind in ("trained", "holdout")], BOTTOM, TOP, at_most=4)
    marks = [axis_left(up, 9, 99)]
    for row in rows:
        told = f"gap {row['gap']:+d}: {row['trained']:.1%} of training samples, {row['holdout']:.1%} of the holdout"
        for kind, start, end in (("trained", -0.42, -0.02), ("holdout", 0.02, 0.42)):
            height = round(BOTTOM - up(100 * row[kind]), 2)
            style = "bin gap" if kind == "trained" else "bin holdout"
            x1, x2 = across(row["gap"] + start), across(row["gap"] + end)
            marks.append(rectangle(x1, x2, up(100 * row[kind]), height, style, told))
    for tick in across.ticks(8):
        if tick == int(tick):
            sign = "+" if tick > 0 else ""
            marks.append(text(across(tick), BOTTOM + 16, sign + tick_text(tick), "tick", anchor="middle"))
    marks.append(line(across(0), TOP, across(0), BOTTOM, "zero"))
    marks.append(text(54, BOTTOM + 34, "gap, in correct objects", "axis", anchor="middle"))
    mean = {kind: sum(row["gap"] * row[kind] for row in rows) for kind in ("trained", "holdout")}
    told = (
        f"Histogram in per cent. The mean gap is {mean['trained']:+.2f} objects in training samples and "
        f"{mean['holdout']:+.2f} in the holdout."
    )
    return figure(name, f"Gaps of single samples of {model}", told, BOTTOM + 42, marks)
