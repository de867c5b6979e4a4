"""The per-query values of a population on disk: columns by duplicate group, read back a block of groups at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dejavu.memorization.draws import block_sizes
from dejavu.memorization.gaps import Grouped, Values

_WIDTH = np.dtype(np.float64).itemsize


class ColumnFile:
    """Columns of float64 (groups,), one after the other in a file; equal columns are there once.

    Args:
        path: file to write. It is read with ordinary reads, since a mapped file would count as resident memory.
        groups: length of every column.
    """

    def __init__(self, path: Path, groups: int) -> None:
        self._handle = open(path, "w+b")  # noqa: SIM115
        self._groups = groups
        self._places: dict[bytes, int] = {}

    def add(self, column: np.ndarray) -> int:
        """Write a column, unless an equal one is there already, and return its place."""
        data = np.ascontiguousarray(column, dtype=np.float64).data.cast("B")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest not in self._places:
            self._handle.seek(len(self._places) * self._groups * _WIDTH)
            self._handle.write(data)
            self._places[digest] = len(self._places)
        return self._places[digest]

    def read(self, places: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return some groups of some columns, float64 (places, stop - start)."""
        columns = np.empty((len(places), stop - start))
        for column, place in zip(columns, places.tolist(), strict=True):
            self._handle.seek((place * self._groups + start) * _WIDTH)
            self._handle.readinto(column.data.cast("B"))
        return columns

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


class StoredValues(Grouped):
    """Values of which the disk holds sums and sizes.

    Args:
        file: the columns.
        sums: int (columns,), the places of the sums in the file.
        sizes: int (columns,), the places of the sizes.
        groups: int (n,), ascending: which groups of the file these are.
    """

    def __init__(self, file: ColumnFile, sums: np.ndarray, sizes: np.ndarray, groups: np.ndarray) -> None:
        self._file, self._sums, self._groups = file, sums, groups
        self._sizes, self._shared = np.unique(sizes, return_inverse=True)
        self._all_sizes = sizes

    @property
    def number(self) -> int:
        """Number of groups."""
        return len(self._groups)

    def parts(self) -> Iterator[Values]:
        """Yield the groups in blocks."""
        start, blocks = 0, block_sizes(self.number)
        for size in blocks:
            groups = self._groups[start : start + size]
            sums, sizes = (self._read(places, groups).T for places in (self._sums, self._sizes))
            # one block is multiplied in the order of rows, as values in memory are, so that both give the same bits
            yield Values(np.ascontiguousarray(sums) if len(blocks) == 1 else sums, sizes, self._shared)
            start += size

    def _read(self, places: np.ndarray, groups: np.ndarray) -> np.ndarray:
        if not len(groups):
            return np.zeros((len(places), 0))
        first, last = int(groups[0]), int(groups[-1])
        if last + 1 - first == len(groups):
            return self._file.read(places, first, last + 1)
        # one column after the other, since between these groups there may be as many others
        chosen = np.empty((len(groups), len(places))).T
        for at in range(len(places)):
            chosen[at] = self._file.read(places[at : at + 1], first, last + 1)[0, groups - first]
        return chosen

    def part(self, chosen: np.ndarray) -> StoredValues:
        """Return some of the groups; int (m,), ascending."""
        return StoredValues(self._file, self._sums, self._all_sizes, self._groups[chosen])
