"""A lower bound on the privacy loss of one training, from one training: Steinke, Nasr and Jagielski (arXiv 2305.08846).

A canary is a sample that a fair coin put into the training set or left out. An attacker sees the model and guesses
which canaries were in the training set. If training is (epsilon, delta) differentially private, the number of right
guesses is stochastically at most binomial; more right guesses refute epsilon. Here the canaries are drawn after
training, by fair coins, from the training role and from the holdout. The split drew both roles by chance from one pool,
so given the canaries, their memberships are fair coins. Side b saw neither role, so its score may serve as a reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

# Shares of the canaries that are guessed: those with the highest and the lowest scores. The shares divide the error
# 1 - confidence equally, because the best bound of all shares is returned.
GUESSED = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
LARGEST_EPSILON = 50.0
# Margin between the size of the smaller role and half the number of canaries, in standard deviations of the number of
# heads: more heads than the role has samples are then rare.
SPARE = 5.0


@dataclass(frozen=True)
class Audit:
    """A lower bound on epsilon, and the guesses that it comes from.

    Attributes:
        epsilon: the bound: with ``confidence``, training is not (epsilon', delta) differentially private for any
            epsilon' below it; 0 where nothing is refuted.
        canaries, guesses, right: numbers of canaries, guesses and right guesses, for the share in :data:`GUESSED` that
            gave the bound.
        confidence: confidence of the bound, over all shares tried.
        delta: delta of the differential privacy that is refuted.
    """

    epsilon: float
    canaries: int
    guesses: int
    right: int
    confidence: float
    delta: float


def audit(
    members: np.ndarray,
    others: np.ndarray,
    rng: np.random.Generator,
    *,
    confidence: float = 0.95,
    delta: float = 0.0,
) -> Audit:
    """Return the largest lower bound on epsilon that a share in :data:`GUESSED` gives.

    Args:
        members: float (n,), scores of the training role, one for each duplicate group; canaries with high scores are
            guessed to be members.
        others: float (m,), scores of groups that were not trained on and are exchangeable with the members.
        rng: source of the fair coins and of the order of equal scores.
        confidence: confidence of the bound.
        delta: delta of the differential privacy that is refuted.
    """
    scores, included = _canaries(members, others, rng)
    # Random numbers order equal scores: the order in the arrays would reveal membership.
    order = np.lexsort((rng.random(len(scores)), scores))
    included = included[order]
    bounds = []
    for share in GUESSED:
        half = round(share * len(scores) / 2)
        if half:
            right = int((~included[:half]).sum() + included[-half:].sum())
            epsilon = epsilon_bound(right, 2 * half, 1 - (1 - confidence) / len(GUESSED), delta, len(scores))
            bounds.append(Audit(epsilon, len(scores), 2 * half, right, confidence, delta))
    return max(bounds, key=lambda bound: bound.epsilon, default=Audit(0.0, len(scores), 0, 0, confidence, delta))


def _canaries(members: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of the canaries, and whether each was in the training set.

    A fair coin says for every canary whether it is drawn, without replacement, from ``members`` or from ``others``. The
    number of canaries is so small that one of the two has too few once in a million draws; such a draw is repeated.
    """
    fewest = min(len(members), len(others))
    number = max(0, 2 * fewest - math.ceil(SPARE * math.sqrt(2 * fewest)))
    while True:
        coins = rng.random(number) < 0.5
        if coins.sum() <= len(members) and (~coins).sum() <= len(others):
            break
    scores = np.empty(number)
    scores[coins] = rng.permutation(members)[: coins.sum()]
    scores[~coins] = rng.permutation(others)[: (~coins).sum()]
    return scores, coins


def epsilon_bound(right: int, guesses: int, confidence: float, delta: float = 0.0, canaries: int = 0) -> float:
    """Return the largest epsilon that the number of right guesses refutes; 0 where it refutes none.

    Args:
        right: number of right guesses.
        guesses: number of canaries that were guessed; the attacker abstained from the others.
        confidence: confidence of the bound.
        delta: delta of the differential privacy that is refuted.
        canaries: number of all canaries; needed for ``delta`` above 0.
    """

    def excess(epsilon: float) -> float:
        return _p_value(right, guesses, epsilon, delta, canaries) - (1 - confidence)

    if excess(0.0) >= 0:
        return 0.0
    if excess(LARGEST_EPSILON) < 0:
        return LARGEST_EPSILON
    return float(brentq(excess, 0.0, LARGEST_EPSILON, xtol=1e-6))


def _p_value(right: int, guesses: int, epsilon: float, delta: float, canaries: int) -> float:
    """Return the largest probability of that many right guesses under (epsilon, delta): theorem 3.1 of 2305.08846."""
    chance = 1 / (1 + math.exp(-epsilon))
    at_least = binom.sf(right - 1, guesses, chance)
    if not delta:
        return float(at_least)
    fewer = np.arange(1, right + 1)
    between = binom.sf(right - 1 - fewer, guesses, chance) - at_least
    return float(min(1.0, at_least + canaries * delta * (2 * between / fewer).max(initial=0.0)))
