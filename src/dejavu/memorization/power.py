"""What shows a gap of a wanted size: so many duplicate groups of one pair of models, or replicates of a recipe."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr
from scipy.stats import chi2

from dejavu.memorization.replicates import critical_values

POWER = 0.8
# beyond this no number of replicates is looked for
MOST_REPLICATES = 1000
# where the distribution of the variance between replicates is cut to average over it
_POINTS = 2000


def groups_needed(groups: float, detectable: float, gap: float) -> int:
    """Return how many duplicate groups of both training roles make a gap the smallest that the joint test detects.

    The standard error falls with the root of the number of groups of like sizes, and so does the detectable gap:
    groups * (detectable / gap)^2. That is noise of the queries for one pair of models, and nothing else.

    Args:
        groups: number of groups of the pilot.
        detectable: gap that the pilot's joint test finds with a power of 80 %.
        gap: the wanted one.
    """
    return math.ceil(groups * (detectable / gap) ** 2 - 1e-9)


def power_of_replicates(gap: float, between: float, within: float, replicates: int, confidence: float = 0.95) -> float:
    """Return the probability that the confidence interval of a recipe lies above 0.

    The interval is that of :func:`dejavu.memorization.replicates.recipe_interval`, of a mean whose variance is
    between^2 / replicates + within^2. The first part is estimated from the replicates, with a scaled chi-squared
    distribution that is independent of the mean; the probability is averaged over it. Where ``within`` is 0 this is the
    noncentral t distribution.

    Args:
        gap: true mean gap of the recipe.
        between: true standard deviation between replicates.
        within: standard error of the mean from the queries, which all replicates share.
        replicates: their number, at least two.
        confidence: of the interval.
    """
    freedom = replicates - 1
    middles = (np.arange(_POINTS) + 0.5) / _POINTS
    of_mean = between**2 / replicates * chi2.ppf(middles, freedom) / freedom
    total = of_mean + within**2
    spread = math.sqrt(between**2 / replicates + within**2)
    if spread == 0:
        return float(gap > 0)
    share = of_mean / np.where(total > 0, total, 1.0)
    reach = critical_values(share, replicates, confidence) * np.sqrt(total)
    return float(ndtr((gap - reach) / spread).mean())


def replicates_needed(gap: float, between: float, within: float, power: float = POWER) -> int | None:
    """Return the smallest number of replicates with that power; None where :data:`MOST_REPLICATES` have less.

    The noise of the queries that replicates share is the same for any number of them, so a gap that is small against it
    needs more groups, not more replicates.

    Args:
        gap, between, within: as for :func:`power_of_replicates`.
        power: the wanted one.
    """

    def reaches(replicates: int) -> bool:
        return power_of_replicates(gap, between, within, replicates) >= power

    if not reaches(MOST_REPLICATES):
        return None
    low, high = 1, 2
    while not reaches(high):
        low, high = high, min(2 * high, MOST_REPLICATES)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def upper_deviation(between: float, replicates: int, confidence: float = POWER) -> float:
    """Return the upper confidence limit of a standard deviation that so many replicates measured.

    A pilot of few replicates measures it badly, and in half of the pilots too small. To plan with its upper 80 % limit
    makes the planned power be reached in four of five cases (Browne 1995).
    """
    return between * math.sqrt((replicates - 1) / float(chi2.ppf(1 - confidence, replicates - 1)))
