"""Membership in one pair of models with the other replicates' models as references: the attack ``rmia``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.files import read_table, write_table
from dejavu.measurement.groups import Groups
from dejavu.measurement.membership import Contrast, GroupScores, curve_table, known, membership_row, with_halves
from dejavu.measurement.replicate_pool import Pool, ReplicateFiles, spread
from dejavu.memorization.reference_ratio import log_ratio, pairwise_score
from dejavu.tables.fields import SIDES
from dejavu.tables.membership import CURVES_OF_SIDES, OF_SIDES

ATTACK = "rmia"


def write_membership(
    replicates: Sequence[ReplicateFiles], pool: Pool, control: Groups, outputs: Mapping[str, Path], seed: int
) -> None:
    """Write the tables ``membership`` and ``membership_curves`` of the attack with reference models.

    Args:
        replicates: their files, those of the attacked pair of models first; none writes empty tables.
        pool: the training pool.
        control: the duplicate groups of the holdout.
        outputs: parquet files to write: membership and membership_curves.
        seed: of the hashes that split groups.
    """
    rows, curves = [], []
    for side, found in rmia_contrasts(replicates, pool, control, seed) if replicates else ():
        rows += [{"side": side, **membership_row(contrast, seed)} for contrast in found]
        curves += [curve_table(contrast, CURVES_OF_SIDES, side=side) for contrast in found]
    write_table(outputs["membership"], pa.Table.from_pylist(rows, schema=OF_SIDES), OF_SIDES)
    write_table(outputs["membership_curves"], iter(curves), CURVES_OF_SIDES)


def rmia_contrasts(
    replicates: Sequence[ReplicateFiles], pool: Pool, control: Groups, seed: int
) -> Iterator[tuple[str, list[Contrast]]]:
    """Yield each side of the first replicate and the contrasts of the attack on it, evaluation and control.

    References are both sides of every other replicate. Of each such pair, one model saw a sample of the pool and the
    other did not, and its coin does not depend on the attacked models' coin. The attacked model is none of its own
    references, and neither is the other side of its replicate: that one saw a sample exactly if the attacked one did
    not. The side's own role is therefore compared with the other side's role, which differ in the coin alone. The
    holdout is the population that ratios are compared with, and its halves are the control.
    """
    attacked = {side: _cosines(replicates[0], side, pool, control) for side in SIDES}
    total = [np.zeros(len(pool.groups.rows)), np.zeros(len(control.rows))]
    for files in replicates[1:]:
        for side in SIDES:
            total = [sums + part for sums, part in zip(total, _cosines(files, side, pool, control), strict=True)]
    references = [sums / (len(SIDES) * len(replicates[1:])) for sums in total]
    for side, (trained, unseen) in attacked.items():
        ratio = log_ratio(trained, references[0])
        population = GroupScores.of("holdout", log_ratio(unseen, references[1]), control.number, control.rows)
        roles = {}
        for role in SIDES:
            own = pool.role == role
            ratios = GroupScores.of(role, ratio[own], pool.groups.number[own], pool.groups.rows[own])
            roles[role] = replace(ratios, score=pairwise_score(ratios.score, population.score))
        halved = replace(population, score=pairwise_score(population.score, population.score, is_population=True))
        other = SIDES[1 - SIDES.index(side)]
        yield side, known(with_halves(ATTACK, roles[side], roles[other], halved, seed, len(replicates)))


def _cosines(files: ReplicateFiles, side: str, pool: Pool, control: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines under a side, of the pool and of the holdout; NaN for samples that were not asked about."""
    table = read_table(files.attacks[side], ["population", "row", "csa"])
    population, row, cosine = (table[name].to_numpy() for name in ("population", "row", "csa"))
    is_unseen = population == "holdout"
    return (
        spread(row[~is_unseen], cosine[~is_unseen], pool.groups),
        spread(row[is_unseen], cosine[is_unseen], control),
    )
