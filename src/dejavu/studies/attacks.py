"""Other attacks on the same splits, each beside its null, and how far they agree with the déjà vu gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError
from dejavu.files import read_array, read_table, write_table
from dejavu.memorization.gaps import interval
from dejavu.memorization.membership import levels, roc_auc, spearman, true_positive_rate
from dejavu.tables.evaluation import ATTACKS, SAMPLE_ATTACKS
from dejavu.tables.fields import POPULATIONS

FALSE_POSITIVE_RATE = 0.01


@dataclass(frozen=True)
class Embeddings:
    """Image and caption embeddings of one role under one side; L2-normalised, row i of both is the sample ``rows[i]``.

    Attributes:
        images, captions: float32 (n, dimension).
        rows: int64 (n,), ascending.
    """

    images: np.ndarray
    captions: np.ndarray
    rows: np.ndarray

    @classmethod
    def read(cls, images: Path, captions: Path, rows: Path) -> Embeddings:
        """From ``.npy`` files.

        Raises:
            InputError: when the arrays do not have the same number of rows.
        """
        found = cls(read_array(images), read_array(captions), np.asarray(read_array(rows)))
        if not len(found.images) == len(found.captions) == len(found.rows):
            raise InputError(f"{images}, {captions} and {rows} differ in length: delete them and run again.")
        return found

    def cosines(self) -> np.ndarray:
        """float64 (n,): the cosine of every pair."""
        return np.einsum("ij,ij->i", self.images, self.captions).astype(np.float64)


@dataclass(frozen=True)
class Pairs:
    """What is known of the pairs of one role.

    Attributes:
        rows: int64 (n,), ascending.
        groups: int64 (n,), a number from 0 for each duplicate group.
        csa: float64 (n,), cosine under the side.
        clipmem: float64 (n,), or None where the other side has no image encoder.
        gap: float64 (n,), recall under the side minus recall under the other side; NaN for queries without objects.
    """

    rows: np.ndarray
    groups: np.ndarray
    csa: np.ndarray
    clipmem: np.ndarray | None
    gap: np.ndarray

    def weights(self, rng: np.random.Generator) -> np.ndarray:
        """float64 (n,): how often each pair is in a bootstrap resample of the duplicate groups."""
        number = int(self.groups.max()) + 1
        return rng.multinomial(number, np.full(number, 1 / number)).astype(np.float64)[self.groups]


def alignment(pairs: Embeddings, unrelated: Embeddings) -> np.ndarray:
    """float64 (n,): how much closer the halves of a pair are to each other than to unrelated halves.

    The cosine of the pair, minus the mean cosine of its image with unrelated captions, minus the mean cosine of its
    caption with unrelated images; after CLIPMem (arXiv 2502.07830), without its augmentations. A pair that is itself
    among the unrelated ones is left out of its own means.

    Args:
        pairs: what is measured.
        unrelated: pairs that the model was not trained on.
    """
    own = pairs.cosines()
    inside = np.isin(pairs.rows, unrelated.rows)
    number = len(unrelated.rows) - inside
    with_captions = pairs.images @ unrelated.captions.sum(axis=0, dtype=np.float64) - inside * own
    with_images = pairs.captions @ unrelated.images.sum(axis=0, dtype=np.float64) - inside * own
    return own - (with_captions + with_images) / np.maximum(number, 1)


def measure_attacks(roles: Mapping[str, Pairs], letter: str, draws: int, rng: np.random.Generator) -> list[dict]:
    """The rows of the attacks table of one side.

    ``csa`` (arXiv 2310.00108) takes the cosine of a pair as its membership score: the side's own training role against
    the other side's. Its null compares two roles that the side never saw, the other side's and the holdout.
    ``clipmem`` is the mean of alignment under the side minus under the other side, over the side's training role; its
    null is the same over the holdout. ``spearman_gap`` of either is its rank correlation with the déjà vu gap of the
    same pairs.

    Args:
        roles: population -> its pairs.
        letter: the side.
        draws: bootstrap draws of the 95 % intervals, over duplicate groups, drawn separately in every role.
        rng: source of the draws.
    """
    own, other, unseen = roles[letter], roles["b" if letter == "a" else "a"], roles["holdout"]
    rows = []
    for suffix, members, others in (("", own, other), ("_null", other, unseen)):
        place = levels(np.concatenate([members.csa, others.csa]))
        m, o = place[: len(members.csa)], place[len(members.csa) :]
        measures: dict[str, Callable[..., float]] = {
            "roc_auc": roc_auc,
            "tpr@1%fpr": partial(true_positive_rate, false_positive_rate=FALSE_POSITIVE_RATE),
        }
        for metric, measure in measures.items():
            value = measure(m, o, np.ones(len(m)), np.ones(len(o)))
            drawn = [measure(m, o, members.weights(rng), others.weights(rng)) for _ in range(draws)]
            rows.append(_row("csa", metric + suffix, value, drawn, len(m) + len(o)))
    for suffix, pairs in (("", own), ("_null", unseen)):
        for attack, score in (("csa", pairs.csa), ("clipmem", pairs.clipmem)):
            if score is not None:
                rows += _with_gap(attack, suffix, score, pairs, draws, rng)
    return rows


def _with_gap(
    attack: str, suffix: str, score: np.ndarray, pairs: Pairs, draws: int, rng: np.random.Generator
) -> Iterator[dict]:
    """The mean of clipmem, and the rank correlation of a score with the déjà vu gap."""
    weights = [pairs.weights(rng) for _ in range(draws)]
    if attack == "clipmem":
        drawn = [np.average(score, weights=w) for w in weights]
        yield _row(attack, "mean" + suffix, float(score.mean()), drawn, len(score))
    known = ~np.isnan(pairs.gap)
    if known.any():
        x, y = levels(score[known]), levels(pairs.gap[known])
        value = spearman(x, y, np.ones(len(x)))
        drawn = [spearman(x, y, w[known]) for w in weights if w[known].any()]
        yield _row(attack, "spearman_gap" + suffix, value, drawn, len(x))


def _row(attack: str, metric: str, value: float, drawn: list[float], n: int) -> dict:
    low, high = interval(np.array(drawn, dtype=np.float64)[:, None])
    numbers = {"value": value, "ci_low": float(low[0]), "ci_high": float(high[0])}
    known = {name: None if np.isnan(number) else number for name, number in numbers.items()}
    return {"attack": attack, "metric": metric, **known, "n": n}


def write_attacks(
    own: Mapping[str, Embeddings],
    other: Mapping[str, Embeddings] | None,
    manifests: Mapping[str, Path],
    scores: Mapping[str, Path],
    attacks: Path,
    sample_attacks: Path,
    *,
    letter: str,
    cell: tuple[int, str],
    draws: int,
    seed: int,
) -> None:
    """Writes the attacks of one side: the table of results, and the scores of single pairs.

    Args:
        own, other: population -> embeddings under the side and under the other side; None for a text-only reference.
        manifests: population -> manifest, for the duplicate groups.
        scores: population -> per-sample scores, for the déjà vu gap.
        attacks, sample_attacks: parquet files to write.
        letter: the side, ``a`` or ``b``.
        cell: k and labels of the déjà vu gap that is compared, over all objects.
        draws: bootstrap draws.
        seed: of the draws.

    Raises:
        InputError: when embeddings and manifest are not of the same samples.
    """
    clipmem: dict[str, np.ndarray | None] = dict.fromkeys(POPULATIONS)
    if other is not None:
        clipmem |= {
            role: alignment(own[role], own["holdout"]) - alignment(other[role], other["holdout"])
            for role in POPULATIONS
        }
    roles = {
        role: Pairs(
            own[role].rows,
            _groups(manifests[role], own[role].rows),
            own[role].cosines(),
            clipmem[role],
            _gap(scores[role], own[role].rows, letter, cell),
        )
        for role in POPULATIONS
    }
    rows = measure_attacks(roles, letter, draws, np.random.default_rng([seed, ord(letter)]))
    write_table(attacks, pa.Table.from_pylist(rows, schema=ATTACKS), ATTACKS)
    write_table(sample_attacks, (_sample_table(role, pairs) for role, pairs in roles.items()), SAMPLE_ATTACKS)


def _groups(manifest: Path, rows: np.ndarray) -> np.ndarray:
    table = read_table(manifest, ["row", "group_id"]).sort_by("row")
    if not np.array_equal(table["row"].to_numpy(), rows):
        raise InputError(f"the embeddings are not those of the samples of {manifest}: delete them and run again.")
    return np.unique(np.asarray(table["group_id"].to_pylist()), return_inverse=True)[1]


def _gap(scores: Path, rows: np.ndarray, letter: str, cell: tuple[int, str]) -> np.ndarray:
    k, labels = cell
    table = pq.read_table(scores, filters=[("k", "==", k), ("labels", "==", labels), ("scope", "==", "all")])
    gap = np.full(len(rows), np.nan)
    difference = table["recall_a"].to_numpy() - table["recall_b"].to_numpy()
    gap[np.searchsorted(rows, table["row"].to_numpy())] = difference if letter == "a" else -difference
    return gap


def _sample_table(role: str, pairs: Pairs) -> pa.Table:
    number = len(pairs.rows)
    clipmem = pa.nulls(number, pa.float64()) if pairs.clipmem is None else pa.array(pairs.clipmem)
    columns = {"population": [role] * number, "row": pairs.rows, "csa": pairs.csa, "clipmem": clipmem}
    return pa.table(columns, schema=SAMPLE_ATTACKS)
