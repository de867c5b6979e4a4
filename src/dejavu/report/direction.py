"""Whether something falls or rises: a claim about a recipe, which one training at each end does not carry."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.report.changes import RECALL, Drawn, shuffled

TAIL = 0.025
# place, query and metric; without a query it is retrieval
Cell = tuple[int, str | None, str]


@dataclass(frozen=True)
class Direction:
    """A change of a recipe's mean over seeds of training.

    Attributes:
        change: mean at the end minus mean at the start.
        low, high: 95 % interval, which holds the noise of training.
        seeds: number of seeds at the start, and at the end.
        paired: whether the same seeds were compared with each other.
    """

    change: float
    low: float
    high: float
    seeds: tuple[int, int]
    paired: bool

    @property
    def word(self) -> str:
        """``falls`` or ``rises``, or that neither is shown."""
        if self.high < 0:
            return "falls"
        return "rises" if self.low > 0 else "is not shown to fall or rise"


def direction(start: Mapping[int, float], end: Mapping[int, float], query_error: float = 0.0) -> Direction | None:
    """The change between two recipes with the noise of training in its interval; None where too few seeds were run.

    Where two or more seeds were run at both ends, a seed's two trainings begin with the same weights and see the data
    in the same order: their differences are taken, and the interval is Student's with one degree of freedom less than
    seeds. Otherwise it is Welch's (1947). All seeds are asked the same queries, so the noise of these is in no
    difference between seeds; its variance is added, and counts a little twice, since training and queries interact.

    Args:
        start, end: seed -> what was measured with it.
        query_error: standard error of the change of the mean over these seeds, from resampling the queries.
    """
    common = sorted(start.keys() & end.keys())
    if len(common) > 1:
        differences = np.array([end[seed] - start[seed] for seed in common])
        change, variance, freedom = differences.mean(), differences.var(ddof=1) / len(common), len(common) - 1.0
        seeds = (len(common), len(common))
    elif min(len(start), len(end)) > 1:
        one, other = (np.array(list(values.values())) for values in (start, end))
        parts = np.array([values.var(ddof=1) / len(values) for values in (one, other)])
        change, variance = other.mean() - one.mean(), parts.sum()
        degrees = np.array([len(one) - 1, len(other) - 1])
        # without any spread the smaller number is all that can be said
        freedom = float(variance**2 / (parts**2 / degrees).sum()) if variance > 0 else float(degrees.min())
        seeds = (len(one), len(other))
    else:
        return None
    reach = float(stdtrit(freedom, 1 - TAIL)) * float(np.sqrt(variance + query_error**2))
    return Direction(float(change), float(change - reach), float(change + reach), seeds, len(common) > 1)


def studies_of_seeds(studies: Mapping, model: str, split: str) -> set[str]:
    """The studies that train a model of a split with other seeds."""
    return {
        name
        for name, section in studies.items()
        if section["axis"] == "seed" and (section["model"], section["split"]) == (model, split)
    }


def directions(
    name: str, studies: Mapping, found: Mapping[str, Sequence[dict]], drawn: Drawn
) -> Iterator[tuple[Cell, Direction]]:
    """((place, query, metric), change of the recipe since the first point), where seeds were run at both."""
    points = studies[name]["points"]
    if studies[name]["axis"] == "seed":
        return
    replicates = [_replicates(studies, point) for point in points]
    queries = dict.fromkeys(row["query"] for row in found["study"])
    for query, metric in [*itertools.product(queries, METRIC_NAMES), (None, RECALL)]:
        measured = [_of_seeds(seeds, query, metric, found) for seeds in replicates]
        for place in range(1, len(points)):
            error = _query_error(replicates[0], replicates[place], query, metric, drawn)
            change = direction(measured[0], measured[place], error)
            if change is not None:
                yield (place, query, metric), change


def _replicates(studies: Mapping, point: Mapping) -> dict[int, tuple[str, int]]:
    """Seed -> (study, place) of the trainings that differ from a point in their seed alone."""
    found: dict[int, tuple[str, int]] = {}
    for study in sorted(studies_of_seeds(studies, point["model"], point["split"])):
        for place, other in enumerate(studies[study]["points"]):
            # a study of seeds keeps the last checkpoints alone
            if other["samples_seen"] == point["samples_seen"]:
                found.setdefault(other["value"], (study, place))
    return found


def _of_seeds(
    seeds: Mapping[int, tuple[str, int]], query: str | None, metric: str, found: Mapping[str, Sequence[dict]]
) -> dict[int, float]:
    """Seed -> the symmetric gap of a query over all objects; without a query recall@10."""
    if query is None:
        values = {(r["study"], r["place"]): r["utility"] for r in found["study_utility"] if r["metric"] == RECALL}
    else:
        rows = [row for row in found["study"] if (row["query"], row["scope"], row["metric"]) == (query, "all", metric)]
        values = {(row["study"], row["place"]): row["gap"] for row in rows}
    return {seed: values[at] for seed, at in seeds.items() if values.get(at) is not None}


def _query_error(
    start: Mapping[int, tuple[str, int]],
    end: Mapping[int, tuple[str, int]],
    query: str | None,
    metric: str,
    drawn: Drawn,
) -> float:
    """Standard error, over resamples of the queries, of the change of the mean over those seeds that are compared."""
    common = start.keys() & end.keys()
    means = []
    for seeds in (start, end):
        # as in direction(): the seeds of both ends, unless there is but one
        chosen = [at for seed, at in sorted(seeds.items()) if len(common) < 2 or seed in common]
        draws = [one for at in chosen if (one := drawn.of(*at, query, metric)) is not None]
        if not draws:
            return 0.0
        means.append((draws[0][0], np.mean([np.array(values, dtype=float) for _, values in draws], axis=0)))
    (kind, before), (other, after) = means
    return float(np.nanstd((after if kind == other else shuffled(after)) - before, ddof=1))
