"""Top L: the recall gap of the first L % of the queries in an order, with its control, one row for each model."""

from __future__ import annotations

from matplotlib.figure import Figure

from dejavu.report.drawing import CONTROL, GAP, draw_legend, panels
from dejavu.report.queries import Queries

SORT_NAMES = {
    "nearest": "closest public image first",
    "correct": "most correct objects first",
    "gap": "largest gap first",
}
SHOWN = {
    "gap": (GAP, "o-", "gap: side that was trained on the query"),
    "control": (CONTROL, "o--", "control: the holdout"),
}


def draw(queries: Queries) -> Figure | None:
    """Draw the recall gap against the fraction L of the queries; one column for each order."""
    rows = [row for row in queries.rows("top_l") if row["unit"] == "fraction"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    if not models:
        return None
    figure, axes = panels(len(models), len(SORT_NAMES), width=3.2, height=2.3, sharex=True, sharey="row")
    for i, model in enumerate(models):
        for j, (sort, name) in enumerate(SORT_NAMES.items()):
            axis = axes[i][j]
            for kind, (color, style, label) in SHOWN.items():
                points = [r for r in rows if (r["model"], r["sort"], r["shown_as"]) == (model, sort, kind)]
                face = color if kind == "gap" else "white"
                xs, ys = [100 * p["l"] for p in points], [p["recall_gap"] for p in points]
                axis.plot(xs, ys, style, color=color, markerfacecolor=face, label=label)
                low, high = ([p[end] for p in points] for end in ("recall_gap_low", "recall_gap_high"))
                axis.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
            axis.axhline(0, color="black", linewidth=0.8)
            axis.set_title(f"{model}: {name}" if j == 0 else name)
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            if j == 0:
                axis.set_ylabel("recall gap")
            if i == len(models) - 1:
                axis.set_xlabel("first L % of the queries")
    draw_legend(figure, axes[0][0])
    return figure
