"""How many groups, or how many replicates, would show a gap of a wanted size, by what a finished run has measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dejavu.memorization.power import MOST_REPLICATES, groups_needed, replicates_needed, upper_deviation
from dejavu.report.queries import Queries
from dejavu.report.summary import SHOWN

# the gaps that the report asks for
GAPS = (0.01, 0.02, 0.05, 0.1)


def power(queries: Queries, gaps: Sequence[float] = GAPS) -> dict[str, Any]:
    """Return what the page shows of power.

    Returns:
        ``power``: for every cell and wanted gap a dict with model, metric, scope and value of the cell; groups of the
        pilot and the gap that it detects; pairs of models of the pilot; the wanted gap; groups needed; replicates
        needed by the deviation that the pilot measured, and by its upper 80 % limit, both None where the pilot has one
        pair of models, or :data:`dejavu.memorization.power.MOST_REPLICATES` do not do. ``power_is_of_replicates``:
        whether some of them are of several pairs of models. ``most_replicates``.
    """
    rows = list(_rows(queries, gaps))
    return {
        "power": rows,
        "power_is_of_replicates": any(row["pairs"] > 1 for row in rows),
        "most_replicates": MOST_REPLICATES,
    }


def _rows(queries: Queries, gaps: Sequence[float]) -> Iterator[dict[str, Any]]:
    for cell in queries.rows("power"):
        if (cell["metric"], cell["scope"]) not in SHOWN:
            continue
        pairs, between = cell["replicates"] or 1, cell["between"]
        for gap in gaps:
            needed = upper = None
            if between is not None:
                needed = replicates_needed(gap, between, cell["within"])
                upper = replicates_needed(gap, upper_deviation(between, pairs), cell["within"])
            yield {
                **cell,
                "pairs": pairs,
                "gap": gap,
                "groups_needed": groups_needed(cell["groups"], cell["detectable"], gap),
                "replicates_needed": needed,
                "replicates_upper": upper,
            }
