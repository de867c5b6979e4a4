"""Whether a measure falls or rises with a recipe: a claim that needs several trainings at both ends.

Replicates are such trainings, on training sets of their own, and studies of seeds, on the same ones. Where replicates
were run, they alone say what the gap does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.report.changes import RECALL, Drawn, shuffled
from dejavu.report.paired import Trained, paired_change

TAIL = 0.025
# Place, query and metric; query None means retrieval.
Cell = tuple[int, str | None, str]


@dataclass(frozen=True)
class Direction:
    """A change of a recipe's mean over several trainings.

    Attributes:
        change: mean at the end minus mean at the start.
        low, high: 95 % interval of the change, which covers the noise of training and of the queries.
        trainings: number of seeds, or of replicates, at the start, and at the end.
        paired: whether trainings with the same seed, or of the same replicate, were compared with each other.
        of_replicates: whether the trainings are replicates.
    """

    change: float
    low: float
    high: float
    trainings: tuple[int, int]
    paired: bool
    of_replicates: bool = False

    @property
    def word(self) -> str:
        """Return ``falls``, ``rises``, or that neither is shown."""
        if self.high < 0:
            return "falls"
        return "rises" if self.low > 0 else "is not shown to fall or rise"


def direction(start: Mapping[int, float], end: Mapping[int, float], query_error: float = 0.0) -> Direction | None:
    """Return the change between two recipes, with an interval that covers the noise of training.

    The result is None where neither two seeds are common to both ends, nor each end has two.

    Two trainings with the same seed begin with the same weights and see the data in the same order. Where both ends
    share two or more seeds, the interval is therefore Student's, of the differences by seed, with one degree of freedom
    less than seeds. Otherwise the interval is Welch's (1947). All seeds are asked the same queries, so differences
    between seeds do not show the noise of the queries. The variance of this noise is added; a small part of it counts
    twice, since training and queries interact.

    Args:
        start, end: seed -> value measured with this seed.
        query_error: standard error of the change of the mean over the compared seeds, from resampling the queries.
    """
    common = sorted(start.keys() & end.keys())
    if len(common) > 1:
        differences = np.array([end[seed] - start[seed] for seed in common])
        change, variance, freedom = differences.mean(), differences.var(ddof=1) / len(common), len(common) - 1.0
        trainings = (len(common), len(common))
    elif min(len(start), len(end)) > 1:
        before, after = (np.array(list(values.values())) for values in (start, end))
        parts = np.array([values.var(ddof=1) / len(values) for values in (before, after)])
        change, variance = after.mean() - before.mean(), parts.sum()
        degrees = np.array([len(before) - 1, len(after) - 1])
        # Welch's formula divides by the variance; without any variance, take the smaller number of degrees of freedom.
        freedom = float(variance**2 / (parts**2 / degrees).sum()) if variance > 0 else float(degrees.min())
        trainings = (len(before), len(after))
    else:
        return None
    reach = float(stdtrit(freedom, 1 - TAIL)) * float(np.sqrt(variance + query_error**2))
    return Direction(float(change), float(change - reach), float(change + reach), trainings, len(common) > 1)


def studies_of_seeds(studies: Mapping, model: str, split: str) -> set[str]:
    """Return the names of the studies that train the same model in the same split with other seeds."""
    return {
        name
        for name, section in studies.items()
        if section["axis"] == "seed" and (section["model"], section["split"]) == (model, split)
    }


def directions(
    name: str, studies: Mapping, results: Mapping[str, Sequence[dict]], drawn: Drawn
) -> Iterator[tuple[Cell, Direction]]:
    """Yield ((place, query, metric), change of the recipe's mean since the first point), where trainings suffice.

    A gap of which either point has replicates changes as the replicates of both say, whatever seeds were run; where
    only one of them has any, nothing is said. Retrieval is not measured in replicates, and rests on seeds.
    """
    points = studies[name]["points"]
    if studies[name]["axis"] == "seed":
        return
    seeds_of = [_trained_with(studies, point) for point in points]
    replicates = _of_replicates(name, results)
    queries = dict.fromkeys(row["query"] for row in results["study"])
    for query, metric in [*itertools.product(queries, METRIC_NAMES), (None, RECALL)]:
        measured = [_of_seeds(seeds, query, metric, results) for seeds in seeds_of]
        for place in range(1, len(points)):
            start, end = (replicates.get((at, query, metric), {}) for at in (0, place))
            if start or end:
                change = _over_replicates(start, end, points[0]["split"] == points[place]["split"])
            else:
                error = _query_error(seeds_of[0], seeds_of[place], query, metric, drawn)
                change = direction(measured[0], measured[place], error)
            if change is not None:
                yield (place, query, metric), change


def _of_replicates(name: str, results: Mapping[str, Sequence[dict]]) -> dict[tuple[int, str | None, str], Trained]:
    """Return (place, query, metric) -> what the replicates of a point measured, from rows of ``study_replicates``."""
    found: dict[tuple[int, str | None, str], dict[int, tuple[float, Sequence[float]]]] = {}
    for row in results["study_replicates"]:
        if row["study"] == name and row["value"] is not None:
            of_point = found.setdefault((row["place"], row["query"], row["metric"]), {})
            of_point[row["replicate"]] = row["value"], row["drawn"]
    return dict(found)


def _over_replicates(start: Trained, end: Trained, together: bool) -> Direction | None:
    found = paired_change(start, end, together=together)
    if found is None:
        return None
    interval, number = found
    return Direction(interval.mean, interval.low, interval.high, (number, number), paired=True, of_replicates=True)


def _trained_with(studies: Mapping, point: Mapping) -> dict[int, tuple[str, int]]:
    """Return seed -> (study, place) of the trainings that differ from a point only in their seed."""
    by_seed: dict[int, tuple[str, int]] = {}
    for study in sorted(studies_of_seeds(studies, point["model"], point["split"])):
        for place, training in enumerate(studies[study]["points"]):
            # A study of seeds has last checkpoints only, so an earlier checkpoint of a point has no others.
            if training["samples_seen"] == point["samples_seen"]:
                by_seed.setdefault(training["value"], (study, place))
    return by_seed


def _of_seeds(
    seeds: Mapping[int, tuple[str, int]], query: str | None, metric: str, results: Mapping[str, Sequence[dict]]
) -> dict[int, float]:
    """Return seed -> the symmetric gap of a query in scope ``all``; for query None, recall@10."""
    if query is None:
        values = {(r["study"], r["place"]): r["utility"] for r in results["study_utility"] if r["metric"] == RECALL}
    else:
        rows = [r for r in results["study"] if (r["query"], r["scope"], r["metric"]) == (query, "all", metric)]
        values = {(row["study"], row["place"]): row["gap"] for row in rows}
    return {seed: values[at] for seed, at in seeds.items() if values.get(at) is not None}


def _query_error(
    start: Mapping[int, tuple[str, int]],
    end: Mapping[int, tuple[str, int]],
    query: str | None,
    metric: str,
    drawn: Drawn,
) -> float:
    """Return the standard error of the change of the mean over the compared seeds, from resamples of the queries."""
    common = start.keys() & end.keys()
    means = []
    for seeds in (start, end):
        # The same choice as in direction(): the common seeds if there are two or more, otherwise all seeds.
        chosen = [at for seed, at in sorted(seeds.items()) if len(common) < 2 or seed in common]
        draws = [of_seed for at in chosen if (of_seed := drawn.of(*at, query, metric)) is not None]
        if not draws:
            return 0.0
        means.append((draws[0][0], np.mean([np.array(values, dtype=float) for _, values in draws], axis=0)))
    (kind_before, before), (kind_after, after) = means
    return float(np.nanstd((after if kind_before == kind_after else shuffled(after)) - before, ddof=1))
