"""How well a score tells members from non-members, and how far two scores agree; all from ranks, so from levels.

A level is the place of a value among the distinct values, ascending: what is measured here depends on order alone.
Every measure takes weights, so that a bootstrap over duplicate groups is a matter of counting.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-9


def levels(values: np.ndarray) -> np.ndarray:
    """int64 (n,): the place of each value among the distinct values, from 0; equal values share it."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def roc_auc(members: np.ndarray, others: np.ndarray, member_weights: np.ndarray, other_weights: np.ndarray) -> float:
    """Probability that a member scores higher than a non-member, ties counting half.

    Args:
        members, others: int64 (n,) and (m,), levels of one common ranking.
        member_weights, other_weights: float (n,) and (m,).
    """
    number = 1 + int(max(members.max(), others.max()))
    at = np.bincount(others, weights=other_weights, minlength=number)
    below = np.cumsum(at) - at / 2
    return float((member_weights * below[members]).sum() / (member_weights.sum() * other_weights.sum()))


def true_positive_rate(
    members: np.ndarray,
    others: np.ndarray,
    member_weights: np.ndarray,
    other_weights: np.ndarray,
    false_positive_rate: float,
) -> float:
    """Share of the members above the lowest level that at most the given share of the non-members exceeds.

    Args:
        members, others, member_weights, other_weights: as for :func:`roc_auc`.
        false_positive_rate: that share.
    """
    number = 1 + int(max(members.max(), others.max()))
    at = np.bincount(others, weights=other_weights, minlength=number)
    above = other_weights.sum() - np.cumsum(at)
    threshold = int(np.argmax(above <= false_positive_rate * other_weights.sum() + 1e-9))
    return float((member_weights * (members > threshold)).sum() / member_weights.sum())


def spearman(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where a ranking is constant.

    Args:
        one, other: int64 (n,), levels.
        weights: float (n,); a weight of two counts as two equal samples.
    """
    x, y = mid_ranks(one, weights), mid_ranks(other, weights)
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    spread = np.sqrt([(weights * x * x).sum(), (weights * y * y).sum()]) / weights.sum() ** 1.5
    if (spread < ROUNDING).any():
        return float("nan")
    return float((weights * x * y).sum() / weights.sum() ** 3 / spread.prod())


def mid_ranks(level: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float64 (n,): the rank of each sample, from 0, ties at the mean of theirs.

    Args:
        level: int64 (n,), as of :func:`levels`.
        weights: float (n,); a weight of two counts as two equal samples.
    """
    at = np.bincount(level, weights=weights)
    return (np.cumsum(at) - at / 2)[level]
