"""Measures of how well a score separates members from non-members, and of how far two scores agree.

All measures depend on the order of the scores alone. They therefore take levels: a level is the place of a value among
the distinct values, ascending. Every measure takes weights: in a bootstrap over duplicate groups, a sample's weight is
the number of times that its group was drawn.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-9


def levels(values: np.ndarray) -> np.ndarray:
    """Return the place of each value among the distinct values, from 0; int64 (n,). Equal values have equal levels."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def roc_auc(members: np.ndarray, others: np.ndarray, member_weights: np.ndarray, other_weights: np.ndarray) -> float:
    """Return the probability that a member scores higher than a non-member, ties counting half.

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
    """Return the true positive rate at a false positive rate.

    The threshold is the lowest level that at most a share ``false_positive_rate`` of the non-members exceeds. The
    result is the share of the members above the threshold.

    Args:
        members, others: int64 (n,) and (m,), levels of one common ranking.
        member_weights, other_weights: float (n,) and (m,).
        false_positive_rate: largest allowed share of non-members above the threshold.
    """
    number = 1 + int(max(members.max(), others.max()))
    at = np.bincount(others, weights=other_weights, minlength=number)
    above = other_weights.sum() - np.cumsum(at)
    threshold = int(np.argmax(above <= false_positive_rate * other_weights.sum() + 1e-9))
    return float((member_weights * (members > threshold)).sum() / member_weights.sum())


def spearman(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Return Spearman's rank correlation of two scores, ties at their mean rank; NaN where a score is constant.

    Args:
        first, second: int64 (n,), levels of the two scores.
        weights: float (n,); a weight of two counts as two equal samples.
    """
    x, y = mid_ranks(first, weights), mid_ranks(second, weights)
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    spread = np.sqrt([(weights * x * x).sum(), (weights * y * y).sum()]) / weights.sum() ** 1.5
    if (spread < ROUNDING).any():
        return float("nan")
    return float((weights * x * y).sum() / weights.sum() ** 3 / spread.prod())


def mid_ranks(level: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the rank of each sample, from 0, ties at their mean rank; float64 (n,).

    Args:
        level: int64 (n,), as of :func:`levels`.
        weights: float (n,); a weight of two counts as two equal samples.
    """
    at = np.bincount(level, weights=weights)
    return (np.cumsum(at) - at / 2)[level]
