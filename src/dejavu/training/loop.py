"""The training of one side of a model, from its manifest to its checkpoints; an interrupted training resumes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.devices import require
from dejavu.errors import InputError
from dejavu.files import atomic, read_table, write_table
from dejavu.tables.training import TRAINING
from dejavu.training import worker
from dejavu.training.distributed import Processes, launch
from dejavu.training.job import Job
from dejavu.training.ranks import Ranks
from dejavu.training.run import METRICS, Run
from dejavu.training.state import locked, open_run, run_key


def train(job: Job, state: Path, code: str, checkpoints: Path, metrics: Path) -> None:
    """Train one side and write its checkpoints ``<samples_seen>.pt`` and its metrics table.

    A training that was killed goes on from its last state, and ends with the same bytes as one that was not killed.

    Args:
        job: the training.
        state: folder for the state that a killed training resumes from; removed at the end.
        code: hash of the training code; a state of other code, another recipe or other data is not used.
        checkpoints: folder for the checkpoints.
        metrics: parquet file for the metrics, schema ``TRAINING``.

    Raises:
        InputError: when the training set is smaller than a batch, another process trains the same side, the loss is
            not finite, or one of several processes failed.
    """
    recipe, title = job.recipe, job.title
    rows = read_table(job.manifest, ["row"])["row"].to_numpy()
    if len(rows) < recipe.batch_size:
        raise InputError(
            f"{title}: the training set has {len(rows):,} samples, fewer than one batch of {recipe.batch_size:,}: "
            "lower batch_size, or enlarge the role."
        )
    if job.nodes == 1:
        require(job.device, recipe.processes, title)
    with locked(state, title):
        run, saved = open_run(state, run_key(recipe, job.side, rows, SampleStore(job.samples), code), title)
        job = replace(job, run=str(run))
        if recipe.processes == 1:
            training = Run(job, Ranks(device=job.device), saved)
            # Free the saved state: it is as large as weights and optimiser together.
            del saved
            training.train()
        else:
            del saved
            _launch(job)
        _publish(job, checkpoints, metrics)


def _launch(job: Job) -> None:
    path = Path(job.run) / "job.json"
    job.write(path)
    processes = Processes(
        job.recipe.processes,
        worker.__name__,
        str(path),
        nodes=job.nodes,
        gpus_per_node=job.recipe.processes // job.nodes if job.device == "cuda" else 0,
    )
    launch(processes, Path(job.run) / "ranks", job.title)


def _publish(job: Job, checkpoints: Path, metrics: Path) -> None:
    """Copy checkpoints and metrics to the outputs. A move would leave a killed job unable to repeat this step."""
    run, recipe = Path(job.run), job.recipe
    for count in [*recipe.checkpoints, recipe.samples_seen]:
        with atomic(checkpoints / f"{count}.pt") as temporary:
            shutil.copyfile(run / f"{count}.pt", temporary)
    lines = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    write_table(metrics, pa.Table.from_pylist(lines, schema=TRAINING), TRAINING)
