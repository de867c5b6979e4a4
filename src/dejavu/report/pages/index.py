"""The first page: verdicts, result table, what may be concluded, figures, utility and attacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dejavu.memorization.metrics import METRICS
from dejavu.memorization.verdicts import SCOPE_NAMES
from dejavu.report.charts.by_query import by_query
from dejavu.report.charts.cells import cells
from dejavu.report.charts.chart import Chart
from dejavu.report.charts.epochs import epochs
from dejavu.report.charts.recall_by_object import recall_by_object
from dejavu.report.charts.recall_differences import recall_differences
from dejavu.report.charts.sample_gaps import sample_gaps
from dejavu.report.charts.tradeoff import tradeoff_chart
from dejavu.report.membership import membership
from dejavu.report.origins import origins
from dejavu.report.pages.first_screen import first_screen, largest_gaps
from dejavu.report.power import power
from dejavu.report.queries import Queries
from dejavu.report.recipes import recipe_changes
from dejavu.report.summary import one_models, verdicts
from dejavu.report.tradeoff import cost, tradeoff
from dejavu.tables.fields import SIDES


def index(queries: Queries) -> dict[str, Any]:
    """Return what the first page shows, apart from the figures."""
    results = queries.rows("result_table")
    fraction = queries.config("measure.samplings.fraction")
    found, costs = verdicts(queries), tradeoff(queries)
    recipes, changes = queries.rows("recipe_intervals"), recipe_changes(queries)
    return {
        **first_screen(found, results, costs, recipes, changes, queries.config_rows(), queries.rows("roles")),
        "charts": _charts(queries, costs, results),
        "verdicts": found,
        "asked": queries.rows("asked_roles"),
        "lists": queries.rows("listed_roles"),
        "training_sets": queries.rows("training_sets"),
        "checkpoints": queries.rows("checkpoints"),
        "by_chance": _is_by_chance(queries),
        "fraction": fraction,
        "samplings_spread": math.sqrt((1 - fraction) / fraction),
        "results": results,
        "one_model_names": one_models(queries) & {row["model"] for row in results},
        "families": queries.rows("families"),
        "bands": {row["model"]: row for row in results},
        "strata": any(row["is_listed"] for row in queries.rows("query_roles")),
        "metrics": [metric for metric in METRICS if metric.is_tested],
        "scope_names": SCOPE_NAMES,
        "utility": queries.rows("utility"),
        "tradeoff": costs,
        "cost": cost,
        "seeds": [row for row in queries.rows("seed_spread") if row["scope"] == "all"],
        "attacks": queries.rows("attacks"),
        **membership(queries),
        **origins(queries),
        **power(queries),
        "recipes": recipes,
        "recipe_changes": changes,
    }


def _charts(queries: Queries, costs: Sequence[Mapping], results: Sequence[Mapping]) -> list[Chart]:
    """Return the figures that the page draws itself."""
    asked = {model: row["query"] for model, row in largest_gaps(results).items()}
    drawn = (
        tradeoff_chart(queries, costs),
        by_query(queries),
        cells(queries, asked),
        sample_gaps(queries),
        recall_differences(queries, one_models(queries) & set(asked)),
        recall_by_object(queries),
        epochs(queries),
    )
    return [chart for chart in drawn if chart is not None]


def _is_by_chance(queries: Queries) -> bool:
    """Return whether the split drew both training roles, from one dataset, so that chance decides who is in which."""
    trained = [row for row in queries.rows("query_roles") if row["role"] in SIDES]
    return not any(row["is_listed"] for row in trained) and len({row["dataset"] for row in trained}) == 1
