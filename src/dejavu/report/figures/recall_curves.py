"""Recall curves: the share of the queries with at least a given recall, under both sides."""

from __future__ import annotations

from matplotlib.figure import Figure

from dejavu.report.drawing import panels
from dejavu.report.queries import Queries
from dejavu.report.summary import one_models

SIDE_COLORS = {"a": "#1d4ed8", "b": "#b45309"}
POPULATION_NAMES = {"a": "role a, which a saw", "b": "role b, which b saw", "holdout": "holdout, which none saw"}
ONE_MODEL_NAMES = POPULATION_NAMES | {"b": "role b, which none saw"}


def draw(queries: Queries) -> Figure | None:
    """Draw the curves of both sides; the area between them is the AUCG. Rows are models, columns are roles."""
    rows = queries.rows("recall_curves")
    models = list(dict.fromkeys(row["model"] for row in rows))
    if not models:
        return None
    of_one_model = one_models(queries)
    figure, axes = panels(len(models), len(POPULATION_NAMES), width=3.2, height=2.4, sharex=True, sharey=True)
    for i, model in enumerate(models):
        names = ONE_MODEL_NAMES if model in of_one_model else POPULATION_NAMES
        for j, (population, name) in enumerate(names.items()):
            axis = axes[i][j]
            for side, color in SIDE_COLORS.items():
                points = [r for r in rows if (r["model"], r["population"], r["side"]) == (model, population, side)]
                axis.step(*_curve(points), where="pre", color=color, label=f"side {side}")
            axis.set_title(f"{model}: {name}")
            if i == len(models) - 1:
                axis.set_xlabel("recall r")
            if j == 0:
                axis.set_ylabel("share of queries\nwith recall ≥ r")
    axes[0][0].legend()
    return figure


def _curve(points: list[dict]) -> tuple[list[float], list[float]]:
    """Return recalls and shares of a curve, extended to the whole range from recall 0 to recall 1."""
    last = points[-1]["share_at_least"] if points and points[-1]["recall"] >= 1 else 0.0
    xs = [0.0, *(point["recall"] for point in points), 1.0]
    return xs, [1.0, *(point["share_at_least"] for point in points), last]
