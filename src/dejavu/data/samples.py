"""Chosen rows of tables that are stored as one file per raw file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dejavu.data.references import ReferencedImages
from dejavu.data.sources import Place
from dejavu.errors import InputError
from dejavu.files import damaged, read_table

# images that are fetched from elsewhere may be large
REFERENCED_ROWS = 64


class _Reader:
    """Reads row groups of one of our own files, and fetches images that the file only refers to."""

    def __init__(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        self._file, self._columns = file, list(columns)
        place = Place.read_from(file.schema_arrow.metadata) if "image" in columns else None
        self._images = None if place is None else ReferencedImages(place)

    def read(self, group: int, mask: pa.ChunkedArray | None = None) -> Iterator[pa.Table]:
        """Yield a row group, or those of its rows where the mask is true."""
        more = ["source_row"] if self._images and "source_row" not in self._columns else []
        table = self._file.read_row_group(group, columns=self._columns + more)
        table = table if mask is None else table.filter(mask)
        if self._images is None:
            yield table
            return
        for start in range(0, table.num_rows, REFERENCED_ROWS):
            part = table.slice(start, REFERENCED_ROWS)
            images = pa.array(self._images.read(part["source_row"].to_pylist()), pa.binary())
            at = part.schema.get_field_index("image")
            yield part.set_column(at, part.schema.field(at), images).select(self._columns)


def scan_file(path: str | Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield one of our own parquet files by row group, or in smaller parts where it only refers to its images.

    Raises:
        InputError: when the file is damaged, or an image that it refers to is missing.
    """
    try:
        with pq.ParquetFile(path) as file:
            reader = _Reader(file, columns)
            for group in range(file.num_row_groups):
                yield from reader.read(group)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def count_rows(path: str | Path) -> int:
    """Return the number of rows of one of our own parquet files.

    Raises:
        InputError: when the file is damaged.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def gathered(parts: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in few large tables of at least ``rows`` rows; the last may have fewer, none is empty."""
    held: list[pa.Table] = []
    number = 0
    for part in parts:
        held.append(part)
        number += part.num_rows
        if number >= rows:
            yield pa.concat_tables(held)
            held, number = [], 0
    if number:
        yield pa.concat_tables(held)


def _matching(path: Path, rows: np.ndarray, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the given rows of one file by row group; of a group without any, only the column ``row`` is read."""
    values = pa.array(rows)
    try:
        with pq.ParquetFile(path) as file:
            reader = _Reader(file, columns)
            for group in range(file.num_row_groups):
                mask = pc.is_in(file.read_row_group(group, columns=["row"])["row"], value_set=values)
                if pc.any(mask).as_py():
                    yield from reader.read(group, mask)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


class SampleStore:
    """A table that is stored as ``<file id>.parquet`` in batch folders, whose rows are found by ``row``.

    Args:
        folders: the batch folders.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.files = {int(f.stem, 16): f for folder in folders for f in sorted(Path(folder).glob("*.parquet"))}

    def read(self, rows: np.ndarray, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the tables of the given rows, in ascending order of row, by row group.

        Args:
            rows: int64 (n,), distinct, in any order.
            columns: columns to read; ``row`` is always returned, as the first.

        Raises:
            InputError: when a row is in none of the files, or a file is damaged.
        """
        wanted = np.sort(np.asarray(rows, dtype=np.int64))
        names = ["row", *(c for c in columns if c != "row")]
        uppers, starts = np.unique(wanted >> 32, return_index=True)
        for upper, part in zip(uppers, np.split(wanted, starts[1:]) if len(wanted) else [], strict=True):
            path = self.files.get(int(upper))
            found = 0
            for chosen in _matching(path, part, names) if path else []:
                found += chosen.num_rows
                yield chosen
            if found != len(part):
                raise InputError(
                    f"{len(part) - found:,} rows of a manifest are not in {path or 'any file'}: the manifest comes "
                    "from other data. Delete the manifests folder of this split and run again."
                )

    def batches(self, rows: np.ndarray, columns: Sequence[str], size: int) -> Iterator[pa.Table]:
        """Yield the same as :meth:`read`, in tables of exactly ``size`` rows; the last may be smaller."""
        held: list[pa.Table] = []
        for table in self.read(rows, columns):
            held.append(table)
            while sum(t.num_rows for t in held) >= size:
                joined = pa.concat_tables(held)
                yield joined.slice(0, size)
                held = [joined.slice(size)]
        if held and (rest := pa.concat_tables(held)).num_rows:
            yield rest

    def count(self) -> int:
        """Return the number of rows of the whole table."""
        return sum(count_rows(file) for file in self.files.values())

    def scan(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the whole table, file by file in ascending order of id, by row group."""
        for upper in sorted(self.files):
            yield from self._scan(upper, list(columns))

    def _scan(self, upper: int, columns: list[str]) -> Iterator[pa.Table]:
        if upper in self.files:
            yield from scan_file(self.files[upper], columns)


@dataclass(frozen=True)
class RoleSamples:
    """The samples of one role.

    Attributes:
        manifest: names them.
        folders: batch folders of the samples table, where they are among others.
    """

    manifest: Path
    folders: Sequence[str | Path]

    def rows(self) -> np.ndarray:
        """Return int64 (n,), ascending."""
        return np.sort(read_table(self.manifest, ["row"])["row"].to_numpy())

    def batches(self, columns: Sequence[str], size: int) -> Iterator[tuple[slice, pa.Table]]:
        """Yield the samples by row, at most so many at a time, with their place in :meth:`rows`."""
        rows, done = self.rows(), 0
        for table in SampleStore(self.folders).batches(rows, list(columns), size):
            place = slice(done, done + table.num_rows)
            if not np.array_equal(table["row"].to_numpy(), rows[place]):
                raise ValueError(f"rows {rows[place][:3]} of {self.manifest} came back in another order")
            yield place, table
            done = place.stop
