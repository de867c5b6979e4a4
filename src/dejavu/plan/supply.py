"""Whether the raw files of a split's datasets hold as many samples as its roles ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dejavu.data.raw import Columns, file_id, take_inventory
from dejavu.errors import InputError
from dejavu.paths import INVENTORY, at
from dejavu.plan.datasets import Dataset


def check_supply(name: str, split: Mapping, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a split that asks for more samples than the raw files have rows, before any job runs.

    Rows are counted by a dataset's inventory; those of files that are newer than it by the files' footers.

    Args:
        name: of the split.
        split: its section of the configuration.
        datasets: all datasets by name.

    Raises:
        InputError: naming the split, or a raw file that is damaged or lacks a column.
    """
    roles = split["roles"].values()
    used = {role["dataset"]: datasets[role["dataset"]] for role in roles}
    _require_distinct_rows(name, used)
    for dataset in used.values():
        if dataset.is_made:
            continue
        wanted = sum(role["limit"] or 1 for role in roles if role["dataset"] == dataset.name)
        rows = _rows_of(dataset)
        if wanted > rows:
            # the inventory may have been taken with another value of `captions`
            rows = _counted(dataset, dataset.paths)
        if wanted > rows:
            raise InputError(
                f"splits.{name}: its roles ask for {wanted:,} samples, but the raw files of {dataset.name} hold "
                f"{rows:,} rows: lower the limits, or bring more data."
            )


def _require_distinct_rows(name: str, datasets: Mapping[str, Dataset]) -> None:
    """Refuse datasets of one split that share a raw file's name, since the name makes the rows."""
    seen: dict[int, tuple[str, str]] = {}
    for dataset in datasets.values():
        for file in dataset.paths:
            other, same = seen.setdefault(file_id(file), (dataset.name, file))
            if other != dataset.name:
                raise InputError(
                    f"splits.{name} takes roles from the datasets {other} and {dataset.name}, whose raw files {same!r} "
                    f"and {file!r} would give their samples the same rows: set root of one of them to its parent "
                    "folder, and begin its patterns with the folder's name."
                )


def _rows_of(dataset: Dataset) -> int:
    inventory = Path(at(INVENTORY, dataset=dataset.name))
    known, made = {}, 0.0
    if inventory.is_file():
        known, made = json.loads(inventory.read_text(encoding="utf-8")), inventory.stat().st_mtime
    old = {name for name, path in dataset.paths.items() if name in known and Path(path).stat().st_mtime <= made}
    new = {name: path for name, path in dataset.paths.items() if name not in old}
    return sum(known[name] for name in old) + _counted(dataset, new)


def _counted(dataset: Dataset, paths: Mapping[str, str]) -> int:
    return sum(take_inventory(paths, Columns.of(dataset.columns), dataset.every_caption).values())
