"""How many pairs a configuration's datasets hold, and how many samples its roles will have, before anything is read."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.forms.base import file_bounds
from dejavu.data.forms.registry import form_of
from dejavu.errors import InputError, closest
from dejavu.plan.datasets import Dataset, make_batches
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.roles import roles_of

# in a file of images and captions as img2dataset writes them
PAIRS_PER_FILE = 10_000


@dataclass(frozen=True)
class Sizes:
    """Numbers of pairs and samples.

    Attributes:
        pairs: dataset -> pairs. What is set aside or repeated is not known before, so all pairs count as samples.
        batches: dataset -> batch -> pairs.
        roles: split -> role -> samples.
        queries: split -> population -> samples that are asked about.
    """

    pairs: Mapping[str, int]
    batches: Mapping[str, Mapping[str, int]]
    roles: Mapping[str, Mapping[str, int]]
    queries: Mapping[str, Mapping[str, int]]

    def asked(self, split: str) -> int:
        """The number of samples that are asked about, of all populations."""
        return sum(self.queries[split].values())


def find_datasets(config: Mapping[str, Any], given: Mapping[str, int]) -> dict[str, Dataset]:
    """Return the datasets of a configuration; of one whose number of pairs is given, also where it has no files yet.

    Args:
        config: checked and complete.
        given: dataset -> its number of pairs, where somebody said it.

    Raises:
        InputError: when files are missing and no number is given, or a number is given of what is no dataset.
    """
    for name in given:
        if name not in config["datasets"]:
            known = config["datasets"]
            raise InputError(
                f"--pairs names {name!r}, which is no dataset{closest(name, known)}: there are {', '.join(known)}."
            )
    return {name: _dataset(name, section, given.get(name)) for name, section in config["datasets"].items()}


def _dataset(name: str, section: Mapping[str, Any], pairs: int | None) -> Dataset:
    try:
        return Dataset.of(name, section)
    except InputError as error:
        if pairs is None:
            raise InputError(f"{error} To plan without the files, add --pairs {name}=NUMBER.") from None
    files = [f"{index:05d}.parquet" for index in range(-(-pairs // PAIRS_PER_FILE))]
    paths = {file: str(Path(section.get("root", ".")) / file) for file in files}
    return Dataset(name, section, paths, make_batches(files, section["files_per_job"]))


def find_sizes(config: Mapping[str, Any], datasets: Mapping[str, Dataset], given: Mapping[str, int]) -> Sizes:
    """Return the sizes of a configuration; rows of raw files are counted from their footers, of shards by a few.

    Args:
        config: checked and complete.
        datasets: those of :func:`find_datasets`.
        given: dataset -> its number of pairs, where somebody said it.

    Raises:
        InputError: when a raw file or a list is missing or damaged.
    """
    pairs = {name: given.get(name) or count_pairs(dataset) for name, dataset in datasets.items()}
    roles = {name: _roles(name, split, pairs) for name, split in config["splits"].items()}
    limit = config["measure"].get("query_limit")
    queries = {
        name: {role: min(size[role], limit or size[role]) for role in POPULATIONS} for name, size in roles.items()
    }
    return Sizes(pairs, {name: _batches(datasets[name], number) for name, number in pairs.items()}, roles, queries)


def count_pairs(dataset: Dataset) -> int:
    """Return the number of pairs of a dataset: as its section says, or as its files do."""
    supply = form_of(dataset.name, dataset.section).supply
    if supply is not None:
        return supply[0] * (supply[1] if dataset.every_caption else 1)
    with tempfile.TemporaryDirectory() as folder:
        return dataset.form.excerpt(dataset.paths, Path(folder), dataset.every_caption).pairs


def _batches(dataset: Dataset, pairs: int) -> dict[str, int]:
    files = len(dataset.paths)
    place, sizes = 0, {}
    for batch, names in dataset.batches.items():
        start, stop = file_bounds(pairs, files, place)[0], file_bounds(pairs, files, place + len(names) - 1)[1]
        sizes[batch], place = stop - start, place + len(names)
    return sizes


def _roles(name: str, split: Mapping[str, Any], pairs: Mapping[str, int]) -> dict[str, int]:
    sizes = {}
    for role in roles_of(split):
        section = split["roles"][role]
        if section["uids"] is not None:
            size = count_listed(f"splits.{name}.roles.{role}.uids", Path(section["uids"]))
        else:
            low, high = section["interval"]
            size = round((high - low) * pairs[section["dataset"]])
        sizes[role] = min(size, section["limit"] or size)
    return sizes


def count_listed(where: str, path: Path) -> int:
    """Return the number of rows of a list of uids: of a parquet file from its footer, of a text by its lines."""
    try:
        if path.suffix == ".parquet":
            return int(pq.read_metadata(path).num_rows)
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return sum(1 for line in csv.reader(file) if line)
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise InputError(f"{where}: the list {path} cannot be counted ({error}): correct it.") from None
