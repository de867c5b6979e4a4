"""What the replicates of a model share: one training pool, its coins, and what was scored in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.errors import InputError
from dejavu.files import read_table
from dejavu.measurement.cell_scores import CellScores, Key
from dejavu.measurement.groups import Groups
from dejavu.measurement.single_samples import COSINE, Compared
from dejavu.memorization import gaps
from dejavu.memorization.metrics import query_values
from dejavu.tables.fields import SIDES
from dejavu.tables.queries import CAPTION


@dataclass(frozen=True)
class ReplicateFiles:
    """The files of one replicate.

    Attributes:
        manifests: ``a`` and ``b`` -> the manifest of the role.
        scores: population -> its per-sample scores.
        attacks: side -> the membership scores of single pairs; empty where a side is another model's.
    """

    manifests: Mapping[str, Path]
    scores: Mapping[str, Path]
    attacks: Mapping[str, Path]


@dataclass(frozen=True)
class Pool:
    """The training pool, and who saw it.

    Attributes:
        groups: the pool's samples and their duplicate groups.
        coins: int8 (replicates, samples), 1 where role a of the replicate holds the sample and -1 where role b does.
        role: str (samples,), the role in replicate 0.
    """

    groups: Groups
    coins: np.ndarray

    @property
    def role(self) -> np.ndarray:
        return np.where(self.coins[0] > 0, *SIDES)


def read_pool(replicates: Sequence[ReplicateFiles]) -> Pool:
    """Read which samples the replicates share, and which role each has in each of them."""
    coins, pools = [], []
    for files in replicates:
        of_a, of_b = (read_table(files.manifests[role], ["row"])["row"].to_numpy() for role in SIDES)
        rows = np.concatenate([of_a, of_b])
        order = np.argsort(rows)
        pools.append(rows[order])
        coins.append(np.where(order < len(of_a), 1, -1).astype(np.int8))
        if not np.array_equal(pools[0], pools[-1]):
            raise InputError(
                f"{files.manifests['a']} and {files.manifests['b']} hold another training pool than the split's own "
                "manifests: delete both and run again."
            )
    first = replicates[0].manifests
    group = pa.concat_tables([read_table(first[role], ["row", "group_id"]) for role in SIDES]).sort_by("row")
    _, number = np.unique(np.asarray(group["group_id"].to_pylist()), return_inverse=True)
    number = number.reshape(-1)
    return Pool(Groups(first["a"], pools[0], number, int(number.max()) + 1), np.stack(coins))


def values_by_group(scores: CellScores, keys: Sequence[Key], groups: Groups) -> gaps.Values:
    """Return the values of all cells side by side, each with all metrics, summed by duplicate group."""
    parts = []
    for key in keys:
        cell = scores.cell(key)
        values = query_values(cell["precision_a"], cell["precision_b"], cell["recall_a"], cell["recall_b"])
        parts.append(gaps.by_group(values, groups.number_of(cell["row"]), groups.count))
    return gaps.Values(np.hstack([part.sums for part in parts]), np.hstack([part.sizes for part in parts]))


def _places(rows: np.ndarray, groups: Groups) -> np.ndarray:
    """Return the place of every row among the samples of the groups, int64 (rows,)."""
    groups.number_of(rows)
    return np.searchsorted(groups.rows, rows)


def compared_recall(
    statistic: str, key: Key, scores: Sequence[Mapping[str, CellScores]], pool: Pool, control: Groups
) -> Compared:
    """Read the gaps in recall of one cell, in every replicate."""

    def gap(of: Mapping[str, CellScores], roles: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        cells = [of[role].cell(key) for role in roles]
        rows = np.concatenate([cell["row"] for cell in cells])
        return rows, np.concatenate([cell["recall_a"] - cell["recall_b"] for cell in cells])

    trained = [spread(*gap(of, SIDES), pool.groups) for of in scores]
    unseen = [spread(*gap(of, ["holdout"]), control) for of in scores]
    return _compared(statistic, key[0], trained, unseen, pool, control)


def compared_cosine(replicates: Sequence[ReplicateFiles], pool: Pool, control: Groups) -> Compared:
    """Read the gaps in the cosine of pairs, in every replicate."""
    trained, unseen = [], []
    for files in replicates:
        tables = [read_table(files.attacks[side], ["population", "row", "csa"]) for side in SIDES]
        own, other = (table.sort_by([("population", "ascending"), ("row", "ascending")]) for table in tables)
        if not own.select(["population", "row"]).equals(other.select(["population", "row"])):
            raise InputError(
                f"{files.attacks['a']} and {files.attacks['b']} hold other pairs: delete both and run again."
            )
        population = np.asarray(own["population"].to_pylist())
        rows, gap = own["row"].to_numpy(), own["csa"].to_numpy() - other["csa"].to_numpy()
        is_trained = np.isin(population, SIDES)
        trained.append(spread(rows[is_trained], gap[is_trained], pool.groups))
        unseen.append(spread(rows[population == "holdout"], gap[population == "holdout"], control))
    return _compared(COSINE, CAPTION, trained, unseen, pool, control)


def spread(rows: np.ndarray, values: np.ndarray, groups: Groups) -> np.ndarray:
    """Return the values at the places of their rows, float64 (samples,); NaN for samples that were no query."""
    found = np.full(len(groups.rows), np.nan)
    found[_places(rows, groups)] = values
    return found


def _compared(
    statistic: str,
    query: str,
    trained: Sequence[np.ndarray],
    unseen: Sequence[np.ndarray],
    pool: Pool,
    control: Groups,
) -> Compared:
    """Return a statistic of the samples that were queries in every replicate."""
    gap, null = np.stack(trained), np.stack(unseen)
    asked, asked_null = ~np.isnan(gap).any(axis=0), ~np.isnan(null).any(axis=0)
    return Compared(
        statistic=statistic,
        query=query,
        population=pool.role[asked],
        row=pool.groups.rows[asked],
        group=pool.groups.number[asked],
        gaps=gap[:, asked],
        coins=pool.coins[:, asked],
        control=null[:, asked_null],
        control_group=control.number[asked_null],
    )
