"""Changes between the points of a study, with intervals that depend on which queries the two points share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.memorization.gaps import by_group
from dejavu.memorization.metrics import KEYS, TESTED, TRADED, query_values
from dejavu.report.queries import Queries
from dejavu.tables.fields import SIDES

# Metric of retrieval on the holdout: mean over both directions of retrieval and over the sides.
RECALL = "recall@10"
_GroupValues = Callable[[str, int, str], dict[tuple[str, str], pa.Table]]
# 97.5 % quantile of the standard normal distribution.
QUANTILE = 1.959964
# Seed of the shuffle. Draw i of one split resamples other groups than draw i of another, so draws of different splits
# must not be paired: those of all splits but the first are shuffled.
SHUFFLE = 0


@dataclass(frozen=True)
class Drawn:
    """The bootstrap draws of the points of all studies.

    Attributes:
        gaps: (study, place, query, metric) -> the split, and the draws of the symmetric gap in scope ``all``.
        utility: (study, place, task, metric) -> a key that is equal where draws resample the same queries, and the
            draws.
    """

    gaps: Mapping[tuple[str, int, str, str], tuple[str, list[float]]]
    utility: Mapping[tuple[str, int, str, str], tuple[str, list[float]]]

    def of(self, study: str, place: int, query: str | None, metric: str) -> tuple[str, list[float]] | None:
        """Return the draws of a gap with their split; for query None the draws of retrieval with their key."""
        if query is None:
            return self.utility.get((study, place, "retrieval", metric))
        return self.gaps.get((study, place, query, metric))

    def strongest(self, study: str, place: int) -> tuple[str, list[float]] | None:
        """Return the draws of the trade-off's metric: in every draw the largest gap over the queries."""
        draws = [drawn for (*at, _, metric), drawn in self.gaps.items() if at == [study, place] and metric == TRADED]
        if not draws:
            return None
        return draws[0][0], np.max([np.array(values, dtype=float) for _, values in draws], axis=0).tolist()


def drawn_of(results: Mapping[str, Sequence[dict]], databases: Mapping[str, Queries]) -> Drawn:
    """Return the draws in rows of ``study_draws.sql`` and ``study_utility_draws.sql``, with their splits."""
    holdouts = {split: json.dumps(base.rows("holdout")) for split, base in databases.items()}
    return Drawn(
        {(r["study"], r["place"], r["query"], r["metric"]): (r["split"], r["drawn"]) for r in results["study_draws"]},
        {
            (row["study"], row["place"], row["task"], row["metric"]): (
                # Splits with the same holdout share draws of retrieval; the images of a benchmark never depend on it.
                holdouts[row["split"]] if row["task"] == "retrieval" else "",
                row["drawn"],
            )
            for row in results["study_utility_draws"]
        },
    )


def with_changes(gaps: Sequence[dict], drawn: Drawn, databases: Mapping[str, Queries]) -> Iterator[dict]:
    """Yield the rows with the change since the first point, its 95 % interval, and how the two points were paired."""
    first = {(row["query"], row["scope"], row["metric"]): row for row in gaps if row["place"] == 0}
    values = _group_values(databases)
    for row in gaps:
        start = first.get((row["query"], row["scope"], row["metric"]))
        change: dict[str, Any] = {"change": None, "change_low": None, "change_high": None, "pairing": None}
        if start is not None and row["place"] > 0 and None not in (row["gap"], start["gap"]):
            change["change"] = row["gap"] - start["gap"]
            within = row["split"] == start["split"]
            change |= _resampled_change(start, row, drawn) if within else _grouped_change(start, row, values)
        yield {**row, **change}


def _resampled_change(start: Mapping, end: Mapping, drawn: Drawn) -> dict[str, Any]:
    """Return the interval of a change within one split, where draw i is the same resample for all points.

    Draws are kept for scope ``all`` only; other scopes get no interval.
    """
    before, after = (drawn.of(row["study"], row["place"], row["query"], row["metric"]) for row in (start, end))
    if end["scope"] != "all" or before is None or after is None:
        return {}
    low, high = resampled(before[1], after[1], together=True)
    return {"change_low": low, "change_high": high, "pairing": "resample by resample"}


def _grouped_change(start: Mapping, end: Mapping, values: _GroupValues) -> dict[str, Any]:
    """Return the interval of a change between two splits, whose draws resample different groups."""
    cell = end["query"], end["scope"]
    asked = [values(row["study"], row["place"], row["split"]).get(cell) for row in (start, end)]
    if asked[0] is None or asked[1] is None:
        return {}
    error, both = change_by_group(asked[0], asked[1], end["metric"])
    low, high = normal(end["gap"] - start["gap"], error)
    return {"change_low": low, "change_high": high, "pairing": _pairing(both)}


def _pairing(both: float) -> str:
    if both == 0:
        return "as if independent: no duplicate group is asked in both splits"
    return f"by duplicate group: both splits ask {both:.0%} of the groups of the smaller one"


def _group_values(databases: Mapping[str, Queries]) -> _GroupValues:
    """Return a function from a point (study, place, split) to its scores by query and scope; it caches two points."""

    # Two points are needed at a time: the first one and the point that is compared with it.
    @lru_cache(maxsize=2)
    def read(study: str, place: int, split: str) -> dict[tuple[str, str], pa.Table]:
        wanted = pa.table({"study": [study], "place": pa.array([place], pa.int32())})
        table = databases[split].table("study_values", wanted=wanted)
        cells = table.group_by(["query", "scope"], use_threads=False).aggregate([]).to_pylist()
        return {
            (cell["query"], cell["scope"]): sums_by_group(
                table.filter(pc.and_(pc.equal(table["query"], cell["query"]), pc.equal(table["scope"], cell["scope"])))
            )
            for cell in cells
        }

    return read


def sums_by_group(scores: pa.Table) -> pa.Table:
    """Return the sums of the per-query values over each duplicate group of the training roles.

    Args:
        scores: rows of ``study_values.sql`` of one point, query and scope.

    Returns:
        Columns population, group_id, n (number of queries) and, for every tested metric, the sum of its values.
    """
    parts = []
    for population in SIDES:
        of_role = scores.filter(pc.equal(scores["population"], population))
        names = of_role["group_id"].combine_chunks().dictionary_encode()
        columns = ("precision_a", "precision_b", "recall_a", "recall_b")
        values = query_values(*(of_role[column].to_numpy() for column in columns))
        sums = by_group(values, names.indices.to_numpy(), len(names.dictionary))
        kept = [KEYS.index(key) for key in TESTED]
        parts.append(
            pa.table(
                {
                    "population": pa.repeat(population, len(names.dictionary)),
                    "group_id": names.dictionary,
                    "n": sums.sizes[:, 0],
                    **{KEYS[i]: sums.sums[:, i] for i in kept},
                }
            )
        )
    return pa.concat_tables(parts)


def with_utility_changes(rows: Sequence[dict], drawn: Drawn) -> Iterator[dict]:
    """Yield the rows with the interval of the value, and the change since the first point with its interval."""
    first = {(row["task"], row["metric"]): row for row in rows if row["place"] == 0}
    for row in rows:
        metric = (row["task"], row["metric"])
        after = drawn.utility.get((row["study"], row["place"], *metric))
        low, high = resampled([0.0] * len(after[1]), after[1], together=True) if after else (None, None)
        if low is None:
            low, high = row["exact_low"], row["exact_high"]
        change: dict[str, float | None] = {"change": None, "change_low": None, "change_high": None}
        before = drawn.utility.get((row["study"], 0, *metric))
        if row["place"] > 0 and metric in first and after is not None and before is not None:
            change["change"] = row["utility"] - first[metric]["utility"]
            ends = resampled(before[1], after[1], together=before[0] == after[0])
            change |= {"change_low": ends[0], "change_high": ends[1]}
        yield {**row, "ci_low": low, "ci_high": high, **change}


def resampled(start: Sequence[float], end: Sequence[float], *, together: bool) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of end minus start; (None, None) where the difference is constant.

    Args:
        start, end: one number for each draw; None where the draw has no value.
        together: whether draw i is the same resample of the same queries at both ends; otherwise both are treated as
            independent.
    """
    before, after = (np.array(drawn, dtype=float) for drawn in (start, end))
    difference = (after if together else shuffled(after)) - before
    difference = difference[~np.isnan(difference)]
    if len(difference) == 0 or np.ptp(difference) == 0:
        return None, None
    low, high = np.quantile(difference, [0.025, 0.975])
    return float(low), float(high)


def shuffled(drawn: np.ndarray, *, seed: int = SHUFFLE) -> np.ndarray:
    """Return the draws in a random order, the same at every call with the same seed."""
    return np.random.default_rng(seed).permutation(drawn)


def change_by_group(start: pa.Table, end: pa.Table, metric: str) -> tuple[float, float]:
    """Return the standard error of a symmetric gap's change between two splits, and the share of groups that both ask.

    Every duplicate group contributes a part to the gap of a split: its sum of deviations from the mean, divided by the
    number of queries (the linearised ratio; Cochran 1977, ch. 6). A group that both splits ask counts once, with the
    difference of its parts; where smaller training sets lie in larger ones, this pairs the splits. A group that only
    one split asks is independent of the others. The formula therefore holds for coinciding, nested, overlapping and
    disjoint sets of queries, up to terms that vanish as the number of groups grows.

    Args:
        start, end: the sums of one point, query and scope, as :func:`sums_by_group` returns them.
        metric: key of a tested metric.

    Returns:
        The standard error, and the number of common groups divided by the smaller number of groups.
    """
    parts = pa.concat_tables([_parts(start, metric, -1.0), _parts(end, metric, 1.0)])
    grouped = parts.group_by("group_id", use_threads=False).aggregate([("part", "sum"), ("part", "count")])
    both = pc.sum(pc.equal(grouped["part_count"], 2)).as_py() or 0
    error = math.sqrt(float((grouped["part_sum"].to_numpy() ** 2).sum()))
    return error, both / min(start.num_rows, end.num_rows)


def _parts(values: pa.Table, metric: str, sign: float) -> pa.Table:
    """Return each group's contribution to the symmetric gap, (a - b) / 2, times ``sign``: columns group_id, part."""
    population, sums, sizes = (values[name].to_numpy() for name in ("population", metric, "n"))
    part = np.zeros(len(sums))
    for role, half in (("a", 0.5), ("b", -0.5)):
        in_role = population == role
        total = sizes[in_role].sum()
        if total:
            part[in_role] = sign * half * (sums[in_role] - sizes[in_role] * sums[in_role].sum() / total) / total
    return pa.table({"group_id": values["group_id"], "part": part})


def normal(change: float, error: float) -> tuple[float, float]:
    """Return the normal 95 % interval of a change with a standard error."""
    return change - QUANTILE * error, change + QUANTILE * error


def joint(drawn: Mapping[int, tuple[str, Sequence[float]]], places: Sequence[int]) -> np.ndarray:
    """Return the draws of several points side by side; float64 (draws, places).

    Draws that resample the same queries as the first point's are paired with them; all others are treated as
    independent.

    Args:
        drawn: place -> a key that is equal where draws resample the same queries, and the draws.
        places: the places of the points to return.
    """
    kinds = list(dict.fromkeys(drawn[place][0] for place in places))
    columns = []
    for place in places:
        kind, values = drawn[place]
        column = np.array(values, dtype=float)
        columns.append(column if kind == kinds[0] else shuffled(column, seed=SHUFFLE + kinds.index(kind)))
    return np.column_stack(columns)
