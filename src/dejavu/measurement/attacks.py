"""Other attacks on the same splits, each beside its control, and how far they agree with the déjà vu gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.measurement.groups import QueryRoles
from dejavu.measurement.membership import contrasts, curve_table, membership_row
from dejavu.measurement.pairs import Embeddings, Pairs, alignment
from dejavu.memorization.gaps import by_group, interval
from dejavu.memorization.membership import levels, mid_ranks, roc_auc, spearman, true_positive_rate
from dejavu.memorization.permutation import joint_test
from dejavu.tables.evaluation import ATTACKS, SAMPLE_ATTACKS
from dejavu.tables.membership import MEMBERSHIP, MEMBERSHIP_CURVES
from dejavu.tables.queries import CAPTION

FALSE_POSITIVE_RATE = 0.01
# with fewer groups the bootstrap of a quantile that far out covers too little: on normal scores one deviation apart it
# held the true rate in 84 % of 200 runs with 100 pairs a role, in 92 % with 200, in 94 % with 1,000
GROUPS_FOR_RATE_INTERVAL = 200
# suffix of a metric's null, measured on unseen pairs
CONTROL = "_null"


def measure_attacks(roles: Mapping[str, Pairs], letter: str, draws: int, rng: np.random.Generator) -> list[dict]:
    """Return the rows of the attacks table of one side.

    ``csa`` (arXiv 2310.00108) takes the cosine of a pair as its membership score: the side's own training role against
    the other side's. Its control compares two roles that the side never saw, the other side's and the holdout.
    ``reference_csa`` takes the cosine minus that under the other side, which as a reference tells how easy the pair
    is: the side's own training role against the holdout, which neither side saw; its control compares halves of the
    holdout. ``clipmem`` is the mean of alignment under the side minus under the other side, over the side's training
    role; its control is the same over the holdout. ``spearman_gap`` is its, or csa's, rank correlation with the déjà
    vu gap of the same pairs.

    Args:
        roles: population -> its pairs.
        letter: the side.
        draws: bootstrap draws of the 95 % intervals, over duplicate groups, drawn separately in every role; and
            permutations of the p-values.
        rng: source of the draws.
    """
    own, other, unseen = roles[letter], roles["b" if letter == "a" else "a"], roles["holdout"]
    chance = _Chance(draws, rng)
    rows: list[dict] = []
    for suffix, members, others in (("", own, other), (CONTROL, other, unseen)):
        rows += _told_apart("csa", suffix, members, others, chance)
    if own.reference_csa is not None:
        first = np.zeros(unseen.number, dtype=bool)
        first[rng.permutation(unseen.number)[: unseen.number // 2]] = True
        for suffix, members, others in (("", own, unseen), (CONTROL, unseen.part(first), unseen.part(~first))):
            rows += _told_apart("reference_csa", suffix, members, others, chance)
    for suffix, pairs in (("", own), (CONTROL, unseen)):
        for attack in ("csa", "clipmem"):
            rows += _with_gap(attack, suffix, pairs, chance)
    return rows


@dataclass(frozen=True)
class _Chance:
    """How often, and from what, is drawn."""

    draws: int
    rng: np.random.Generator


def _told_apart(attack: str, suffix: str, members: Pairs, others: Pairs, chance: _Chance) -> Iterator[dict]:
    """Yield how well an attack's score, an attribute of pairs, tells members from others."""
    of_members, of_others = getattr(members, attack), getattr(others, attack)
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
        drawn = [measure(m, o, members.weights(chance.rng), others.weights(chance.rng)) for _ in range(chance.draws)]
        if metric != "roc_auc" and min(members.number, others.number) < GROUPS_FOR_RATE_INTERVAL:
            drawn = []
        row = _row(attack, metric + suffix, value, drawn, len(m) + len(o))
        yield row | {"p_value": _membership_p(m, o, members, others, chance) if metric == "roc_auc" else None}


def _membership_p(m: np.ndarray, o: np.ndarray, members: Pairs, others: Pairs, chance: _Chance) -> float | None:
    """Return the one-sided p-value of "members score higher": the ROC AUC is linear in their mean rank."""
    rank = mid_ranks(np.concatenate([m, o]), np.ones(len(m) + len(o)))[:, None]
    first = by_group(rank[: len(m)], members.groups, members.number)
    second = by_group(rank[len(m) :], others.groups, others.number)
    strata = None
    if members.group_sizes is not None and others.group_sizes is not None:
        strata = members.group_sizes, others.group_sizes
    family = np.ones(1, dtype=bool)
    p = joint_test(first, second, family, chance.draws, chance.rng, scale=1.0, strata=strata).p_joint[0]
    return None if np.isnan(p) else float(p)


def _with_gap(attack: str, suffix: str, pairs: Pairs, chance: _Chance) -> Iterator[dict]:
    """Yield the mean of clipmem, and the rank correlation of an attack's score with the déjà vu gap."""
    score = getattr(pairs, attack)
    if score is None:
        return
    known = ~np.isnan(pairs.gap)
    x, y = levels(score[known]), levels(pairs.gap[known])
    means, correlations = [], []
    for _ in range(chance.draws):
        weights = pairs.weights(chance.rng)
        if attack == "clipmem":
            means.append(np.average(score, weights=weights))
        if weights[known].any():
            correlations.append(spearman(x, y, weights[known]))
    if attack == "clipmem":
        yield _row(attack, "mean" + suffix, float(score.mean()), means, len(score))
    if known.any():
        yield _row(attack, "spearman_gap" + suffix, spearman(x, y, np.ones(len(x))), correlations, len(x))


def _row(attack: str, metric: str, value: float, drawn: list[float], n: int) -> dict:
    numbers = {"value": value, "ci_low": np.nan, "ci_high": np.nan}
    if drawn:
        low, high = interval(np.array(drawn, dtype=np.float64)[:, None])
        numbers |= {"ci_low": float(low[0]), "ci_high": float(high[0])}
    known = {name: None if np.isnan(number) else number for name, number in numbers.items()}
    return {"attack": attack, "metric": metric, **known, "n": n}


@dataclass(frozen=True)
class Attacked:
    """What is attacked, and how it is measured.

    Attributes:
        letter: the side, ``a`` or ``b``.
        cell: k and labels of the déjà vu gap that is compared, over all objects.
        draws: bootstrap draws.
        seed: of the draws.
    """

    letter: str
    cell: tuple[int, str]
    draws: int
    seed: int


def write_attacks(
    own: Mapping[str, Embeddings],
    other: Mapping[str, Embeddings] | None,
    roles: QueryRoles,
    outputs: Mapping[str, Path],
    attacked: Attacked,
) -> None:
    """Write the attacks on one side: the tables of results, and the scores of single pairs.

    Where a list says which samples have one of the roles, roles are permuted among groups of one size.

    Args:
        own, other: role -> embeddings under the side and under the other side; None for a text-only reference.
        roles: the scores and the duplicate groups of the query roles, and how these were drawn.
        outputs: parquet files to write: attacks, sample_attacks, membership and membership_curves.
        attacked: the side and the options.

    Raises:
        InputError: when embeddings and manifest are not of the same samples.
    """
    pairs = {}
    for role, groups in roles.groups():
        if not np.array_equal(groups.rows, own[role].rows):
            raise InputError(
                f"the embeddings are not those of the samples of {roles.manifests[role]}: delete them and run again."
            )
        clipmem = reference_csa = None
        if other is not None:
            clipmem = alignment(own[role], own["holdout"]) - alignment(other[role], other["holdout"])
            reference_csa = own[role].cosines() - other[role].cosines()
        pairs[role] = Pairs(
            own[role].rows,
            groups.number,
            own[role].cosines(),
            clipmem,
            _gap(roles.scores[role], own[role].rows, attacked.letter, attacked.cell),
            reference_csa,
            groups.sizes,
        )
    chance = np.random.default_rng([attacked.seed, ord(attacked.letter)])
    rows = measure_attacks(pairs, attacked.letter, attacked.draws, chance)
    write_table(outputs["attacks"], pa.Table.from_pylist(rows, schema=ATTACKS), ATTACKS)
    write_table(
        outputs["sample_attacks"], (_sample_table(role, of_role) for role, of_role in pairs.items()), SAMPLE_ATTACKS
    )
    rows, curves = [], []
    for contrast in contrasts(pairs, attacked.letter, attacked.seed):
        rows.append(membership_row(contrast, attacked.seed))
        curves.append(curve_table(contrast))
    write_table(outputs["membership"], pa.Table.from_pylist(rows, schema=MEMBERSHIP), MEMBERSHIP)
    write_table(outputs["membership_curves"], iter(curves), MEMBERSHIP_CURVES)


def _gap(scores: Path, rows: np.ndarray, letter: str, cell: tuple[int, str]) -> np.ndarray:
    """Return the recall gap of each row, float64 (rows,); NaN for queries without objects."""
    k, labels = cell
    table = pq.read_table(
        scores,
        columns=["row", "recall_a", "recall_b"],
        filters=[("query", "==", CAPTION), ("k", "==", k), ("labels", "==", labels), ("scope", "==", "all")],
    )
    gap = np.full(len(rows), np.nan)
    difference = table["recall_a"].to_numpy() - table["recall_b"].to_numpy()
    gap[np.searchsorted(rows, table["row"].to_numpy())] = difference if letter == "a" else -difference
    return gap


def _sample_table(role: str, pairs: Pairs) -> pa.Table:
    number = len(pairs.rows)
    clipmem = pa.nulls(number, pa.float64()) if pairs.clipmem is None else pa.array(pairs.clipmem)
    columns = {"population": pa.repeat(role, number), "row": pairs.rows, "csa": pairs.csa, "clipmem": clipmem}
    return pa.table(columns, schema=SAMPLE_ATTACKS)
