"""From per-sample scores to what can be said of a population: gaps, top-L gaps and recall curves of one model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.memorization import gaps
from dejavu.progress import Progress
from dejavu.tables import METRICS, POPULATION_GAPS, RECALL_CURVES, TOP_L

SORTS = ("nearest", "correct", "gap")


@dataclass(frozen=True)
class Statistics:
    """How the statistics are made; keys of ``measure`` in the configuration, where they are described."""

    samplings: int
    fraction: float
    bootstrap: int
    counts: tuple[int, ...]
    fractions: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Cell:
    """The scores of one population for one (k, labels, scope): column name -> array (queries,)."""

    k: int
    labels: str
    scope: str
    columns: dict[str, np.ndarray]

    @property
    def key(self) -> dict:
        return {"k": self.k, "labels": self.labels, "scope": self.scope}


def summarize(
    scores: Mapping[str, Path],
    manifests: Mapping[str, Path],
    population_gaps: Path,
    top_l: Path,
    recall_curves: Path,
    *,
    statistics: Statistics,
    title: str,
) -> None:
    """Writes the three population tables of one model.

    Args:
        scores: population (``a``, ``b``, ``holdout``) -> its per-sample scores.
        manifests: population -> its manifest, for the duplicate groups.
        population_gaps, top_l, recall_curves: parquet files to write.
        statistics: how many draws, and which top-L.
        title: for the progress lines.
    """
    cells = _common({population: _cells(path) for population, path in scores.items()})
    progress = Progress(title, len(cells) + 1, "populations")
    gap_rows = list(_gap_rows(cells, manifests, statistics, progress))
    write_table(population_gaps, pa.Table.from_pylist(gap_rows, schema=POPULATION_GAPS), POPULATION_GAPS)
    top = [
        row for population, found in cells.items() for cell in found for row in _top_rows(population, cell, statistics)
    ]
    top += _symmetric_top(top)
    write_table(top_l, pa.Table.from_pylist(top, schema=TOP_L), TOP_L)
    curves = [row for population, found in cells.items() for cell in found for row in _curve_rows(population, cell)]
    write_table(recall_curves, pa.Table.from_pylist(curves, schema=RECALL_CURVES), RECALL_CURVES)
    progress.finish()


def _cells(path: Path) -> list[Cell]:
    table = read_table(path)
    keys = table.select(["k", "labels", "scope"]).group_by(["k", "labels", "scope"], use_threads=False).aggregate([])
    found = []
    for key in keys.to_pylist():
        mask = pc.and_(pc.equal(table["k"], key["k"]), pc.equal(table["labels"], key["labels"]))
        part = table.filter(pc.and_(mask, pc.equal(table["scope"], key["scope"]))).sort_by("row")
        names = [n for n in part.column_names if n not in key]
        found.append(Cell(**key, columns={n: part[n].to_numpy() for n in names}))
    return found


def _common(cells: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
    """Only the cells that every population has: where one has no object in scope, there is nothing to compare."""
    shared = set.intersection(*({tuple(cell.key.values()) for cell in found} for found in cells.values()))
    return {name: [cell for cell in found if tuple(cell.key.values()) in shared] for name, found in cells.items()}


def _values(cells: Sequence[Cell], manifest: Path) -> gaps.Values:
    """All metrics of all cells of a population side by side, summed by duplicate group."""
    table = read_table(manifest, ["row", "group_id"]).sort_by("row")
    rows = table["row"].to_numpy()
    groups = np.unique(np.asarray(table["group_id"].to_pylist()), return_inverse=True)[1]
    shape = (len(rows), len(cells) * len(METRICS))
    values, in_scope = np.zeros(shape), np.zeros(shape, dtype=bool)
    for i, cell in enumerate(cells):
        c = cell.columns
        where = np.minimum(np.searchsorted(rows, c["row"]), len(rows) - 1)
        if not np.array_equal(rows[where], c["row"]):
            raise InputError(
                f"scores name queries that are not in {manifest}: one of them comes from another run. "
                "Delete the scores and run again."
            )
        columns = slice(i * len(METRICS), (i + 1) * len(METRICS))
        values[where, columns] = gaps.query_values(c["precision_a"], c["precision_b"], c["recall_a"], c["recall_b"])
        in_scope[where, columns] = True
    # queries that are in no cell are left out of every resample
    kept = in_scope.any(axis=1)
    return gaps.by_group(values[kept], in_scope[kept], groups[kept])


def _gap_rows(
    cells: Mapping[str, list[Cell]], manifests: Mapping[str, Path], statistics: Statistics, progress: Progress
) -> Iterator[dict]:
    values, sampled, drawn = {}, {}, {}
    for population, found in cells.items():
        rng = _rng(statistics.seed, population)
        v = values[population] = _values(found, manifests[population])
        sampled[population] = gaps.samplings(v, statistics.samplings, statistics.fraction, rng)
        drawn[population] = gaps.bootstrap(v, statistics.bootstrap, rng)
        p = gaps.sign_flip_p_value(v, statistics.bootstrap, rng)
        yield from _rows_of(population, found, v.value, sampled[population], drawn[population], p, v.count)
        progress.advance(1)
    a, b = values["a"], values["b"]
    yield from _rows_of(
        "symmetric",
        cells["a"],
        (a.value - b.value) / 2,
        (sampled["a"] - sampled["b"]) / 2,
        (drawn["a"] - drawn["b"]) / 2,
        gaps.permutation_p_value(a, b, statistics.bootstrap, _rng(statistics.seed, "symmetric")),
        a.count + b.count,
    )
    progress.advance(1)


def _rows_of(
    population: str,
    cells: Sequence[Cell],
    value: np.ndarray,
    sampled: np.ndarray,
    drawn: np.ndarray,
    p_value: np.ndarray,
    count: np.ndarray,
) -> Iterator[dict]:
    low, high = gaps.interval(drawn)
    mean, std = sampled.mean(axis=0), sampled.std(axis=0, ddof=1) if len(sampled) > 1 else np.zeros_like(value)
    columns = {"value": value, "mean": mean, "std": std, "ci_low": low, "ci_high": high, "p_value": p_value}
    for i, cell in enumerate(cells):
        for j, metric in enumerate(METRICS):
            at = i * len(METRICS) + j
            numbers = {name: _finite(array[at]) for name, array in columns.items()}
            yield {"population": population, **cell.key, "metric": metric, **numbers, "n": int(count[at])}


def _top_rows(population: str, cell: Cell, statistics: Statistics) -> Iterator[dict]:
    c = cell.columns
    target, other = ("b", "a") if population == "b" else ("a", "b")
    number = len(c["row"])
    asked = [("count", float(n), n) for n in statistics.counts if n <= number]
    asked += [("fraction", f, max(1, math.floor(f * number))) for f in statistics.fractions if number]
    for sort in SORTS:
        order = gaps.top_order(sort, c[f"correct_{target}"], c[f"correct_{other}"], c[f"nearest_{target}"], c["row"])
        for unit, size, first in asked:
            taken = order[:first]
            mean = {
                name: float(c[name][taken].mean()) for name in ("precision_a", "precision_b", "recall_a", "recall_b")
            }
            yield {
                "population": population,
                **cell.key,
                "sort": sort,
                "unit": unit,
                "l": size,
                "precision_gap": mean["precision_a"] - mean["precision_b"],
                "recall_gap": mean["recall_a"] - mean["recall_b"],
                "f1_gap": gaps.f1_of_means(mean["precision_a"], mean["recall_a"])
                - gaps.f1_of_means(mean["precision_b"], mean["recall_b"]),
            }


def _symmetric_top(rows: Sequence[dict]) -> list[dict]:
    measured = ("precision_gap", "recall_gap", "f1_gap")

    def key(row: dict) -> tuple:
        return tuple(v for k, v in row.items() if k not in ("population", *measured))

    on_b = {key(row): row for row in rows if row["population"] == "b"}
    pairs = [(row, on_b[key(row)]) for row in rows if row["population"] == "a" and key(row) in on_b]
    return [{**a, "population": "symmetric", **{m: (a[m] - b[m]) / 2 for m in measured}} for a, b in pairs]


def _curve_rows(population: str, cell: Cell) -> Iterator[dict]:
    for side in "ab":
        for recall, share in zip(*gaps.at_least(cell.columns[f"recall_{side}"]), strict=True):
            yield {"population": population, **cell.key, "side": side, "recall": recall, "share_at_least": share}


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")])


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
