"""A lower bound on the privacy loss of one training, from one training: Steinke, Nasr and Jagielski (arXiv 2305.08846).

If training is (epsilon, delta) differentially private, nobody who sees the model guesses well which of many canaries,
each included by a fair coin, were in the training set: the number of right guesses is stochastically at most binomial.
More right guesses than that refute epsilon. Here the canaries are drawn afterwards, by fair coins, from the training
role and from the holdout, which the split drew by chance from one pool; so given the canaries, their memberships are
fair coins. Side b saw neither, so its score may serve as a reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

# shares of the canaries that are guessed, those with the highest and the lowest scores; the error is shared among them
GUESSED = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
LARGEST_EPSILON = 50.0
# standard deviations of the number of heads that are kept in reserve
SPARE = 5.0


@dataclass(frozen=True)
class Audit:
    """A lower bound and what it comes from.

    Attributes:
        epsilon: with the given confidence, training is not (epsilon', delta) differentially private for any epsilon'
            below; 0 where nothing is refuted.
        canaries, guesses, right: of the share of guesses that gave it.
        confidence: of the bound, over all shares tried.
        delta: as assumed.
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
    """The best bound over :data:`GUESSED`.

    Args:
        members: float (n,), scores of the training role, one for each duplicate group; higher is guessed as trained on.
        others: float (m,), scores of groups that were not trained on and are exchangeable with them.
        rng: of the coins.
        confidence: of the bound.
        delta: of the differential privacy that is refuted.
    """
    scores, included = _canaries(members, others, rng)
    # equal scores in an order that knows no membership
    order = np.lexsort((rng.random(len(scores)), scores))
    included = included[order]
    found = []
    for share in GUESSED:
        half = round(share * len(scores) / 2)
        if half:
            right = int((~included[:half]).sum() + included[-half:].sum())
            epsilon = epsilon_bound(right, 2 * half, 1 - (1 - confidence) / len(GUESSED), delta, len(scores))
            found.append(Audit(epsilon, len(scores), 2 * half, right, confidence, delta))
    return max(found, key=lambda one: one.epsilon, default=Audit(0.0, len(scores), 0, 0, confidence, delta))


def _canaries(members: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the canaries, and which of them were included.

    Every canary is drawn without replacement from one of the two, by a fair coin. There are so few that neither runs
    out, but for once in a million draws, which are drawn again.
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
    """The largest epsilon that so many right guesses refute; 0 where they refute none.

    Args:
        right: right guesses.
        guesses: guesses made; the other canaries were abstained from.
        confidence: of the bound.
        delta: of the differential privacy that is refuted.
        canaries: how many there were; needed for ``delta`` above 0.
    """

    def excess(epsilon: float) -> float:
        return _p_value(right, guesses, epsilon, delta, canaries) - (1 - confidence)

    if excess(0.0) >= 0:
        return 0.0
    if excess(LARGEST_EPSILON) < 0:
        return LARGEST_EPSILON
    return float(brentq(excess, 0.0, LARGEST_EPSILON, xtol=1e-6))


def _p_value(right: int, guesses: int, epsilon: float, delta: float, canaries: int) -> float:
    """At most so probable are so many right guesses under (epsilon, delta); theorem 3.1 of arXiv 2305.08846."""
    chance = 1 / (1 + math.exp(-epsilon))
    at_least = binom.sf(right - 1, guesses, chance)
    if not delta:
        return float(at_least)
    fewer = np.arange(1, right + 1)
    between = binom.sf(right - 1 - fewer, guesses, chance) - at_least
    return float(min(1.0, at_least + canaries * delta * (2 * between / fewer).max(initial=0.0)))
