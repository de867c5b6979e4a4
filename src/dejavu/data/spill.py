"""More rows than memory should hold: set down on disk in parts, and read back a part at a time.

Everything that is sorted or compared here is a hash, so parts of equal ranges hold about equally many rows, and what is
held at once does not grow with the data: about 32,768 rows, or a 256th of more than eight million.
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
    """Yields a hidden temporary folder on the disk of ``path``, since that of the system may be memory.

    Raises:
        InputError: when the disk is full, or the file system read-only.
    """
    with temporary_beside(path) as folder:
        folder.mkdir()
        yield folder


def parts_for(rows: int) -> int:
    """How many parts so many rows are cut into."""
    return min(MOST_PARTS, max(1, -(-rows // ROWS_PER_PART)))


class Spill:
    """Rows on disk, in parts; iterating reads them part by part, as often as asked.

    Args:
        path: file to write.
        schema: its columns.
        tables: the rows.
        part_of: the part of every row of a table, int (n,), 0 to ``parts - 1``.
        parts: number of parts; those without rows are there too, empty.

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
        # a mapped file would count as resident memory
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source) as reader:
            for batches in self._batches:
                yield pa.Table.from_batches(map(reader.get_batch, batches), reader.schema).combine_chunks()


def _cut(table: pa.Table, part_of: np.ndarray) -> Iterator[tuple[int, pa.RecordBatch]]:
    if not table.num_rows:
        return
    order = np.argsort(part_of, kind="stable")
    found, starts = np.unique(part_of[order], return_index=True)
    batch = table.take(pa.array(order)).combine_chunks().to_batches()[0]
    for part, start, stop in zip(found.tolist(), starts, [*starts[1:], len(order)], strict=True):
        yield part, batch.slice(start, stop - start)


def spill_by_value(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], column: str, parts: int) -> Spill:
    """Sets rows down so that those with equal values of a column, integers or strings, are in one part."""
    return Spill(path, schema, tables, lambda table: _spread(table[column]) % np.uint64(parts), parts)


def _spread(values: pa.ChunkedArray) -> np.ndarray:
    """Hashes in the lower half of uint64: whatever regularity integers have is mixed (Fibonacci hashing)."""
    if pa.types.is_string(values.type):
        values = np.fromiter(map(hash, values.to_pylist()), np.int64, len(values))
    mixed = np.asarray(values).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mixed >> np.uint64(32)


def spill_by_range(
    path: Path, schema: pa.Schema, tables: Iterable[pa.Table], column: str, interval: tuple[float, float], parts: int
) -> Spill:
    """Sets rows down in ascending ranges of a column that is spread evenly over an interval."""
    low, high = interval

    def part_of(table: pa.Table) -> np.ndarray:
        place = (table[column].to_numpy() - low) / (high - low)
        return np.clip(place * parts, 0, parts - 1).astype(np.int64)

    return Spill(path, schema, tables, part_of, parts)


def in_order(spill: Spill, columns: list[str]) -> Iterator[pa.Table]:
    """The rows of :func:`spill_by_range` in ascending order of its column, and then of others."""
    for part in spill:
        yield part.sort_by([(column, "ascending") for column in columns])
