"""Population statistics: gaps between the sides, their sampling spread, intervals and tests.

Every metric of :mod:`dejavu.memorization.metrics` is a mean of one value per query, which makes resampling a matrix
product. Resampling draws whole duplicate groups, since their members are not independent. Values are gone through a
block of groups at a time, so what is held does not grow with the number of groups (:mod:`dejavu.memorization.draws`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dejavu.memorization import draws as drawing
from dejavu.memorization.draws import Parts, block_sizes

F1_EPSILON = 1e-5
ROUNDING = 1e-9


@dataclass(frozen=True)
class Totals:
    """Sums over all groups of a population; each float64 (columns,).

    Attributes:
        sums: of the values.
        sizes: of the groups' sizes, so the number of queries in scope.
        squares: of the squares of the groups' sizes.
        groups: number of groups in scope.
    """

    sums: np.ndarray
    sizes: np.ndarray
    squares: np.ndarray
    groups: np.ndarray


class Grouped(ABC):
    """The per-query values of one population, summed by duplicate group, which can be gone through block by block."""

    @property
    @abstractmethod
    def number(self) -> int:
        """Number of groups."""

    @abstractmethod
    def parts(self) -> Iterator[Values]:
        """Yield the groups in their order, in blocks of the sizes that ``draws.block_sizes`` says."""

    @cached_property
    def totals(self) -> Totals:
        """The sums over all groups."""
        return Totals(*(np.sum(of_parts, axis=0) for of_parts in zip(*map(_totals, self.parts()), strict=True)))

    @property
    def value(self) -> np.ndarray:
        """float64 (columns,): the metric over all queries in scope; NaN where there is none."""
        return _ratio(self.totals.sums, self.totals.sizes)

    @property
    def count(self) -> np.ndarray:
        """int64 (columns,): number of queries in scope."""
        return self.totals.sizes.astype(np.int64)


@dataclass(frozen=True)
class Values(Grouped):
    """Values that are held in memory.

    Attributes:
        sums: float64 (groups, columns), sums over the group's members of the values (0 for queries out of scope).
        sizes: float64 (groups, columns), number of the group's members in scope.
        shared: int (columns,), where several columns share one of ``sizes``: the place of each column's own; or None.
    """

    sums: np.ndarray
    sizes: np.ndarray
    shared: np.ndarray | None = None

    @property
    def number(self) -> int:
        """Number of groups."""
        return len(self.sums)

    def parts(self) -> Iterator[Values]:
        """Yield the groups in blocks."""
        start = 0
        for size in block_sizes(self.number):
            block = slice(start, start + size)
            yield Values(self.sums[block], self.sizes[block], self.shared)
            start += size

    def of_columns(self, sizes: np.ndarray) -> np.ndarray:
        """Return what was made of ``sizes``, float64 (..., columns of ``sizes``), for every column of ``sums``."""
        return sizes if self.shared is None else sizes[..., self.shared]


def _totals(part: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    sizes = (part.sizes.sum(axis=0), (part.sizes**2).sum(axis=0), (part.sizes > 0).sum(axis=0))
    return (np.ones((1, part.number)) @ part.sums)[0], *map(part.of_columns, sizes)


def _ratio(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.divide(sums, sizes, out=np.full(sizes.shape, np.nan), where=sizes != 0)


def by_group(values: np.ndarray, groups: np.ndarray, number: int) -> Values:
    """Sum per-query values by group.

    Args:
        values: float64 (queries, columns).
        groups: int64 (queries,), the number of each query's duplicate group.
        number: of groups; those without a query get zeros.
    """
    sums = np.column_stack([np.bincount(groups, weights=column, minlength=number) for column in values.T])
    sizes = np.bincount(groups, minlength=number).astype(np.float64)
    return Values(sums, np.repeat(sizes[:, None], values.shape[1], axis=1))


def weighted(
    parts: Iterator[Values], weights: Iterator[Parts], draws: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of values and of sizes under random weights of the groups, each float64 (draws, columns).

    Args:
        parts: the values, block by block.
        weights: of the same blocks.
        draws: number of draws.
        columns: number of columns of the values.
    """
    sums, sizes = np.zeros((2, draws, columns))
    for part, of_part in zip(parts, weights, strict=True):
        for some, weight in of_part:
            sums[some] += weight @ part.sums
            sizes[some] += part.of_columns(weight @ part.sizes)
    return sums, sizes


def bootstrap(values: Grouped, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the metrics of resamples with replacement of the groups, float64 (draws, columns).

    A resample without a query in scope has NaN.
    """
    return _resampled(values, draws, drawing.resamples(block_sizes(values.number), draws, rng))


def samplings(values: Grouped, draws: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Return the metrics of random subsets of the groups, at least one, without replacement: float64 (draws, columns).

    A subset without a query in scope has NaN.
    """
    size = max(1, round(fraction * values.number))
    return _resampled(values, draws, drawing.subsets(block_sizes(values.number), size, draws, rng))


def _resampled(values: Grouped, draws: int, weights: Iterator[Parts]) -> np.ndarray:
    return _ratio(*weighted(values.parts(), weights, draws, len(values.totals.sums)))


def sign_flip_p_value(values: Grouped, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the two-sided p-value of "the sides are equal", float64 (columns,), from flipping signs of whole groups.

    p = (1 + draws at least as extreme) / (draws + 1). It tests equality of the sides, not memorization.
    """
    weights = drawing.signs(block_sizes(values.number), draws, rng)
    sums, _ = weighted(values.parts(), weights, draws, len(values.totals.sums))
    total = values.totals.sizes
    return _p_value(values.value, sums / np.where(total == 0, np.nan, total))


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of resampled metrics (draws, columns): its ends, each float64 (columns,).

    Draws without a number (no query in scope) are left out; a column without any has NaN for both ends.
    """
    tail = 100 * (1 - level) / 2
    known = ~np.isnan(resampled).all(axis=0)
    ends = np.full((2, resampled.shape[1]), np.nan)
    if known.any():
        ends[:, known] = np.nanpercentile(resampled[:, known], [tail, 100 - tail], axis=0)
    return ends[0], ends[1]


def max_t(draws: np.ndarray, values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, float]:
    """Return what makes the simultaneous band of many metrics: standard errors, and the critical value they are times.

    The band is ``values`` plus and minus the critical value times the standard errors.
    The critical value is a quantile of the largest |draw - value| / standard error among the columns, so that with the
    given probability every column's estimand lies in the band at once (single-step max-t; Westfall and Young 1993,
    Montiel Olea and Plagborg-Moller 2019). ``workflow/sql/bands.sql`` computes the same from the database.

    Args:
        draws: float (draws, columns), resampled metrics; row i of every column is of the same resample.
        values: float (columns,), the metrics themselves.
        level: probability.

    Returns:
        standard errors float64 (columns,), and the critical value; columns that vary by no more than rounding take no
        part in it.
    """
    errors = np.nanstd(draws, axis=0, ddof=1)
    varying = errors > ROUNDING
    if not varying.any():
        return errors, 0.0
    largest = np.nanmax(np.abs(draws[:, varying] - values[varying]) / errors[varying], axis=1)
    return errors, float(np.quantile(largest, level))


def _p_value(observed: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    hits = (np.abs(drawn) >= np.abs(observed) - 1e-12).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + hits) / (len(drawn) + 1))


def top_order(
    sort: str,
    correct: np.ndarray,
    correct_other: np.ndarray,
    nearest: np.ndarray,
    rows: np.ndarray,
    first: int | None = None,
) -> np.ndarray:
    """Return the order in which queries are taken for top-L results; ties break by row.

    Args:
        sort: ``nearest`` (nearest public image closest), ``correct`` (most correct objects) or ``gap`` (largest gap in
            correct objects), each under the side that was trained on the population, against the other.
        correct, correct_other: int (queries,), correct objects under that side and under the other.
        nearest: float (queries,), highest similarity under that side.
        rows: int64 (queries,).
        first: how many of the first queries are asked for; None means all.
    """
    keys = {"nearest": nearest, "correct": correct, "gap": correct.astype(np.int64) - correct_other}
    key = -keys[sort]
    if first is None or first >= len(key):
        return np.lexsort((rows, key))
    if first == 0:
        return np.zeros(0, dtype=np.int64)
    last = np.partition(key, first - 1)[first - 1]
    before, tied = np.flatnonzero(key < last), np.flatnonzero(key == last)
    before = before[np.lexsort((rows[before], key[before]))]
    return np.concatenate([before, tied[np.argsort(rows[tied], kind="stable")][: first - len(before)]])


def f1_of_means(precision: float, recall: float) -> float:
    """Return the F1 of a mean precision and a mean recall, with the 1e-5 in the denominator of the released code."""
    return 2 * precision * recall / (precision + recall + F1_EPSILON)


def at_least(recall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve of a side: distinct recalls, ascending, and the share of queries with at least each."""
    values, counts = np.unique(recall, return_counts=True)
    return values, counts[::-1].cumsum()[::-1] / max(1, len(recall))
