"""The single samples that are remembered, and a lower bound on their share.

In every replicate, one side saw a sample of the training pool and the other did not; the sample's coin says which. The
gap between the sides, with the coin's sign, is how much better the models that saw the sample do on it. This advantage
alone proves nothing, since sides differ for many reasons. The control shows how large the advantage is by luck: it
consists of holdout samples, which no side saw, under the same coins. If training on a sample made no difference, the
sample is exchangeable with the holdout samples, and its rank among them gives a valid conformal p-value (Bates et al.
2023, arXiv 2104.08279).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Evidence:
    """The evidence that each sample of the pool is remembered; arrays are float64 (samples,).

    Attributes:
        advantage: mean over the replicates of the score under the side that saw the sample minus the score under the
            side that did not.
        std_error: standard error of the advantage over the replicates; NaN where there is one replicate.
        p_value: share of the control, under the same coins, with at least this advantage, the sample itself counted in.
        q_value: smallest false discovery rate at which the sample is on the list of remembered samples.
    """

    advantage: np.ndarray
    std_error: np.ndarray
    p_value: np.ndarray
    q_value: np.ndarray


def evidence(gaps: np.ndarray, coins: np.ndarray, control: np.ndarray, control_groups: np.ndarray) -> Evidence:
    """Return the evidence for every sample of the training pool.

    Args:
        gaps: float (replicates, samples), score under side a minus score under side b.
        coins: int (replicates, samples), 1 where side a saw the sample and -1 where side b did.
        control: float (replicates, m), the same gaps of the holdout samples.
        control_groups: int (m,), duplicate group of each holdout sample; a group has one vote, whatever its size.

    Raises:
        ValueError: when a coin is neither 1 nor -1, or there is no control.
    """
    if not np.isin(coins, (1, -1)).all():
        raise ValueError("a coin is 1 or -1")
    if not control.shape[1]:
        raise ValueError("no control")
    signed = coins * gaps
    number = len(signed)
    advantage = signed.mean(axis=0)
    std_error = signed.std(axis=0, ddof=1) / math.sqrt(number) if number > 1 else np.full(gaps.shape[1], np.nan)
    p_value = np.empty(gaps.shape[1])
    for coin, chosen in _by_coins(coins):
        share = _share_at_least(advantage[chosen], coin @ control / number, control_groups)
        votes = len(np.unique(control_groups))
        p_value[chosen] = (1 + votes * share) / (1 + votes)
    return Evidence(advantage, std_error, p_value, q_values(p_value))


def q_values(p_values: np.ndarray) -> np.ndarray:
    """Return the smallest rate at which the procedure of Benjamini and Hochberg (1995) rejects each; float64 (n,).

    Args:
        p_values: float64 (n,).
    """
    number = len(p_values)
    order = np.argsort(p_values)
    raised = p_values[order] * number / np.arange(1, number + 1)
    adjusted = np.empty(number)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return adjusted


def remembered_share(
    gaps: np.ndarray,
    coins: np.ndarray,
    control: np.ndarray,
    groups: np.ndarray,
    control_groups: np.ndarray,
    confidence: float = 0.95,
) -> float:
    """Return a lower bound on the share of the pool on which training made a difference.

    If a share s is remembered, at most s + (1 - s) t of the pool lie among the upper t of the control. The excess over
    t therefore bounds s from below. The inequality of Dvoretzky, Kiefer and Wolfowitz, with Massart's constant, holds
    for all t at once; it is applied to the pool and to the control, and the largest excess that remains is returned.
    PPG looks like such a share but is none.

    Args:
        gaps, coins, control, control_groups: as for :func:`evidence`.
        groups: int (samples,), duplicate group of each sample of the pool; a group has one vote, whatever its size.
        confidence: probability with which the bound is not above the true share.
    """
    number, classes = len(gaps), list(_by_coins(coins))
    advantage = (coins * gaps).mean(axis=0)
    tail = np.empty(gaps.shape[1])
    for coin, chosen in classes:
        tail[chosen] = _share_at_least(advantage[chosen], coin @ control / number, control_groups)
    votes = _votes(groups)
    order = np.argsort(tail)
    reached = np.cumsum(votes[order]) / votes.sum()
    error = (1 - confidence) / 2
    of_pool = math.sqrt(math.log(1 / error) / (2 * len(np.unique(groups))))
    of_control = math.sqrt(math.log(len(classes) / error) / (2 * len(np.unique(control_groups))))
    by_chance = tail[order] + of_control
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(by_chance < 1, (reached - of_pool - by_chance) / (1 - by_chance), 0.0)
    return float(np.clip(bound.max(initial=0.0), 0.0, 1.0))


def _by_coins(coins: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each distinct column of ``coins``, float (replicates,), with the indices of the samples that have it."""
    distinct, members = np.unique(coins, axis=1, return_inverse=True)
    members = members.reshape(-1)
    return [
        (distinct[:, index].astype(np.float64), np.flatnonzero(members == index)) for index in range(distinct.shape[1])
    ]


def _share_at_least(values: np.ndarray, control: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the share of the control's votes that are at least as large as each value; float64 (n,)."""
    votes = _votes(groups)
    order = np.argsort(control)
    below = np.concatenate([[0.0], np.cumsum(votes[order])])
    place = np.searchsorted(control[order], values - _TOLERANCE, side="left")
    return 1 - below[place] / votes.sum()


def _votes(groups: np.ndarray) -> np.ndarray:
    """Return the weight of each sample, 1 / (number of samples in its group); float64 (n,)."""
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / sizes[index.reshape(-1)]
