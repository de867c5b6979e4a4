"""Changes between the points of a study: what each is an interval of depends on which queries both points ask."""

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

# of retrieval on the holdout, mean of both directions and of the sides
RECALL = "recall@10"
_GroupValues = Callable[[str, int, str], dict[tuple[str, str], pa.Table]]
# 97.5 % quantile of the normal distribution
QUANTILE = 1.959964
# draws of several splits are of other groups, so equal numbers mean nothing: all but one split's are shuffled
SHUFFLE = 0


@dataclass(frozen=True)
class Drawn:
    """The resamples of all studies' points.

    Attributes:
        gaps: (study, place, query, metric) -> split, and the draws of the symmetric gap of all objects.
        utility: (study, place, task, metric) -> what the resamples are shared by, and the draws.
    """

    gaps: Mapping[tuple[str, int, str, str], tuple[str, list[float]]]
    utility: Mapping[tuple[str, int, str, str], tuple[str, list[float]]]

    def of(self, study: str, place: int, query: str | None, metric: str) -> tuple[str, list[float]] | None:
        """Those of a gap; without a query those of retrieval."""
        if query is None:
            return self.utility.get((study, place, "retrieval", metric))
        return self.gaps.get((study, place, query, metric))

    def strongest(self, study: str, place: int) -> tuple[str, list[float]] | None:
        """Those of the metric of the trade-off, in every draw by the query that shows most."""
        found = [drawn for (*at, _, metric), drawn in self.gaps.items() if at == [study, place] and metric == TRADED]
        if not found:
            return None
        return found[0][0], np.max([np.array(values, dtype=float) for _, values in found], axis=0).tolist()


def drawn_of(found: Mapping[str, Sequence[dict]], databases: Mapping[str, Queries]) -> Drawn:
    """Gathers the resamples from rows of ``study_draws.sql`` and ``study_utility_draws.sql``, with their splits."""
    holdouts = {split: json.dumps(base.rows("holdout")) for split, base in databases.items()}
    return Drawn(
        {(r["study"], r["place"], r["query"], r["metric"]): (r["split"], r["drawn"]) for r in found["study_draws"]},
        {
            (row["study"], row["place"], row["task"], row["metric"]): (
                # the images of a benchmark are the same for all splits
                holdouts[row["split"]] if row["task"] == "retrieval" else "",
                row["drawn"],
            )
            for row in found["study_utility_draws"]
        },
    )


def with_changes(gaps: Sequence[dict], drawn: Drawn, databases: Mapping[str, Queries]) -> Iterator[dict]:
    """Adds the change since the first point, its 95 % interval, and in ``pairing`` what that is an interval of."""
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
    """Within a split, where draw i is the same resample for all points; only the gaps of all objects are kept."""
    before, after = (drawn.of(row["study"], row["place"], row["query"], row["metric"]) for row in (start, end))
    if end["scope"] != "all" or before is None or after is None:
        return {}
    low, high = resampled(before[1], after[1], together=True)
    return {"change_low": low, "change_high": high, "pairing": "resample by resample"}


def _grouped_change(start: Mapping, end: Mapping, values: _GroupValues) -> dict[str, Any]:
    """Between two splits, whose draws are of other groups."""
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
    """Return the function that reads the scores of a point (study, place, split), by query and scope."""

    # the first point is compared with one other at a time
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
    """Return what each duplicate group of the training roles adds to the gaps on these roles.

    Args:
        scores: rows of ``study_values.sql`` of one point, query and scope.

    Returns:
        Columns population, group_id, n (queries) and, for every tested metric, the sum of its per-query values.
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
    """Adds the interval, the change since the first point and its interval."""
    first = {(row["task"], row["metric"]): row for row in rows if row["place"] == 0}
    for row in rows:
        metric = (row["task"], row["metric"])
        here = drawn.utility.get((row["study"], row["place"], *metric))
        low, high = resampled([0.0] * len(here[1]), here[1], together=True) if here else (None, None)
        if low is None:
            low, high = row["exact_low"], row["exact_high"]
        change: dict[str, float | None] = {"change": None, "change_low": None, "change_high": None}
        before = drawn.utility.get((row["study"], 0, *metric))
        if row["place"] > 0 and metric in first and here is not None and before is not None:
            change["change"] = row["utility"] - first[metric]["utility"]
            ends = resampled(before[1], here[1], together=before[0] == here[0])
            change |= {"change_low": ends[0], "change_high": ends[1]}
        yield {**row, "ci_low": low, "ci_high": high, **change}


def resampled(start: Sequence[float], end: Sequence[float], *, together: bool) -> tuple[float | None, float | None]:
    """95 % percentile interval of end minus start; no numbers where no draw tells the two apart.

    Args:
        start, end: one number for each draw; None is a draw without.
        together: whether draw i is the same resample of the same queries at both; else as if they were independent.
    """
    before, after = (np.array(drawn, dtype=float) for drawn in (start, end))
    difference = (after if together else shuffled(after)) - before
    difference = difference[~np.isnan(difference)]
    if len(difference) == 0 or np.ptp(difference) == 0:
        return None, None
    low, high = np.quantile(difference, [0.025, 0.975])
    return float(low), float(high)


def shuffled(drawn: np.ndarray, *, seed: int = SHUFFLE) -> np.ndarray:
    """The draws in another order, the same at every call."""
    return np.random.default_rng(seed).permutation(drawn)


def change_by_group(start: pa.Table, end: pa.Table, metric: str) -> tuple[float, float]:
    """Standard error of the change of a symmetric gap between two splits, and the share of the groups that both ask.

    Every duplicate group adds its part to the gap of either split: its sum of deviations from the mean, over the number
    of queries (the linearised ratio; Cochran 1977, ch. 6). A group that both splits ask counts once, with the
    difference of its parts: where smaller training sets lie in larger ones, that is the pairing. Groups that one split
    alone asks are independent of the others. So one formula is right for coinciding, nested, overlapping and disjoint
    sets of queries, up to terms that vanish with the number of groups.

    Args:
        start, end: of one point, query and scope, as :func:`sums_by_group` returns them.
        metric: one that is tested.
    """
    parts = pa.concat_tables([_parts(start, metric, -1.0), _parts(end, metric, 1.0)])
    grouped = parts.group_by("group_id", use_threads=False).aggregate([("part", "sum"), ("part", "count")])
    both = pc.sum(pc.equal(grouped["part_count"], 2)).as_py() or 0
    error = math.sqrt(float((grouped["part_sum"].to_numpy() ** 2).sum()))
    return error, both / min(start.num_rows, end.num_rows)


def _parts(values: pa.Table, metric: str, sign: float) -> pa.Table:
    """What each group adds to the symmetric gap, (a - b) / 2: columns group_id, part."""
    population, sums, sizes = (values[name].to_numpy() for name in ("population", metric, "n"))
    part = np.zeros(len(sums))
    for role, half in (("a", 0.5), ("b", -0.5)):
        here = population == role
        total = sizes[here].sum()
        if total:
            part[here] = sign * half * (sums[here] - sizes[here] * sums[here].sum() / total) / total
    return pa.table({"group_id": values["group_id"], "part": part})


def normal(change: float, error: float) -> tuple[float, float]:
    """95 % interval of a change with a standard error."""
    return change - QUANTILE * error, change + QUANTILE * error


def joint(drawn: Mapping[int, tuple[str, Sequence[float]]], places: Sequence[int]) -> np.ndarray:
    """float64 (draws, places): the draws of several points, those of other splits than the first's as if independent.

    Args:
        drawn: place -> what its resamples are shared by (a split, or all with one holdout), and its draws.
        places: those to take.
    """
    kinds = list(dict.fromkeys(drawn[place][0] for place in places))
    columns = []
    for place in places:
        kind, values = drawn[place]
        column = np.array(values, dtype=float)
        columns.append(column if kind == kinds[0] else shuffled(column, seed=SHUFFLE + kinds.index(kind)))
    return np.column_stack(columns)
