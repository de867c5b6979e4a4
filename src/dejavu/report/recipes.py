"""What another recipe changes, over the replicates of both."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from dejavu.report.paired import paired_change
from dejavu.report.queries import Queries

CELL = ("query", "scope", "metric")


def recipe_changes(queries: Queries) -> list[dict[str, Any]]:
    """Return the change of every gap from the recipe that a model is compared with to the model's own.

    Both recipes of a replicate are trained on the same samples, so replicates are paired. A resample takes the same
    groups for both, so the noise of the queries that they share is no part of the change.

    Returns:
        Dicts with model, compared_with, query, scope, metric, replicates, and mean, low and high of the change.
    """
    values: dict[tuple, dict[int, tuple[float, np.ndarray]]] = defaultdict(dict)
    for row in queries.rows("replicate_values"):
        values[(row["model"], *(row[key] for key in CELL))][row["replicate"]] = row["value"], np.array(row["draws"])
    compared_with = {row["model"]: row["compared_with"] for row in queries.rows("compared_with")}
    changes = []
    for (model, *cell), own in values.items():
        other = values.get((compared_with.get(model), *cell), {})
        change = paired_change(other, own)
        if change is None:
            continue
        interval, number = change
        changes.append(
            {
                "model": model,
                "compared_with": compared_with[model],
                **dict(zip(CELL, cell, strict=True)),
                "replicates": number,
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
            }
        )
    return changes
