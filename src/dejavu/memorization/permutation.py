"""The joint test: whether two roles differ in any of many gaps by more than drawing the roles at random explains.

The split draws by chance which of two roles a duplicate group has. Without memorization the label of the role is
therefore exchangeable over the pooled groups, whatever the difference in quality between the sides, however unequal
the groups are, and however few. So p-values from permuting the labels of whole groups are exact, where intervals of the
bootstrap need many groups of similar size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dejavu.memorization.gaps import ROUNDING, Values

LEVEL = 0.95
# 80 % quantile of the normal distribution: what is found in four of five runs
POWER_QUANTILE = 0.8416
CELLS_PER_DRAW = 5_000_000
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class JointTest:
    """What permutations say of the differences between two roles; arrays are float64 (columns,).

    Attributes:
        value: scale * (metric on the first role - metric on the second).
        expected: its mean over the permutations: 0, unless labels are permuted within strata that differ.
        std_error: its standard deviation over the permutations.
        p_value: two-sided p-value of each column by itself.
        p_joint: one-sided p-value of "this column is above what is expected", adjusted for all columns of the family
            (single-step max-t; Westfall and Young 1993); NaN outside of the family, and where nothing varies.
        critical: 95 % quantile of the family's largest t; 0 where nothing varies.
    """

    value: np.ndarray
    expected: np.ndarray
    std_error: np.ndarray
    p_value: np.ndarray
    p_joint: np.ndarray
    critical: float

    @property
    def detectable(self) -> np.ndarray:
        """float64 (columns,): the smallest true difference that the joint test finds in 80 % of runs."""
        return np.where(self.std_error > ROUNDING, (self.critical + POWER_QUANTILE) * self.std_error, np.nan)


def joint_test(
    first: Values,
    second: Values,
    family: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    *,
    scale: float = 0.5,
    strata: tuple[np.ndarray, np.ndarray] | None = None,
) -> JointTest:
    """Permutes which of two roles every duplicate group has; all columns share the permutations.

    Args:
        first, second: the per-query values of the two roles, by group, with the same columns.
        family: bool (columns,), the columns that are tested jointly.
        draws: number of permutations. p = (1 + draws at least as extreme) / (draws + 1).
        rng: source of the permutations.
        scale: of the difference; one half for ``symmetric``.
        strata: int64 (groups,) of either role: labels are permuted within a stratum only. For roles that were not drawn
            by chance, of groups of one size, say, where which of these are in which role may be taken for chance.
    """
    pooled = Values(np.concatenate([first.sums, second.sums]), np.concatenate([first.sizes, second.sizes]))
    number = len(pooled.sums)
    layers = np.zeros(number, dtype=np.int64) if strata is None else np.concatenate(strata)
    member = np.arange(number) < len(first.sums)
    value = scale * (first.value - second.value)
    drawn = np.concatenate([_differences(pooled, labels, scale) for labels in _permuted(member, layers, draws, rng)])
    expected, std_error = np.zeros_like(value), np.zeros_like(value)
    known = ~np.isnan(drawn).all(axis=0)
    # within one stratum the roles are exchanged freely
    is_layered = len(np.unique(layers)) > 1
    expected[known] = np.nanmean(drawn[:, known], axis=0) if is_layered else 0.0
    std_error[known] = np.sqrt(np.nanmean((drawn[:, known] - expected[known]) ** 2, axis=0))
    extreme = np.abs(drawn - expected) >= np.abs(value - expected) - _TOLERANCE
    p_value = np.where(np.isnan(value), np.nan, (1 + extreme.sum(axis=0)) / (draws + 1))
    p_joint, critical = _adjusted(value, expected, std_error, drawn, family)
    return JointTest(value, expected, std_error, p_value, p_joint, critical)


def _adjusted(
    value: np.ndarray, expected: np.ndarray, std_error: np.ndarray, drawn: np.ndarray, family: np.ndarray
) -> tuple[np.ndarray, float]:
    """The adjusted p-values of the family's columns that vary, and the critical value."""
    p_joint = np.full(len(value), np.nan)
    tested = family & (std_error > ROUNDING) & ~np.isnan(value)
    if not tested.any():
        return p_joint, 0.0
    t = (value[tested] - expected[tested]) / std_error[tested]
    # a permutation in which no query is in a column's scope says nothing of that column
    largest = np.nan_to_num((drawn[:, tested] - expected[tested]) / std_error[tested], nan=-np.inf).max(axis=1)
    hits = (largest[:, None] >= t - _TOLERANCE).sum(axis=0)
    p_joint[tested] = (1 + hits) / (len(drawn) + 1)
    return p_joint, float(np.quantile(largest, LEVEL))


def _differences(pooled: Values, labels: np.ndarray, scale: float) -> np.ndarray:
    sums, sizes = labels @ pooled.sums, labels @ pooled.sizes
    others = pooled.sums.sum(axis=0) - sums, pooled.sizes.sum(axis=0) - sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        return scale * np.where((sizes > 0) & (others[1] > 0), sums / sizes - others[0] / others[1], np.nan)


def _permuted(member: np.ndarray, layers: np.ndarray, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields float64 (n, groups): 1 where a group is in the first role; of each layer as many as there are."""
    by_layer = np.argsort(layers, kind="stable")
    # in the order of layers, the first role's groups of a layer first
    pattern = member[np.lexsort((~member, layers))].astype(np.float64)
    size = max(1, CELLS_PER_DRAW // max(1, len(member)))
    for start in range(0, draws, size):
        n = min(size, draws - start)
        keys = layers[by_layer] + rng.random((n, len(member)))
        labels = np.empty((n, len(member)))
        np.put_along_axis(labels, by_layer[np.argsort(keys, axis=1)], pattern[None], axis=1)
        yield labels


def effective_groups(values: Values) -> np.ndarray:
    """float64 (columns,): (sum of s)^2 / sum of s^2 of the groups' sizes s: how many equal groups would weigh as much.

    The number is Kish's effective sample size (Kish 1965); 0 where no query is in scope.
    """
    squares = (values.sizes**2).sum(axis=0)
    return np.divide(values.sizes.sum(axis=0) ** 2, squares, out=np.zeros(len(squares)), where=squares != 0)
