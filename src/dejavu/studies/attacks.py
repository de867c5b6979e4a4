"""Membership attacks on the same splits, beside the déjà vu test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.files import read_array, write_table
from dejavu.memorization.gaps import interval
from dejavu.tables import ATTACKS

FALSE_POSITIVE_RATE = 0.01


def roc_auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member scores higher than a non-member, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, side="left")
    not_above = np.searchsorted(ordered, members, side="right")
    return float((below + not_above).mean() / (2 * len(others)))


def true_positive_rate(members: np.ndarray, others: np.ndarray, false_positive_rate: float) -> float:
    """Share of members above the lowest threshold that at most that share of the non-members exceeds."""
    allowed = int(np.floor(false_positive_rate * len(others)))
    threshold = np.sort(others)[::-1][allowed]
    return float((members > threshold).mean())


def cosine_attack(members: np.ndarray, others: np.ndarray, draws: int, rng: np.random.Generator) -> list[dict]:
    """CSA (arXiv 2310.00108): the cosine of a pair as its membership score, as rows of the attacks table.

    Args:
        members, others: float (n,), cosines of pairs that the model was and was not trained on, of one distribution.
        draws: bootstrap draws of the 95 % interval, members and others drawn separately.
        rng: source of the draws.
    """
    measures = {
        "roc_auc": roc_auc,
        "tpr@1%fpr": lambda m, o: true_positive_rate(m, o, FALSE_POSITIVE_RATE),
    }
    resamples = [
        (rng.choice(members, len(members), replace=True), rng.choice(others, len(others), replace=True))
        for _ in range(draws)
    ]
    rows = []
    for metric, measure in measures.items():
        low, high = interval(np.array([[measure(m, o)] for m, o in resamples]))
        value = measure(members, others)
        rows.append({"attack": "csa", "metric": metric, "value": value, "ci_low": low[0], "ci_high": high[0]})
    return rows


def write_attacks(
    member_images: Path,
    member_captions: Path,
    other_images: Path,
    other_captions: Path,
    attacks: Path,
    *,
    draws: int,
    seed: int,
) -> None:
    """Writes the attacks table of one side: its own training role against the other side's."""
    members = _cosines(member_images, member_captions)
    others = _cosines(other_images, other_captions)
    rows = cosine_attack(members, others, draws, np.random.default_rng(seed))
    write_table(attacks, pa.Table.from_pylist(rows, schema=ATTACKS), ATTACKS)


def _cosines(images: Path, captions: Path) -> np.ndarray:
    return np.einsum("ij,ij->i", read_array(images), read_array(captions)).astype(np.float64)
