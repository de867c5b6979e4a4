"""Which single training samples models show memory of, from one pair of models or from several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dejavu.memorization.discoveries import evidence, remembered_share

# statistic -> its scope in sample_scores
RECALLS = {"recall": "all", "unnamed recall": "unnamed"}
COSINE = "pair cosine"
ERROR = 0.05
PLACEBOS = 20


@dataclass(frozen=True)
class Compared:
    """One statistic of one model in every replicate.

    Attributes:
        statistic, query: what is compared.
        population: str (samples,), the sample's role in replicate 0.
        row: int64 (samples,).
        group: int (samples,), number of its duplicate group.
        gaps: float64 (replicates, samples), score under side a minus score under side b.
        coins: int (replicates, samples), 1 where side a saw the sample and -1 where side b did.
        control: float64 (replicates, m), the same gaps of the holdout.
        control_group: int (m,).
    """

    statistic: str
    query: str
    population: np.ndarray
    row: np.ndarray
    group: np.ndarray
    gaps: np.ndarray
    coins: np.ndarray
    control: np.ndarray
    control_group: np.ndarray

    @property
    def is_known(self) -> bool:
        """Whether there are samples, and a control."""
        return bool(self.gaps.shape[1] and self.control.shape[1])

    @property
    def constants(self) -> dict[str, str | int]:
        """The columns that all rows have in common."""
        return {"statistic": self.statistic, "query": self.query, "replicates": len(self.gaps)}


def sample_rows(compared: Compared) -> dict[str, object]:
    """Return the columns of the table ``sample_memorization`` that belong to a statistic."""
    found = evidence(compared.gaps, compared.coins, compared.control, compared.control_group)
    return {
        **compared.constants,
        "population": compared.population,
        "row": compared.row,
        "advantage": found.advantage,
        "std_error": found.std_error,
        "p_value": found.p_value,
        "q_value": found.q_value,
    }


def share_row(compared: Compared, rate: float, confidence: float, rng: np.random.Generator) -> dict[str, object]:
    """Return the row of the table ``remembered_shares`` that belongs to a statistic.

    Args:
        compared: the statistic.
        rate: false discovery rate of the list.
        confidence: of the share's lower bound.
        rng: draws the placebo of the list.
    """
    found = evidence(compared.gaps, compared.coins, compared.control, compared.control_group)
    return {
        **compared.constants,
        "samples": compared.gaps.shape[1],
        "control": compared.control.shape[1],
        "rate": rate,
        "listed": int((found.q_value <= rate).sum()),
        "listed_placebo": float(np.mean([_placebo(compared, rate, rng) for _ in range(PLACEBOS)])),
        "share_low": remembered_share(
            compared.gaps, compared.coins, compared.control, compared.group, compared.control_group, confidence
        ),
    }


def _placebo(compared: Compared, rate: float, rng: np.random.Generator) -> int:
    """Return how many samples of half the holdout are listed under coins of the pool, with the other half as control.

    Coins that are only exchanged among the training samples would be no placebo: a remembered sample keeps its large
    gaps, and half of all exchanged coins agree with the true ones.
    """
    groups = rng.permutation(np.unique(compared.control_group))
    treated = np.isin(compared.control_group, groups[: len(groups) // 2])
    if not treated.any() or treated.all():
        return 0
    coins = compared.coins[:, rng.integers(compared.coins.shape[1], size=int(treated.sum()))]
    found = evidence(
        compared.control[:, treated], coins, compared.control[:, ~treated], compared.control_group[~treated]
    )
    return int((found.q_value <= rate).sum())


def confirmation_row(compared: Compared, rate: float) -> dict[str, object] | None:
    """Return the row of the table ``confirmations``; None with fewer than two replicates.

    The first half of the replicates lists samples, and the second half, whose models and coins played no part in that,
    is asked about the samples on the list: an out-of-sample check.
    """
    half = len(compared.gaps) // 2
    if not half:
        return None

    def of(replicates: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = evidence(
            compared.gaps[replicates], compared.coins[replicates], compared.control[replicates], compared.control_group
        )
        return found.advantage, found.p_value, found.q_value

    listed = of(slice(half))[2] <= rate
    advantage, p_value, _ = of(slice(half, None))
    mean, error = _mean_by_group(advantage[listed], compared.group[listed])
    return {
        "statistic": compared.statistic,
        "query": compared.query,
        "listing": half,
        "confirming": len(compared.gaps) - half,
        "rate": rate,
        "listed": int(listed.sum()),
        "advantage": mean,
        "std_error": error,
        "unlisted_advantage": float(advantage[~listed].mean()) if (~listed).any() else None,
        "confirmed": int((p_value[listed] <= ERROR).sum()),
    }


def _mean_by_group(values: np.ndarray, groups: np.ndarray) -> tuple[float | None, float | None]:
    """Return the mean of values and its standard error, whole groups being independent; None where there are few."""
    if not len(values):
        return None, None
    _, index = np.unique(groups, return_inverse=True)
    deviations = np.bincount(index.reshape(-1), weights=values - values.mean())
    number = len(deviations)
    error = (number / (number - 1) * float((deviations**2).sum())) ** 0.5 / len(values) if number > 1 else None
    return float(values.mean()), error


def confidence_of_each(statistics: int) -> float:
    """Return the confidence of each share, so that all of a model hold together and the largest may be read."""
    return 1 - ERROR / max(1, statistics)
