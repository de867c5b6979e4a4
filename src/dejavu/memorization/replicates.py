"""Intervals of what a recipe does, over repeated trainings: they cover the noise of training and of the queries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


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


def recipe_interval(values: np.ndarray, drawn: np.ndarray, confidence: float = 0.95) -> RecipeInterval | None:
    """Return confidence and prediction interval of a value that every replicate measured; None for fewer than two.

    The variance of the mean has two parts. The first is the variance between the replicates divided by their number: it
    covers the noise of training, and the part of the queries' noise that differs between replicates. The second is the
    part of the queries' noise that all replicates share, which no comparison of replicates shows: it is the variance of
    the resampled means, less the part that differs between replicates. The interval is Student's, with the degrees of
    freedom of a sum of variances (Satterthwaite 1946).

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
    # Only the first part is estimated from few values, so only its variance makes degrees of freedom scarce.
    of_mean = variance / number
    total = of_mean + shared**2
    freedom = total**2 * (number - 1) / of_mean**2 if of_mean > 0 else math.inf
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * total**0.5
    next_half = float(stdtrit(number - 1, (1 + confidence) / 2)) * (variance * (1 + 1 / number)) ** 0.5
    return RecipeInterval(mean, mean - half, mean + half, mean - next_half, mean + next_half, variance**0.5, shared)
