"""Other attacks on the same splits, each beside its null, and how far they agree with the déjà vu gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError
from dejavu.files import read_array, write_table
from dejavu.measurement.groups import Groups, group_sizes
from dejavu.memorization.gaps import by_group, interval
from dejavu.memorization.membership import levels, mid_ranks, roc_auc, spearman, true_positive_rate
from dejavu.memorization.permutation import joint_test
from dejavu.tables.evaluation import ATTACKS, SAMPLE_ATTACKS
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.queries import CAPTION

FALSE_POSITIVE_RATE = 0.01
# with fewer groups the bootstrap of a quantile that far out covers too little: on normal scores one deviation apart it
# held the true rate in 84 % of 200 runs with 100 pairs a role, in 92 % with 200, in 94 % with 1,000
GROUPS_FOR_RATE_INTERVAL = 200


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
        reference_csa: float64 (n,), cosine under the side minus under the other side; None as for clipmem.
        group_sizes: int64 (groups,), how many samples of the dataset are in each group, whatever their role; None where
            chance has drawn the roles, so that sizes play no part.
    """

    rows: np.ndarray
    groups: np.ndarray
    csa: np.ndarray
    clipmem: np.ndarray | None
    gap: np.ndarray
    reference_csa: np.ndarray | None = None
    group_sizes: np.ndarray | None = None

    @property
    def number(self) -> int:
        """Of the groups."""
        return int(self.groups.max()) + 1

    def part(self, chosen: np.ndarray) -> Pairs:
        """The pairs of some of the groups; bool (groups,)."""
        kept = chosen[self.groups]
        columns = (self.csa, self.clipmem, self.gap, self.reference_csa)
        csa, clipmem, gap, reference_csa = (None if c is None else c[kept] for c in columns)
        assert csa is not None and gap is not None
        sizes = None if self.group_sizes is None else self.group_sizes[chosen]
        groups = np.unique(self.groups[kept], return_inverse=True)[1]
        return Pairs(self.rows[kept], groups, csa, clipmem, gap, reference_csa, sizes)

    def weights(self, rng: np.random.Generator) -> np.ndarray:
        """float64 (n,): how often each pair is in a bootstrap resample of the duplicate groups."""
        number = self.number
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
    ``reference_csa`` takes the cosine minus that under the other side, which as a reference tells how easy the pair is:
    the side's own training role against the holdout, which neither side saw; its null compares halves of the holdout.
    ``clipmem`` is the mean of alignment under the side minus under the other side, over the side's training role; its
    null is the same over the holdout. ``spearman_gap`` is its, or csa's, rank correlation with the déjà vu gap of the
    same pairs.

    Args:
        roles: population -> its pairs.
        letter: the side.
        draws: bootstrap draws of the 95 % intervals, over duplicate groups, drawn separately in every role; and
            permutations of the p-values.
        rng: source of the draws.
    """
    own, other, unseen = roles[letter], roles["b" if letter == "a" else "a"], roles["holdout"]
    rows: list[dict] = []
    for suffix, members, others in (("", own, other), ("_null", other, unseen)):
        rows += _told_apart("csa", suffix, members.csa, others.csa, members, others, draws, rng)
    if own.reference_csa is not None:
        first = np.zeros(unseen.number, dtype=bool)
        first[rng.permutation(unseen.number)[: unseen.number // 2]] = True
        for suffix, members, others in (("", own, unseen), ("_null", unseen.part(first), unseen.part(~first))):
            score, of_others = members.reference_csa, others.reference_csa
            assert score is not None and of_others is not None
            rows += _told_apart("reference_csa", suffix, score, of_others, members, others, draws, rng)
    for suffix, pairs in (("", own), ("_null", unseen)):
        for attack, score in (("csa", pairs.csa), ("clipmem", pairs.clipmem)):
            if score is not None:
                rows += _with_gap(attack, suffix, score, pairs, draws, rng)
    return rows


def _told_apart(
    attack: str,
    suffix: str,
    of_members: np.ndarray,
    of_others: np.ndarray,
    members: Pairs,
    others: Pairs,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[dict]:
    """How well a score tells members from others."""
    if not len(of_members) or not len(of_others):
        return
    place = levels(np.concatenate([of_members, of_others]))
    m, o = place[: len(of_members)], place[len(of_members) :]
    measures: dict[str, Callable[..., float]] = {
        "roc_auc": roc_auc,
        "tpr@1%fpr": partial(true_positive_rate, false_positive_rate=FALSE_POSITIVE_RATE),
    }
    for metric, measure in measures.items():
        value = measure(m, o, np.ones(len(m)), np.ones(len(o)))
        drawn = [measure(m, o, members.weights(rng), others.weights(rng)) for _ in range(draws)]
        if metric != "roc_auc" and min(members.number, others.number) < GROUPS_FOR_RATE_INTERVAL:
            drawn = []
        row = _row(attack, metric + suffix, value, drawn, len(m) + len(o))
        yield row | {"p_value": _membership_p(m, o, members, others, draws, rng) if metric == "roc_auc" else None}


def _membership_p(
    m: np.ndarray, o: np.ndarray, members: Pairs, others: Pairs, draws: int, rng: np.random.Generator
) -> float | None:
    """One-sided p-value of "members score higher": the area under the ROC curve is linear in their mean rank."""
    rank = mid_ranks(np.concatenate([m, o]), np.ones(len(m) + len(o)))[:, None]
    first = by_group(rank[: len(m)], members.groups, members.number)
    second = by_group(rank[len(m) :], others.groups, others.number)
    strata = None
    if members.group_sizes is not None and others.group_sizes is not None:
        strata = members.group_sizes, others.group_sizes
    p = joint_test(first, second, np.ones(1, dtype=bool), draws, rng, scale=1.0, strata=strata).p_joint[0]
    return None if np.isnan(p) else float(p)


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
    numbers = {"value": value, "ci_low": np.nan, "ci_high": np.nan}
    if drawn:
        low, high = interval(np.array(drawn, dtype=np.float64)[:, None])
        numbers |= {"ci_low": float(low[0]), "ci_high": float(high[0])}
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
    duplicates: Sequence[Path] = (),
    listed: bool = False,
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
        duplicates: tables of the duplicate groups of the roles' datasets, for the sizes of groups.
        listed: whether a list says which samples have one of the roles; roles are then permuted among groups of one
            size.

    Raises:
        InputError: when embeddings and manifest are not of the same samples.
    """
    clipmem: dict[str, np.ndarray | None] = dict.fromkeys(POPULATIONS)
    if other is not None:
        clipmem |= {
            role: alignment(own[role], own["holdout"]) - alignment(other[role], other["holdout"])
            for role in POPULATIONS
        }
    sizes = group_sizes(duplicates) if listed else None
    roles = {}
    for role in POPULATIONS:
        groups = Groups.of(manifests[role], sizes or {})
        if not np.array_equal(groups.rows, own[role].rows):
            raise InputError(
                f"the embeddings are not those of the samples of {manifests[role]}: delete them and run again."
            )
        roles[role] = Pairs(
            own[role].rows,
            groups.number,
            own[role].cosines(),
            clipmem[role],
            _gap(scores[role], own[role].rows, letter, cell),
            None if other is None else own[role].cosines() - other[role].cosines(),
            groups.sizes if listed else None,
        )
    rows = measure_attacks(roles, letter, draws, np.random.default_rng([seed, ord(letter)]))
    write_table(attacks, pa.Table.from_pylist(rows, schema=ATTACKS), ATTACKS)
    write_table(sample_attacks, (_sample_table(role, pairs) for role, pairs in roles.items()), SAMPLE_ATTACKS)


def _gap(scores: Path, rows: np.ndarray, letter: str, cell: tuple[int, str]) -> np.ndarray:
    k, labels = cell
    table = pq.read_table(
        scores, filters=[("query", "==", CAPTION), ("k", "==", k), ("labels", "==", labels), ("scope", "==", "all")]
    )
    gap = np.full(len(rows), np.nan)
    difference = table["recall_a"].to_numpy() - table["recall_b"].to_numpy()
    gap[np.searchsorted(rows, table["row"].to_numpy())] = difference if letter == "a" else -difference
    return gap


def _sample_table(role: str, pairs: Pairs) -> pa.Table:
    number = len(pairs.rows)
    clipmem = pa.nulls(number, pa.float64()) if pairs.clipmem is None else pa.array(pairs.clipmem)
    columns = {"population": [role] * number, "row": pairs.rows, "csa": pairs.csa, "clipmem": clipmem}
    return pa.table(columns, schema=SAMPLE_ATTACKS)
