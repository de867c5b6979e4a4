"""Spill files: rows that exceed memory are written to disk in parts, and read back part by part.

The values that decide a row's part are hashes, so all parts have about the same number of rows. One part at a time is
in memory: about 32,768 rows, or 1/256 of the rows if there are more than eight million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.files import temporary_beside

ROWS_PER_PART = 32_768
MOST_PARTS = 256


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a hidden temporary folder beside ``path``, since the system's folder for temporary files may be in memory.

    Raises:
        InputError: when the disk is full, or the file system is read-only.
    """
    with temporary_beside(path) as folder:
        folder.mkdir()
        yield folder


def parts_for(rows: int) -> int:
    """Return the number of parts for a number of rows."""
    return min(MOST_PARTS, max(1, -(-rows // ROWS_PER_PART)))


class Spill:
    """Rows in a spill file. Iterating reads the parts in order, and may be repeated.

    Args:
        path: file to write.
        schema: schema of the rows.
        tables: the rows.
        part_of: function from a table to the part of each of its rows, int (n,), 0 to ``parts - 1``.
        parts: number of parts; a part without rows is an empty table.

    Attributes:
        rows: number of rows.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        tables: Iterable[pa.Table],
        part_of: Callable[[pa.Table], np.ndarray],
        parts: int,
    ) -> None:
        self.rows = 0
        self._path = path
        self._batches: list[list[int]] = [[] for _ in range(parts)]
        written = 0
        with pa.ipc.new_file(str(path), schema) as writer:
            for table in tables:
                for part, rows in _cut(table.select(schema.names).cast(schema), part_of(table)):
                    writer.write_batch(rows)
                    self._batches[part].append(written)
                    written += 1
                self.rows += table.num_rows

    def __iter__(self) -> Iterator[pa.Table]:
        # The pages of a memory-mapped file would count as resident memory of the process, so the file is read instead.
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source) as reader:
            for batches in self._batches:
                yield pa.Table.from_batches(map(reader.get_batch, batches), reader.schema).combine_chunks()


def _cut(table: pa.Table, part_of: np.ndarray) -> Iterator[tuple[int, pa.RecordBatch]]:
    if not table.num_rows:
        return
    """Yield the rows of a table by part, as slices of one sorted copy."""
    order = np.argsort(part_of, kind="stable")
    parts, starts = np.unique(part_of[order], return_index=True)
    batch = table.take(pa.array(order)).combine_chunks().to_batches()[0]
    for part, start, stop in zip(parts.tolist(), starts, [*starts[1:], len(order)], strict=True):
        yield part, batch.slice(start, stop - start)


def spill_by_value(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], column: str, parts: int) -> Spill:
    """Spill rows so that rows with equal values in a column, of integers or strings, are in one part."""
    return Spill(path, schema, tables, lambda table: _spread(table[column]) % np.uint64(parts), parts)


def _spread(values: pa.ChunkedArray) -> np.ndarray:
    """Return hashes in the lower half of uint64. Fibonacci hashing spreads even regular integers evenly."""
    if pa.types.is_string(values.type):
        values = np.fromiter(map(hash, values.to_pylist()), np.int64, len(values))
    mixed = np.asarray(values).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mixed >> np.uint64(32)


def spill_by_range(
    path: Path, schema: pa.Schema, tables: Iterable[pa.Table], column: str, interval: tuple[float, float], parts: int
) -> Spill:
    """Spill rows so that each part has one range of a column, in ascending order.

    The values of the column must be spread evenly over the interval, or the parts have unequal sizes.
    """
    low, high = interval

    def part_of(table: pa.Table) -> np.ndarray:
        place = (table[column].to_numpy() - low) / (high - low)
        return np.clip(place * parts, 0, parts - 1).astype(np.int64)

    return Spill(path, schema, tables, part_of, parts)


def in_order(spill: Spill, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the rows of :func:`spill_by_range` sorted by ``columns``; the first is the column of the ranges."""
    for part in spill:
        yield part.sort_by([(column, "ascending") for column in columns])
