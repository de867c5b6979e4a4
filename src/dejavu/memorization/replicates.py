"""What a recipe does, over repeated trainings: intervals that hold the noise of training and that of the queries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class RecipeInterval:
    """A mean over replicates.

    Attributes:
        mean: over the replicates.
        low, high: interval of the recipe's value: where the mean over ever more trainings and queries lies.
        next_low, next_high: prediction interval: where the value of one more training lies, asked the same queries.
        between: standard deviation between replicates.
        within: standard error of the mean that the replicates share, since they are asked the same queries.
    """

    mean: float
    low: float
    high: float
    next_low: float
    next_high: float
    between: float
    within: float


def recipe_interval(values: np.ndarray, drawn: np.ndarray, confidence: float = 0.95) -> RecipeInterval | None:
    """Interval and prediction interval of a value that was measured in every replicate; None for fewer than two.

    The variance of the mean has two parts. The spread between the replicates, divided by their number, holds the noise
    of training and what is each replicate's own of the queries' noise. What all replicates have in common of the
    queries' noise does not show between them: it is the variance of the resampled means, less the part that is each
    replicate's own. Student's interval of their sum has the degrees of freedom of Satterthwaite (1946), as Welch's has.

    Args:
        values: float (replicates,).
        drawn: float (replicates, draws), bootstrap draws of each value; a draw takes the same groups in all replicates.
        confidence: of both intervals.
    """
    number = len(values)
    if number < 2:
        return None
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    around = drawn - drawn.mean(axis=1, keepdims=True)
    own = float(around.var(axis=0, ddof=1).mean())
    shared = max(0.0, float(around.mean(axis=0).var(ddof=1)) - own / number) ** 0.5
    # the degrees of freedom of a sum of variances, of which only that of trainings is estimated from few values
    of_mean = variance / number
    total = of_mean + shared**2
    freedom = total**2 * (number - 1) / of_mean**2 if of_mean > 0 else math.inf
    half = float(student.ppf((1 + confidence) / 2, freedom)) * total**0.5
    next_half = float(student.ppf((1 + confidence) / 2, number - 1)) * (variance * (1 + 1 / number)) ** 0.5
    return RecipeInterval(mean, mean - half, mean + half, mean - next_half, mean + next_half, variance**0.5, shared)
