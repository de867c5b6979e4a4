"""Population statistics: gaps between the sides, their sampling spread, intervals and tests.

Every metric of :mod:`dejavu.memorization.metrics` is a mean of one value per query, which makes resampling a matrix
product. Resampling draws whole duplicate groups, since their members are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

F1_EPSILON = 1e-5
CELLS_PER_DRAW = 20_000_000
ROUNDING = 1e-9


@dataclass(frozen=True)
class Values:
    """The per-query values of one population, summed by duplicate group.

    Attributes:
        sums: float64 (groups, columns), sums over the group's members of the values (0 for queries out of scope).
        sizes: float64 (groups, columns), number of the group's members in scope.
    """

    sums: np.ndarray
    sizes: np.ndarray

    def means(self, weights: np.ndarray) -> np.ndarray:
        """float64 (draws, columns): weighted means; NaN where a draw has no query in scope. Weights (draws, groups)."""
        sizes = weights @ self.sizes
        return np.divide(weights @ self.sums, sizes, out=np.full(sizes.shape, np.nan), where=sizes != 0)

    @property
    def value(self) -> np.ndarray:
        """float64 (columns,): the metric over all queries in scope."""
        return self.means(np.ones((1, len(self.sums))))[0]

    @property
    def count(self) -> np.ndarray:
        """int64 (columns,): number of queries in scope."""
        return self.sizes.sum(axis=0).astype(np.int64)


def by_group(values: np.ndarray, groups: np.ndarray, number: int) -> Values:
    """Sums per-query values by group.

    Args:
        values: float64 (queries, columns).
        groups: int64 (queries,), the number of each query's duplicate group.
        number: of groups; those without a query get zeros.
    """
    sums = np.column_stack([np.bincount(groups, weights=column, minlength=number) for column in values.T])
    sizes = np.bincount(groups, minlength=number).astype(np.float64)
    return Values(sums, np.repeat(sizes[:, None], values.shape[1], axis=1))


def bootstrap(values: Values, draws: int, rng: np.random.Generator) -> np.ndarray:
    """float64 (draws, columns): the metrics of resamples with replacement of the groups."""
    number = len(values.sums)
    return _in_parts(values, draws, lambda n: rng.multinomial(number, np.full(number, 1 / number), size=n))


def samplings(values: Values, draws: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """float64 (draws, columns): the metrics of random subsets of the groups, at least one, without replacement."""
    number = len(values.sums)
    size = max(1, round(fraction * number))

    def subsets(n: int) -> np.ndarray:
        weights = np.zeros((n, number))
        for row in weights:
            row[rng.choice(number, size=size, replace=False)] = 1
        return weights

    return _in_parts(values, draws, subsets)


def sign_flip_p_value(values: Values, draws: int, rng: np.random.Generator) -> np.ndarray:
    """float64 (columns,): two-sided p-value of "the sides are equal", from flipping the sign of whole groups.

    p = (1 + draws at least as extreme) / (draws + 1). It tests equality of the sides, not memorization.
    """
    number = len(values.sums)
    total = values.sizes.sum(axis=0)

    def flipped(n: int) -> np.ndarray:
        return (rng.integers(0, 2, size=(n, number)) * 2.0 - 1.0) @ values.sums / np.where(total == 0, np.nan, total)

    return _p_value(values.value, np.concatenate([flipped(n) for n in _parts(draws, number)]))


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of resampled metrics (draws, columns): lower and upper ends, float64 (columns,).

    Draws without a number (no query in scope) are left out; a column without any has NaN for both ends.
    """
    tail = 100 * (1 - level) / 2
    known = ~np.isnan(resampled).all(axis=0)
    ends = np.full((2, resampled.shape[1]), np.nan)
    if known.any():
        ends[:, known] = np.nanpercentile(resampled[:, known], [tail, 100 - tail], axis=0)
    return ends[0], ends[1]


def max_t(draws: np.ndarray, values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, float]:
    """The simultaneous band of many metrics: ``values`` plus and minus the critical value times the standard errors.

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


def _in_parts(values: Values, draws: int, weights: Callable[[int], np.ndarray]) -> np.ndarray:
    return np.concatenate([values.means(weights(n)) for n in _parts(draws, len(values.sums))])


def _parts(draws: int, number: int) -> Iterator[int]:
    size = max(1, CELLS_PER_DRAW // max(1, number))
    for start in range(0, draws, size):
        yield min(size, draws - start)


def top_order(
    sort: str, correct: np.ndarray, correct_other: np.ndarray, nearest: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """The order in which queries are taken for top-L results; ties break by row.

    Args:
        sort: ``nearest`` (nearest public image closest), ``correct`` (most correct objects) or ``gap`` (largest gap in
            correct objects), each under the side that was trained on the population, against the other.
        correct, correct_other: int (queries,), correct objects under that side and under the other.
        nearest: float (queries,), highest similarity under that side.
        rows: int64 (queries,).
    """
    keys = {"nearest": nearest, "correct": correct, "gap": correct.astype(np.int64) - correct_other}
    return np.lexsort((rows, -keys[sort]))


def f1_of_means(precision: float, recall: float) -> float:
    """F1 of a mean precision and a mean recall, with the 1e-5 in the denominator of the released code."""
    return 2 * precision * recall / (precision + recall + F1_EPSILON)


def at_least(recall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve of a side: distinct recalls, ascending, and the share of queries with at least each."""
    values, counts = np.unique(recall, return_counts=True)
    return values, counts[::-1].cumsum()[::-1] / max(1, len(recall))
