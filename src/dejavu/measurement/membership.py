"""The rows of the tables of membership attacks: every attack with its members, its non-members and its control."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.measurement.pairs import Pairs
from dejavu.memorization.roc import RATES, area, calibrating, curve, rate_at
from dejavu.tables.fields import columns_and_constants
from dejavu.tables.membership import CONTROL, EVALUATION, MEMBERSHIP_CURVES, RATE_NAMES

# attack -> the attribute of pairs that is its score, of scores that compare the two sides: neither saw the holdout
PAIRED = {"reference_csa": "reference_csa", "recall_gap": "gap", "clipmem": "clipmem"}


@dataclass(frozen=True)
class GroupScores:
    """The scores of one role under an attack, one for each duplicate group.

    Samples of a group are alike, so that they are no independent trials: each group counts once, with its mean.

    Attributes:
        role: whose samples they are.
        score: float64 (groups,).
        row: int64 (groups,), smallest row of each group, which identifies it.
    """

    role: str
    score: np.ndarray
    row: np.ndarray

    @classmethod
    def of(
        cls, role: str, score: np.ndarray, groups: np.ndarray, row: np.ndarray, sizes: np.ndarray | None = None
    ) -> GroupScores:
        """Return the mean score of every group that has one.

        Args:
            role: the role.
            score: float64 (samples,); NaN for samples that have none.
            groups: int (samples,), a number from 0 for each group.
            row: int64 (samples,).
            sizes: int64 (groups,), samples of the dataset in each group, where a list chose the role. A list takes
                whole groups and so prefers large ones, whose samples are easier for any model: only groups of one
                sample are then kept.
        """
        known = ~np.isnan(score)
        if sizes is not None:
            known &= sizes[groups] == 1
        present, place = np.unique(groups[known], return_inverse=True)
        place = place.reshape(-1)
        smallest = np.full(len(present), np.iinfo(np.int64).max)
        np.minimum.at(smallest, place, row[known])
        mean = np.bincount(place, weights=score[known], minlength=len(present)) / np.maximum(np.bincount(place), 1)
        return cls(role, mean, smallest)

    def parts(self, first: int, seed: int, purpose: str) -> tuple[GroupScores, GroupScores]:
        """Return the ``first`` groups in the order of a hash of seed, purpose and group, and the others."""
        order = np.argsort(_hashed(self.row, seed, purpose), kind="stable")
        chosen, rest = order[:first], order[first:]
        return (
            GroupScores(self.role, self.score[chosen], self.row[chosen]),
            GroupScores(self.role, self.score[rest], self.row[rest]),
        )

    def halves(self, seed: int) -> tuple[GroupScores, GroupScores]:
        """Return two halves, of which a control takes one for members."""
        return self.parts(len(self.score) // 2, seed, "halves of the control")


@dataclass(frozen=True)
class Contrast:
    """Members against non-members under an attack.

    Attributes:
        attack: its name.
        kind: evaluation or control.
        members, others: their scores.
        replicates: number of pairs of models that the scores rest on.
    """

    attack: str
    kind: str
    members: GroupScores
    others: GroupScores
    replicates: int = 1


def contrasts(roles: Mapping[str, Pairs], letter: str, seed: int) -> Iterator[Contrast]:
    """Yield the contrasts of one side that have scores, one attack after another, so that few are in memory.

    Plain cosine (``csa``) compares the side's own role with the other side's, and its control the other side's with the
    holdout, of which the side saw neither. A score that compares the two sides cannot take the other side's role, on
    which the other side was trained: it compares the side's own role with the holdout, and its control two halves of
    the holdout.

    Args:
        roles: population -> its pairs.
        letter: the side.
        seed: of the hashes that halve the holdout.
    """

    def scores(role: str, attribute: str) -> GroupScores | None:
        pairs = roles[role]
        score = getattr(pairs, attribute)
        return None if score is None else GroupScores.of(role, score, pairs.groups, pairs.rows, pairs.group_sizes)

    own, other, unseen = (scores(role, "csa") for role in (letter, "b" if letter == "a" else "a", "holdout"))
    assert own is not None and other is not None and unseen is not None
    yield from known([Contrast("csa", EVALUATION, own, other), Contrast("csa", CONTROL, other, unseen)])
    for attack, attribute in PAIRED.items():
        own, unseen = scores(letter, attribute), scores("holdout", attribute)
        if own is not None and unseen is not None:
            yield from known(with_halves(attack, own, unseen, unseen, seed))


def known(found: Iterable[Contrast]) -> list[Contrast]:
    """Return the contrasts that have members and non-members."""
    return [contrast for contrast in found if len(contrast.members.score) and len(contrast.others.score)]


def with_halves(
    attack: str, members: GroupScores, others: GroupScores, unseen: GroupScores, seed: int, replicates: int = 1
) -> list[Contrast]:
    """Return an attack's evaluation, and its control from two halves of what no model saw."""
    evaluation = Contrast(attack, EVALUATION, members, others, replicates)
    return [evaluation, Contrast(attack, CONTROL, *unseen.halves(seed), replicates)]


def membership_row(contrast: Contrast, seed: int) -> dict[str, Any]:
    """Return the row of the table ``membership``.

    Two thirds of the non-members set the thresholds, and false positives are counted in the others; a hash of the group
    says which it is in. Rates are None where the non-members are too few (see :func:`dejavu.memorization.roc.rate_at`).
    """
    members, others = contrast.members, contrast.others
    found = area(members.score, others.score)
    setting, counted = others.parts(calibrating(len(others.score)), seed, "threshold")
    row = {
        "attack": contrast.attack,
        "contrast": contrast.kind,
        "members": members.role,
        "others": others.role,
        "replicates": contrast.replicates,
        "n_members": len(members.score),
        "n_others": len(others.score),
        "auc": found.value,
        "auc_low": found.low,
        "auc_high": found.high,
    }
    for rate, name in zip(RATES, RATE_NAMES.values(), strict=True):
        at = rate_at(members.score, setting.score, counted.score, rate)
        for column, share in (("tpr", at and at.true_positive), ("fpr", at and at.false_positive)):
            row[f"{column}_at_{name}"] = share and share.value
            row[f"{column}_at_{name}_low"] = share and share.low
            row[f"{column}_at_{name}_high"] = share and share.high
    return row


def curve_table(contrast: Contrast, schema: pa.Schema = MEMBERSHIP_CURVES, **constants: Any) -> pa.Table:
    """Return the rows of the table ``membership_curves`` that belong to a contrast.

    Args:
        contrast: members against non-members.
        schema: the columns.
        constants: values of further columns.
    """
    false, true = curve(contrast.members.score, contrast.others.score)
    columns = {"attack": contrast.attack, "contrast": contrast.kind, "fpr": false, "tpr": true}
    return columns_and_constants(columns | constants, schema)


def _hashed(rows: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """Return a hash of each row, uint64 (n,): SplitMix64 of the row, keyed by seed and purpose."""
    key = hashlib.blake2b(f"{seed}\0{purpose}".encode(), digest_size=8).digest()
    mixed = rows.astype(np.uint64) ^ np.uint64(int.from_bytes(key, "big"))
    mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
