"""Membership attacks as the field reports them: ROC curve, area, and true positive rates at low false positive rates.

Carlini et al. (arXiv 2112.03570) report the true positive rate at a false positive rate of 0.1 %, since an attack that
is right about a few samples with certainty breaches privacy, however small its area is. Such a rate depends on a
threshold far out in the tail. A threshold that is read from the same non-members that then count false positives makes
the attack look better than it is. Here the threshold comes from one part of the non-members and the false positives are
counted in the other, so both rates are shares of samples that had no influence on the threshold, and their intervals
are exact.

All functions take one score per independent unit, here a duplicate group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtri

# the false positive rates at which true positive rates are reported
RATES = (0.01, 0.001)
# share of the non-members that the threshold comes from: it lies far out in their tail, so it needs most of them
CALIBRATING = (2, 3)
CURVE_POINTS = 200
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value in [0, 1], and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RateAtThreshold:
    """What a threshold does to samples that had no influence on it.

    Attributes:
        true_positive: share of the members above the threshold.
        false_positive: share of the non-members above it, of those that the threshold does not come from.
    """

    true_positive: Estimate
    false_positive: Estimate


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934); (0, 1) without a trial."""
    error = (1 - confidence) / 2
    low = float(betaincinv(hits, trials - hits + 1, error)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - error)) if hits < trials else 1.0
    return low, high


def area(members: np.ndarray, others: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Return the area under the ROC curve, the probability that a member scores higher, with its interval.

    Ties count half. The interval is the score interval of Newcombe (2006, doi 10.1002/sim.2324, method 5), which is
    close to that of the Mann-Whitney test at 0.5 and does not shrink to a point at 1. Where the estimate of the
    variance of DeLong et al. (1988) is larger than the one assumed there, as of members of whom some are remembered and
    some are not, the assumed variance is raised by the same factor.

    Args:
        members, others: float (n,) and (m,), scores; at least one of each.
        confidence: of the interval.
    """
    # only mean and variance count, and sorted scores are looked up much faster
    members, others = np.sort(members), np.sort(others)
    of_members, of_others = _share_below(members, others), 1 - _share_below(others, members)
    value = float(of_members.mean())

    def variance(theta: float) -> float:
        halves = (len(members) + len(others)) / 2 - 1
        spread = 1 + halves * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return theta * (1 - theta) * spread / (len(members) * len(others))

    raised = 1.0
    if min(len(members), len(others)) > 1 and 0 < value < 1:
        estimated = of_members.var(ddof=1) / len(members) + of_others.var(ddof=1) / len(others)
        raised = max(1.0, float(estimated) / variance(value))
    reach = float(ndtri((1 + confidence) / 2)) ** 2 * raised

    def outside(theta: float) -> float:
        return (value - theta) ** 2 - reach * variance(theta)

    edge = 1e-12
    low = brentq(outside, 0.0, min(value, 1 - edge)) if value > edge else 0.0
    high = brentq(outside, max(value, edge), 1.0) if value < 1 - edge else 1.0
    return Estimate(value, float(low), float(high))


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of the others, which are sorted, below each score, ties counting half; float64 (n,)."""
    below, up_to = (np.searchsorted(others, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def calibrating(others: int) -> int:
    """Return how many of the non-members a threshold comes from; false positives are counted in the rest."""
    return others * CALIBRATING[0] // CALIBRATING[1]


def rate_at(
    members: np.ndarray, calibration: np.ndarray, others: np.ndarray, false_positive_rate: float
) -> RateAtThreshold | None:
    """Return true and false positive rate at a threshold that is set for a false positive rate.

    Of m non-members that set the threshold, it is the k-th largest score, k = floor(rate (m + 1)), and a sample above
    it counts as a member. If non-members are exchangeable, the probability that a further one lies above is at most
    k / (m + 1), so at most the rate. Given the threshold, the numbers of members and of further non-members above it
    are binomial, whence the Clopper-Pearson intervals. They hold for this threshold: the true positive rate belongs to
    the realised false positive rate, not exactly to the one asked for.

    A rate needs m of at least 1 / rate - 1: 99 for 1 % and 999 for 0.1 %. Where two thirds of the non-members set the
    threshold, these are 149 and 1,499 non-members. Then one false positive or none is expected among the others, so the
    realised rate is hardly known; 3,000 non-members for 1 %, and 30,000 for 0.1 %, tell it within a factor of two.

    Args:
        members: float (n,), scores of members.
        calibration: float (m,), scores of the non-members that set the threshold.
        others: float, scores of the other non-members.
        false_positive_rate: in (0, 1).

    Returns:
        The rates; None where m is too small, or there are no members or no other non-members.
    """
    allowed = math.floor(false_positive_rate * (len(calibration) + 1) + 1e-9)
    if allowed < 1 or not len(members) or not len(others):
        return None
    threshold = np.partition(calibration, -allowed)[-allowed]

    def above(scores: np.ndarray) -> Estimate:
        hits = int((scores > threshold).sum())
        return Estimate(hits / len(scores), *clopper_pearson(hits, len(scores)))

    return RateAtThreshold(above(members), above(others))


def curve(members: np.ndarray, others: np.ndarray, points: int = CURVE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates of the empirical ROC curve, thinned for a logarithmic axis.

    Every point is a corner of the curve: accused is who scores above some non-member's score. Of many corners those
    closest below logarithmically spaced false positive rates are kept. The last point is (1, 1); a false positive rate
    of 0 has no place on the axis.

    Args:
        members, others: float (n,) and (m,), scores; at least one of each.
        points: largest number of points.

    Returns:
        float64 (at most points,), ascending, and the true positive rates of the same length.
    """
    values, first = np.unique(np.sort(others), return_index=True)
    # how many non-members lie above the value before each value, from all down to the number of the highest
    false = len(others) - first
    true = len(members) - np.searchsorted(np.sort(members), np.concatenate([[-np.inf], values[:-1]]), side="right")
    false, true = false[::-1], true[::-1]
    wanted = np.geomspace(1, len(others), points)
    kept = np.unique(np.searchsorted(false, wanted + 1e-9, side="right") - 1)
    kept = kept[kept >= 0]
    return false[kept] / len(others), true[kept] / len(members)
