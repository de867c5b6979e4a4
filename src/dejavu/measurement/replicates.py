"""From the scores of several pairs of models to what a recipe does over trainings, and to single samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.files import write_table
from dejavu.measurement.cell_scores import CellScores, named
from dejavu.measurement.contrasts import source_of_chance
from dejavu.measurement.groups import Groups
from dejavu.measurement.reference_models import write_membership
from dejavu.measurement.replicate_pool import (
    ReplicateFiles,
    compared_cosine,
    compared_recall,
    read_pool,
    values_by_group,
)
from dejavu.measurement.single_samples import (
    RECALLS,
    confidence_of_each,
    confirmation_row,
    sample_rows,
    share_row,
)
from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS, TESTED
from dejavu.memorization.replicates import recipe_interval
from dejavu.progress import Progress
from dejavu.tables.fields import SIDES, columns_and_constants
from dejavu.tables.queries import RANDOM
from dejavu.tables.replicates import (
    CONFIRMATIONS,
    RECIPE_INTERVALS,
    REPLICATE_DRAWS,
    REPLICATES,
    SAMPLE_EVIDENCE,
    SHARES,
)


@dataclass(frozen=True)
class Options:
    """What is reported of replicates.

    Attributes:
        cell: k and labels that the report shows.
        draws: bootstrap draws.
        seed: of the draws.
        rate: false discovery rate of the list of samples.
        by_chance: whether chance drew the query roles from one dataset, which makes the holdout the samples' control.
    """

    cell: tuple[int, str]
    draws: int
    seed: int
    rate: float
    by_chance: bool


def summarize_replicates(
    replicates: Sequence[ReplicateFiles], holdout: Path, outputs: Mapping[str, Path], options: Options, title: str
) -> None:
    """Write the tables of the replicates of one model.

    Args:
        replicates: their files, those of the split itself first; at least two.
        holdout: the manifest of the holdout, which all replicates share.
        outputs: parquet files to write: the tables of REPLICATE_TABLES.
        options: what is reported.
        title: for the progress lines.

    Raises:
        InputError: when the replicates do not share one training pool, or scores are not of the manifests' samples.
    """
    pool = read_pool(replicates)
    control = Groups.of(holdout, None)
    scores = [{role: CellScores.of(path) for role, path in files.scores.items()} for files in replicates]
    keys = [key for key in scores[0]["a"].numbers if key[0] != RANDOM and (key[1], key[2]) == options.cell]
    keys = sorted(key for key in keys if all(key in of.numbers for each in scores for of in each.values()))
    progress = Progress(title, len(replicates) + len(keys), "steps")
    values = {"symmetric": np.empty((len(scores), len(keys) * len(KEYS)))}
    values["holdout"] = np.empty_like(values["symmetric"])
    drawn = {name: np.empty((len(scores), options.draws, array.shape[1])) for name, array in values.items()}
    for number, of in enumerate(scores):
        roles = {role: values_by_group(of[role], keys, pool.groups) for role in SIDES}
        values["symmetric"][number] = (roles["a"].value - roles["b"].value) / 2
        resampled = [_resampled(roles[role], options, "pool") for role in SIDES]
        drawn["symmetric"][number] = (resampled[0] - resampled[1]) / 2
        unseen = values_by_group(of["holdout"], keys, control)
        values["holdout"][number], drawn["holdout"][number] = unseen.value, _resampled(unseen, options, "holdout")
        progress.advance(1)
    cells = [{**named(key), "metric": metric} for key in keys for metric in KEYS]
    _write(outputs["replicates"], _replicate_rows(values, cells), REPLICATES)
    write_table(outputs["replicate_draws"], _draws(drawn["symmetric"], cells), REPLICATE_DRAWS)
    _write(outputs["recipe_intervals"], _interval_rows(values, drawn, cells), RECIPE_INTERVALS)
    compared = []
    if options.by_chance:
        for key in keys:
            compared += [
                compared_recall(statistic, key, scores, pool, control)
                for statistic, scope in RECALLS.items()
                if key[3] == scope
            ]
            progress.advance(1)
    attacked = replicates if options.by_chance and all(files.attacks for files in replicates) else []
    if attacked:
        compared.append(compared_cosine(attacked, pool, control))
    write_membership(attacked, pool, control, outputs, options.seed)
    compared = [statistic for statistic in compared if statistic.is_known]
    confidence, rng = confidence_of_each(len(compared)), source_of_chance(options.seed, "placebo lists")
    samples = (columns_and_constants(sample_rows(statistic), SAMPLE_EVIDENCE) for statistic in compared)
    write_table(outputs["sample_memorization"], samples, SAMPLE_EVIDENCE)
    _write(outputs["remembered_shares"], [share_row(one, options.rate, confidence, rng) for one in compared], SHARES)
    confirmed = [confirmation_row(one, options.rate) for one in compared]
    _write(outputs["confirmations"], [row for row in confirmed if row is not None], CONFIRMATIONS)
    progress.finish()


def _resampled(values: gaps.Values, options: Options, name: str) -> np.ndarray:
    """Return the bootstrap draws, float64 (draws, columns): draw i takes the same groups in every replicate."""
    return gaps.bootstrap(values, options.draws, source_of_chance(options.seed, "replicates", name))


def _replicate_rows(values: Mapping[str, np.ndarray], cells: Sequence[Mapping[str, Any]]) -> Iterator[dict]:
    for population, of in values.items():
        for number, row in enumerate(of):
            for cell, value in zip(cells, row, strict=True):
                yield {"replicate": number, "population": population, **cell, "value": _finite(value)}


def _draws(drawn: np.ndarray, cells: Sequence[Mapping[str, Any]]) -> Iterator[pa.Table]:
    for replicate, draws in enumerate(drawn):
        for column, cell in enumerate(cells):
            if cell["metric"] in TESTED:
                values = {"replicate": replicate, **cell, "draw": np.arange(len(draws)), "value": draws[:, column]}
                yield columns_and_constants(values, REPLICATE_DRAWS)


def _interval_rows(
    values: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray], cells: Sequence[Mapping[str, Any]]
) -> Iterator[dict]:
    for population, of in values.items():
        for column, cell in enumerate(cells):
            draws = drawn[population][:, :, column]
            complete = draws[:, ~np.isnan(draws).any(axis=0)]
            if np.isnan(of[:, column]).any() or complete.shape[1] < 2:
                continue
            interval = recipe_interval(of[:, column], complete)
            assert interval is not None
            yield {"population": population, **cell, "replicates": len(of), **vars(interval)}


def _write(path: Path, rows: Iterator[dict] | Sequence[dict], schema: pa.Schema) -> None:
    write_table(path, pa.Table.from_pylist(list(rows), schema=schema), schema)


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
