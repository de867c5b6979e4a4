"""The joint test: whether two roles differ in any of many gaps by more than drawing the roles at random explains.

The split draws by chance which of two roles a duplicate group has. Without memorization the label of the role is
therefore exchangeable over the pooled groups, whatever the difference in quality between the sides, however unequal
the groups are, and however few. So p-values from permuting the labels of whole groups are exact, where intervals of the
bootstrap need many groups of similar size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from dejavu.memorization import draws as drawing
from dejavu.memorization.gaps import ROUNDING, Grouped, Values, weighted

LEVEL = 0.95
# 80 % quantile of the normal distribution: what is found in four of five runs
POWER_QUANTILE = 0.8416
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
        """The smallest true difference that the joint test finds in 80 % of runs, float64 (columns,)."""
        return np.where(self.std_error > ROUNDING, (self.critical + POWER_QUANTILE) * self.std_error, np.nan)


def joint_test(
    first: Grouped,
    second: Grouped,
    family: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    *,
    scale: float = 0.5,
    strata: tuple[np.ndarray, np.ndarray] | None = None,
) -> JointTest:
    """Permute which of two roles every duplicate group has; all columns share the permutations.

    Args:
        first, second: the per-query values of the two roles, by group, with the same columns.
        family: bool (columns,), the columns that are tested jointly.
        draws: number of permutations. p = (1 + draws at least as extreme) / (draws + 1).
        rng: source of the permutations.
        scale: of the difference; one half for ``symmetric``.
        strata: int64 (groups,) of either role: labels are permuted within a stratum only. For roles that were not drawn
            by chance, of groups of one size, say, where which of these are in which role may be taken for chance.
    """
    layers = None if strata is None else np.concatenate(strata)
    value = scale * (first.value - second.value)
    drawn = _permuted(first, second, layers, draws, rng, scale)
    expected, std_error = np.zeros_like(value), np.zeros_like(value)
    known = ~np.isnan(drawn).all(axis=0)
    # within one stratum the roles are exchanged freely
    is_layered = layers is not None and len(np.unique(layers)) > 1
    expected[known] = np.nanmean(drawn[:, known], axis=0) if is_layered else 0.0
    std_error[known] = np.sqrt(np.nanmean((drawn[:, known] - expected[known]) ** 2, axis=0))
    extreme = np.abs(drawn - expected) >= np.abs(value - expected) - _TOLERANCE
    p_value = np.where(np.isnan(value), np.nan, (1 + extreme.sum(axis=0)) / (draws + 1))
    p_joint, critical = _adjusted(value, expected, std_error, drawn, family)
    return JointTest(value, expected, std_error, p_value, p_joint, critical)


def _permuted(
    first: Grouped, second: Grouped, layers: np.ndarray | None, draws: int, rng: np.random.Generator, scale: float
) -> np.ndarray:
    """Return the differences between the roles after permutations, float64 (draws, columns)."""
    number = first.number + second.number
    blocks = drawing.block_sizes(number)
    if len(blocks) > 1:
        blocks = drawing.block_sizes(first.number) + drawing.block_sizes(second.number)
    member = np.repeat([True, False], [first.number, second.number])
    weights = drawing.relabelings(blocks, member, layers, draws, rng)
    sums, sizes = weighted(_pooled(first, second), weights, draws, len(first.totals.sums))
    all_sums, all_sizes = _pooled_sums(first, second)
    other_sums, other_sizes = all_sums - sums, all_sizes - sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = sums / sizes - other_sums / other_sizes
        return scale * np.where((sizes > 0) & (other_sizes > 0), difference, np.nan)


def _pooled(first: Grouped, second: Grouped) -> Iterator[Values]:
    """Yield the groups of both roles: as one block where they fit into one, else block by block."""
    if len(drawing.block_sizes(first.number + second.number)) > 1:
        yield from first.parts()
        yield from second.parts()
        return
    parts = [*first.parts(), *second.parts()]
    sizes = [part.of_columns(part.sizes) for part in parts]
    yield Values(np.concatenate([part.sums for part in parts]), np.concatenate(sizes))


def _adjusted(
    value: np.ndarray, expected: np.ndarray, std_error: np.ndarray, drawn: np.ndarray, family: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the adjusted p-values of the family's columns that vary, and the critical value."""
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


def _pooled_sums(first: Grouped, second: Grouped) -> tuple[np.ndarray, np.ndarray]:
    parts = list(islice(_pooled(first, second), 2))
    if len(parts) > 1:
        return first.totals.sums + second.totals.sums, first.totals.sizes + second.totals.sizes
    return parts[0].sums.sum(axis=0), parts[0].sizes.sum(axis=0)


def effective_groups(values: Grouped) -> np.ndarray:
    """Return (sum of s)^2 / sum of s^2 of the groups' sizes s: how many equal groups would weigh as much.

    The number, float64 (columns,), is Kish's effective sample size (Kish 1965); 0 where no query is in scope.
    """
    squares = values.totals.squares
    return np.divide(values.totals.sizes**2, squares, out=np.zeros(len(squares)), where=squares != 0)
