"""Intervals of what a recipe does, over repeated trainings: they cover the noise of training and of the queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

# Of the share of the variance that few replicates estimated. With 1, the rule of Cochran & Cox, intervals of three
# replicates cover up to 97.1 %; with Satterthwaite's degrees of freedom they cover as little as 92.2 %.
_EXPONENT = 1.25


@dataclass(frozen=True)
class RecipeInterval:
    """A mean over replicates, and its intervals.

    Attributes:
        mean: mean over the replicates.
        low, high: confidence interval of the recipe's value, the mean over infinitely many trainings and queries.
        next_low, next_high: prediction interval of the value of one more training, asked the same queries.
        between: standard deviation between replicates.
        within: standard error of the mean that all replicates share, because they are asked the same queries.
    """

    mean: float
    low: float
    high: float
    next_low: float
    next_high: float
    between: float
    within: float


def critical_values(share: np.ndarray, replicates: int, confidence: float = 0.95) -> np.ndarray:
    """Return how many standard errors a confidence interval reaches to each side of the mean over replicates.

    The variance of the mean is a sum: one part is estimated from few replicates, the other from many queries. The
    critical value lies between Student's quantile t with R - 1 degrees of freedom and the normal quantile z, as in
    Cochran and Cox (Experimental Designs, 1950): z + (t - z) c^1.25, where c is the first part's share. They take c
    itself. Intervals of 95 % then cover 94.7 to 96.5 % for any true share and three replicates or more, and 93.0 to
    97.1 % for two.

    Args:
        share: float, any shape, from 0 to 1: share of the estimated variance that the replicates estimated.
        replicates: their number, at least two.
        confidence: of the interval.
    """
    upper = (1 + confidence) / 2
    normal = ndtri(upper)
    return normal + (stdtrit(replicates - 1, upper) - normal) * share**_EXPONENT


def recipe_interval(values: np.ndarray, drawn: np.ndarray, confidence: float = 0.95) -> RecipeInterval | None:
    """Return confidence and prediction interval of a value that every replicate measured; None for fewer than two.

    The variance of the mean has two parts. The first is the variance between the replicates divided by their number: it
    covers the noise of training, and the part of the queries' noise that differs between replicates. The second is the
    part of the queries' noise that all replicates share, which no comparison of replicates shows: it is the variance of
    the resampled means, less the part that differs between replicates. The interval reaches
    :func:`critical_values` standard errors to each side.

    Args:
        values: float (replicates,), the value in each replicate.
        drawn: float (replicates, draws), bootstrap draws of each value; a draw takes the same groups in all replicates.
        confidence: confidence of both intervals.
    """
    number = len(values)
    if number < 2:
        return None
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    around = drawn - drawn.mean(axis=1, keepdims=True)
    own = float(around.var(axis=0, ddof=1).mean())
    shared = max(0.0, float(around.mean(axis=0).var(ddof=1)) - own / number) ** 0.5
    of_mean = variance / number
    total = of_mean + shared**2
    share = np.array(of_mean / total if total > 0 else 0.0)
    half = float(critical_values(share, number, confidence)) * total**0.5
    next_half = float(stdtrit(number - 1, (1 + confidence) / 2)) * (variance * (1 + 1 / number)) ** 0.5
    return RecipeInterval(mean, mean - half, mean + half, mean - next_half, mean + next_half, variance**0.5, shared)
