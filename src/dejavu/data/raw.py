"""Raw parquet as users bring it: which files there are, and what their columns hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError, closest
from dejavu.files import first_line

ROWS_PER_BATCH = 512


@dataclass(frozen=True)
class Columns:
    """Which columns of the raw files hold what; ``key`` and ``objects`` may be absent (None)."""

    image: str
    caption: str
    key: str | None = None
    objects: str | None = None

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Columns:
        """From the ``columns`` section of a dataset's configuration."""
        return cls(**names)

    def named(self) -> dict[str, str]:
        """What is mapped: use -> column name."""
        return {use: name for use, name in vars(self).items() if name is not None}


def file_id(path: str) -> int:
    """31-bit hash of a raw file's path relative to the dataset's root; the upper half of its samples' ``row``."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest(), "big") >> 1


def file_ids(paths: Sequence[str], dataset: str) -> dict[str, int]:
    """The ids of all raw files of a dataset.

    Raises:
        InputError: when two paths share an id, which one in two thousand sets of a thousand files does.
    """
    ids: dict[int, str] = {}
    for path in paths:
        other = ids.setdefault(file_id(path), path)
        if other != path:
            raise InputError(
                f"dataset {dataset!r}: the raw files {other!r} and {path!r} have the same hash; rename one of them."
            )
    return {path: number for number, path in ids.items()}


def batch_name(first_file: str) -> str:
    """Eight hexadecimal digits."""
    return f"{file_id(first_file):08x}"


def table_name(raw_name: str) -> str:
    """File name of a table that belongs to one raw file."""
    return f"{file_id(raw_name):08x}.parquet"


def open_raw(path: str | Path, columns: Columns) -> pq.ParquetFile:
    """Opens a raw file and checks that it has the columns that the configuration names.

    Raises:
        InputError: when it is missing, is no parquet file or is damaged, or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: correct datasets.*.raw in the configuration.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is not a whole parquet file ({first_line(error)}): replace it, or take it out of datasets.*.raw."
        ) from None
    present = file.schema_arrow.names
    for use, name in columns.named().items():
        if name not in present:
            raise InputError(
                f"{path} has no column {name!r}{closest(name, present)}, which columns.{use} names; "
                f"it has {', '.join(present)}. Correct datasets.*.columns.{use}."
            )
    return file


def read_raw(path: str | Path, columns: Columns, uses: Sequence[str]) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Yields (number of the first row, {use: array}) for batches of a raw file, reading only the columns asked for.

    Raises:
        InputError: as :func:`open_raw`, and when a page in the middle of the file is damaged.
    """
    wanted = {use: name for use, name in columns.named().items() if use in uses}
    file = open_raw(path, columns)
    start = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=sorted(set(wanted.values()))):
            yield start, {use: batch.column(name) for use, name in wanted.items()}
            start += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is damaged after row {start:,} ({first_line(error)}): replace it, "
            "or take it out of datasets.*.raw."
        ) from None


def take_inventory(paths: Mapping[str, str], columns: Columns) -> dict[str, int]:
    """Counts the rows of every raw file from its footer.

    Args:
        paths: name relative to the root -> path.
        columns: the column mapping, checked against every file.

    Returns:
        Name -> number of rows.

    Raises:
        InputError: as :func:`open_raw`.
    """
    return {name: open_raw(path, columns).metadata.num_rows for name, path in paths.items()}
