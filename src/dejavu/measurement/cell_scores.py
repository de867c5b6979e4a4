"""Per-sample scores, read a column of a cell at a time; a cell is one query, k, label count and scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.files import damaged
from dejavu.tables.queries import QUERIES, RANDOM

CELL = ("query", "k", "labels", "scope")
Key = tuple[str, int, str, str]


@dataclass(frozen=True)
class CellScores:
    """The per-sample scores of a population, read a cell at a time: every row group holds one cell.

    Attributes:
        path: the table. It is open only while cells are read, since what it says of its row groups grows with them.
        groups: cell -> its row groups.
        numbers: cell -> number of queries.
    """

    path: Path
    groups: Mapping[Key, Sequence[int]]
    numbers: Mapping[Key, int]

    @classmethod
    def of(cls, path: Path) -> CellScores:
        """Look into a table of scores.

        Raises:
            InputError: when it is damaged.
        """
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, error) from error
        places = [file.schema_arrow.get_field_index(name) for name in CELL]
        groups: dict[Key, list[int]] = {}
        numbers: Counter[Key] = Counter()
        for at in range(file.num_row_groups):
            group = file.metadata.row_group(at)
            if not group.num_rows:
                continue
            ends = [group.column(place).statistics for place in places]
            if any(end.min != end.max for end in ends):
                raise ValueError(f"{path}: a row group holds more than one cell")
            query, k, labels, scope = (end.min for end in ends)
            groups.setdefault((query, k, labels, scope), []).append(at)
            numbers[query, k, labels, scope] += group.num_rows
        return cls(path, groups, numbers)

    def cell(self, key: Key) -> Cell:
        """Return the scores of one cell by ascending row; of many, :meth:`cells` opens the table once."""
        return Cell(pq.ParquetFile(self.path), self.groups[key])

    def cells(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Cell]]:
        """Yield cells, the scores of each by ascending row, which can be read until the next one comes."""
        with pq.ParquetFile(self.path) as file:
            for key in keys:
                yield key, Cell(file, self.groups[key])


class Cell(Mapping[str, np.ndarray]):
    """The scores of one cell: column name -> array (queries,), by ascending row.

    Only the rows are kept; every other column is read when it is asked for, so that few are in memory at once.
    """

    def __init__(self, file: pq.ParquetFile, groups: Sequence[int]) -> None:
        self._file, self._groups = file, groups
        rows = self._read("row")
        self._order = None if (np.diff(rows) > 0).all() else np.argsort(rows, kind="stable")
        self._rows = rows if self._order is None else rows[self._order]

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "row":
            return self._rows
        column = self._read(name)
        return column if self._order is None else column[self._order]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._file.schema_arrow.names if name not in CELL)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _read(self, name: str) -> np.ndarray:
        return self._file.read_row_groups(self._groups, [name], use_threads=False)[name].to_numpy()


def common_keys(numbers: Sequence[Mapping[Key, int]]) -> list[Key]:
    """Return the cells that every population has: where one has none in scope, nothing can be compared."""
    shared = [key for key in numbers[0] if all(key in others for others in numbers[1:]) and key[0] != RANDOM]
    return sorted(shared, key=lambda key: (QUERIES.index(key[0]), key[1], key[2] == "all", key[2].zfill(9), key[3]))


def named(key: Key) -> dict:
    """Return the columns that say which cell a row is of."""
    return dict(zip(CELL, key, strict=True))
