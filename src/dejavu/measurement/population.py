"""From per-sample scores to what can be said of a population: gaps, top-L gaps and recall curves of one model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.spill import folder_beside
from dejavu.files import write_table
from dejavu.measurement.cell_scores import CellScores, Key, common_keys, named
from dejavu.measurement.contrasts import CONTRASTS, HALVES, Contrast, Resampled, halves, source_of_chance, tested
from dejavu.measurement.groups import Groups, QueryRoles
from dejavu.measurement.options import Statistics
from dejavu.measurement.stored_values import ColumnFile, StoredValues
from dejavu.measurement.top_l import TopL
from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS, METRICS, TESTED
from dejavu.memorization.permutation import JointTest, effective_groups
from dejavu.processes import give_back_freed_pieces
from dejavu.progress import Progress
from dejavu.tables.fields import SIDES
from dejavu.tables.populations import BOOTSTRAP_DRAWS, POPULATION_GAPS, RECALL_CURVES, TOP_L

# populations whose resamples are kept: the gap, and what stands beside it in the report
WITH_DRAWS = ("symmetric", "holdout", "unseen")


def summarize(
    roles: QueryRoles, outputs: Mapping[str, Path], *, statistics: Statistics, one_model: bool = False, title: str
) -> None:
    """Write the population tables of one model.

    Roles of different datasets cannot be permuted, and are not tested; where one of two roles is listed, labels are
    permuted among groups of one size.

    Args:
        roles: the scores and the duplicate groups of the query roles, and how these were drawn.
        outputs: parquet files to write: population_gaps, bootstrap_draws, top_l and recall_curves.
        statistics: how many draws, and which top-L.
        one_model: whether side b is a text encoder.
        title: for the progress lines.

    Raises:
        InputError: when scores name queries that are not in the manifest.
    """
    scores = {population: CellScores.of(path) for population, path in roles.scores.items()}
    keys = common_keys([one.numbers for one in scores.values()])
    contrasts = {
        name: contrast
        for name, contrast in CONTRASTS.items()
        if (contrast.one_model if one_model else contrast.two_models)
    }
    progress = Progress(title, len(scores) * (len(keys) + 2) + len(contrasts), "steps")
    numbers = {side: scores[side].numbers for side in SIDES}
    with folder_beside(outputs["population_gaps"]) as folder, ExitStack() as files:
        top = TopL(statistics.counts, statistics.fractions, folder)
        cells = _Cells(keys, numbers, top, progress)
        found: dict[str, Resampled] = {}
        for population, groups in roles.groups():
            file = files.enter_context(closing(ColumnFile(folder / population, groups.count)))
            top.resample(population, groups.count, source_of_chance(statistics.seed, population, "top-L"))
            values, kept = cells.values(population, scores[population], groups, file)
            sizes = None if groups.sizes is None else groups.sizes[kept]
            del groups
            give_back_freed_pieces()
            found[population] = Resampled.of(values, sizes, statistics, population)
            progress.advance(1)
        found |= halves(found["holdout"], statistics)
        tests = {}
        for name, contrast in contrasts.items():
            tests[name] = tested(found, contrast, statistics, roles.drawings, name)
            progress.advance(1)
        gap_rows = [*_role_rows(found, keys, statistics, progress), *_contrast_rows(found, contrasts, tests, keys)]
    write_table(outputs["population_gaps"], pa.Table.from_pylist(gap_rows, schema=POPULATION_GAPS), POPULATION_GAPS)
    write_table(outputs["bootstrap_draws"], _draws(found, contrasts, keys), BOOTSTRAP_DRAWS)
    write_table(outputs["top_l"], pa.Table.from_pylist(top.rows(), schema=TOP_L), TOP_L)
    write_table(outputs["recall_curves"], pa.Table.from_pylist(cells.curves, schema=RECALL_CURVES), RECALL_CURVES)
    progress.finish()


@dataclass(frozen=True)
class _Cells:
    """The cells of a model, and what single queries tell of them.

    Attributes:
        keys: the cells.
        numbers: side -> cell -> number of queries of the side's training role.
        top: gathers the rows of the table ``top_l``.
        progress: advances with every cell.
        curves: gathers the rows of the table ``recall_curves``.
    """

    keys: Sequence[Key]
    numbers: Mapping[str, Mapping[Key, int]]
    top: TopL
    progress: Progress
    curves: list[dict] = field(default_factory=list)

    def values(
        self, population: str, scores: CellScores, groups: Groups, file: ColumnFile
    ) -> tuple[StoredValues, np.ndarray]:
        """Write all metrics of all cells side by side, summed by duplicate group; add to ``top`` and ``curves``.

        Returns:
            The values, and int32 (n,), ascending: which groups they are of. Those that are in no cell are left out.
        """
        sums: list[int] = []
        sizes: list[int] = []
        is_kept = np.zeros(groups.count, dtype=bool)
        for key, cell in scores.cells(self.keys):
            group = groups.number_of(cell["row"])
            size = np.bincount(group, minlength=groups.count)
            is_kept |= size > 0
            sizes += [file.add(size)] * len(METRICS)
            del size
            self.curves.extend(_curve_rows(population, key, cell))
            for metric in METRICS:
                sums.append(file.add(np.bincount(group, weights=metric.values(cell), minlength=groups.count)))
            self.top.add(population, named(key), cell, group, {side: self.numbers[side][key] for side in SIDES})
            self.progress.advance(1)
        kept = np.flatnonzero(is_kept).astype(np.int32)
        return StoredValues(file, np.array(sums), np.array(sizes), kept), kept


def _role_rows(
    found: Mapping[str, Resampled], keys: Sequence[Key], statistics: Statistics, progress: Progress
) -> Iterator[dict]:
    """Yield the gaps on the roles themselves."""
    for population, r in found.items():
        if population in HALVES:
            continue
        p = gaps.sign_flip_p_value(
            r.values, statistics.bootstrap, source_of_chance(statistics.seed, population, "sign flips")
        )
        columns = {
            "value": r.values.value,
            **_spread(r.sampled, r.drawn),
            "p_value": p,
            "n": r.values.count,
            "groups": r.values.totals.groups,
            "effective_groups": effective_groups(r.values),
        }
        progress.advance(1)
        yield from _rows_of(population, keys, columns)


def _contrast_rows(
    found: Mapping[str, Resampled],
    contrasts: Mapping[str, Contrast],
    tests: Mapping[str, JointTest | None],
    keys: Sequence[Key],
) -> Iterator[dict]:
    """Yield the differences between the gaps on two roles, with what permutations say of them."""
    for name, contrast in contrasts.items():
        one, other, test = found[contrast.first], found[contrast.second], tests[name]
        columns = {
            "value": contrast.scale * (one.values.value - other.values.value),
            **_spread(contrast.scale * (one.sampled - other.sampled), contrast.scale * (one.drawn - other.drawn)),
            "n": one.values.count + other.values.count,
            "groups": one.values.totals.groups + other.values.totals.groups,
            "effective_groups": np.minimum(effective_groups(one.values), effective_groups(other.values)),
        }
        if test is not None:
            columns |= {
                "p_value": test.p_value,
                "p_joint": test.p_joint,
                "expected": test.expected,
                "detectable": test.detectable,
            }
        yield from _rows_of(name, keys, columns)


def _spread(sampled: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Return mean and deviation of the samplings, and the interval of the bootstrap; each float64 (columns,)."""
    low, high = gaps.interval(drawn)
    std = sampled.std(axis=0, ddof=1) if len(sampled) > 1 else np.zeros(sampled.shape[1])
    return {"mean": sampled.mean(axis=0), "std": std, "ci_low": low, "ci_high": high}


def _rows_of(population: str, keys: Sequence[Key], columns: Mapping[str, np.ndarray]) -> Iterator[dict]:
    for at, (key, metric) in enumerate(itertools.product(keys, KEYS)):
        numbers = {
            name: int(array[at]) if array.dtype.kind == "i" else _finite(array[at]) for name, array in columns.items()
        }
        yield {"population": population, **named(key), "metric": metric, **numbers}


def _draws(
    found: Mapping[str, Resampled], contrasts: Mapping[str, Contrast], keys: Sequence[Key]
) -> Iterator[pa.Table]:
    """Yield the resampled metrics as rows, one table for each population and cell."""
    drawn = {population: r.drawn for population, r in found.items()}
    drawn |= {name: c.scale * (drawn[c.first] - drawn[c.second]) for name, c in contrasts.items()}
    for population in (name for name in WITH_DRAWS if name in drawn):
        values = drawn[population]
        for at, (key, metric) in enumerate(itertools.product(keys, KEYS)):
            if metric not in TESTED:
                continue
            constants = {"population": population, **named(key), "metric": metric}
            columns = {name: pa.repeat(pa.scalar(value), len(values)) for name, value in constants.items()}
            columns["draw"] = pa.array(np.arange(len(values), dtype=np.int32))
            columns["value"] = pa.array(values[:, at].astype(np.float32), from_pandas=True)
            yield pa.table({name: columns[name].cast(BOOTSTRAP_DRAWS.field(name).type) for name in columns})


def _curve_rows(population: str, key: Key, cell: Mapping[str, np.ndarray]) -> Iterator[dict]:
    for side in "ab":
        for recall, share in zip(*gaps.at_least(cell[f"recall_{side}"]), strict=True):
            yield {"population": population, **named(key), "side": side, "recall": recall, "share_at_least": share}


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
