"""Memory and time that jobs ask for: by the size of their input, by rates, and by the number of the attempt.

These are bounds, with rates that every machine reaches. What a configuration will cost is predicted by
:mod:`dejavu.costs`, from the same amounts of work and measured rates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# texts that are embedded in the time of a sample, and rows in 1 GB of a manifest
TEXTS_PER_SAMPLE = 5
ROWS_PER_GB = 20_000_000
# what a process that decodes images takes, and how many of them a GPU keeps busy at the most
WORKER_MB = 250
MOST_WORKERS = 15
# a training goes on from its last state, so a day will do for every attempt
LONGEST_TRAINING = 1440


@dataclass(frozen=True)
class Rates:
    """What a device does at the least.

    Attributes:
        embedded: samples a second that a process embeds.
        trained_on: samples a second that a process (on a CPU: a thread) trains on.
        compared: pairs of embeddings a minute that a search compares.
    """

    embedded: float
    trained_on: float
    compared: float


RATES = {"cuda": Rates(100, 300, 1e11), "cpu": Rates(20, 20, 5e9)}


def embed_workers(asked: int | None, device: str, cores: int | None, gpus: int | None) -> int:
    """Return the number of processes that decode images for a job that embeds, beside its own.

    Args:
        asked: the configuration's number; None: none on a CPU, which the model keeps busy, and on a GPU its share of
            the cores but one.
        device: ``cpu`` or ``cuda``.
        cores: that the run may use; None where jobs go to other machines, of which eight for each GPU are supposed.
        gpus: that the run may use.
    """
    if asked is not None:
        return asked
    if device == "cpu":
        return 0
    return max(1, min(MOST_WORKERS, (8 if cores is None else cores // (gpus or 1)) - 1))


def size_of(path: str | Path) -> int:
    """Return the bytes of a file, or of the files in a folder; 0 for what is not there yet.

    What is not there yet is made by another member of the same group of cluster jobs: Snakemake would leave a member
    whose resources it cannot tell out of what it asks for the group.
    """
    path = Path(path)
    if not path.exists():
        return 0
    if path.is_dir():
        return sum(entry.stat().st_size for entry in os.scandir(path))
    return path.stat().st_size


def grown(attempt: int, base: float, per_gb: float, files: Iterable[str | Path]) -> int:
    """Return an amount that grows with the size of files and with every further attempt of a job.

    Args:
        attempt: its number, 1 for the first.
        base: what an empty input takes.
        per_gb: what each GB of the files adds.
        files: that the amount depends on.
    """
    return attempt * math.ceil(base + per_gb * sum(map(size_of, files)) / 1e9)


def compared(queries: float, searched: float, times: int = 1) -> float:
    """Return the pairs of embeddings that an exact search compares, with each query so many times."""
    return times * queries * searched


def trained_on_each(recipe: Mapping[str, Any]) -> float:
    """Return the samples that each process of a training sees."""
    return float(recipe["samples_seen"] / recipe["processes"])


def search_minutes(attempt: int, queries: Iterable[str | Path], searched: str | Path, times: int, rates: Rates) -> int:
    """Return the minutes of a search, which grow with queries times searched.

    Args:
        attempt: its number, 1 for the first.
        queries: row arrays, of 8 bytes a row.
        searched: the row array of what is searched.
        times: how often each query row is searched with.
        rates: of the device.
    """
    pairs = compared(sum(map(size_of, queries)) / 8, size_of(searched) / 8, times)
    return attempt * math.ceil(30 + pairs / rates.compared)


def training_memory(attempt: int, recipe: Mapping[str, Any], processes: int) -> int:
    """Return the MB of a training's processes: for samples as they are stored, and decoded images of some batches."""
    held = recipe["shuffle_buffer"] // 20 + recipe["batch_size"] // recipe["processes"]
    return attempt * processes * (4000 + held)


def training_minutes(recipe: Mapping[str, Any], device: str) -> int:
    """Return the minutes of a training, the same for every attempt, since the next goes on from the last state."""
    threads = 1 if device == "cuda" else recipe["torch_threads"]
    seconds = trained_on_each(recipe) / RATES[device].trained_on / threads
    return min(LONGEST_TRAINING, math.ceil(30 + seconds / 60))
