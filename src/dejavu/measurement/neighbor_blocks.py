"""Neighbour tables, read and checked a block of queries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.samples import scan_file
from dejavu.errors import InputError, require_same_rows
from dejavu.memorization.labels import LabelSets

# neighbours that are held at a time where a table is read for one number
NEIGHBORS_PER_READ = 2_000_000


@dataclass(frozen=True)
class Found:
    """The neighbours of a block of queries.

    Attributes:
        positions: integers (queries, k), public images by their position in the labels, nearest first.
        nearest: float32 (queries,), the highest similarity.
    """

    positions: np.ndarray
    nearest: np.ndarray


@dataclass(frozen=True)
class NeighborTable:
    """The neighbour table of one side.

    Attributes:
        path: the table, which holds the ranks 1 to ``width`` of every query.
        width: number of neighbours of a query.
        k: how many of them are wanted.
        queries, public: manifests, for the sentences of refusals.
    """

    path: Path
    width: int
    k: int
    queries: Path
    public: Path

    def blocks(self, query_rows: np.ndarray, shown: LabelSets, size: int) -> Iterator[Found]:
        """Yield the neighbours of ``query_rows``, which ascend, ``size`` queries at a time.

        Raises:
            InputError: when the table names other queries or public images than the manifests, or is out of order.
        """
        done = 0
        last = (-1, 0)
        for table in _tables_of(self.path, ["row", "rank", "public_row", "similarity"], size * self.width):
            row, rank = table["row"].to_numpy(), table["rank"].to_numpy()
            self._require_order(np.append(last[0], row), np.append(last[1], rank))
            last = (row[-1], rank[-1])
            rows = self._by_query(row, rank)
            if not np.array_equal(rows, query_rows[done : done + size]):
                self._refuse_queries(query_rows)
            done += len(rows)
            public_rows = table["public_row"].to_numpy().reshape(-1, self.width)[:, : self.k]
            similarity = table["similarity"].to_numpy().reshape(-1, self.width)[:, : self.k]
            yield Found(self._positions(public_rows, shown), similarity.max(axis=1, initial=-1.0))
        if done != len(query_rows):
            self._refuse_queries(query_rows)

    def _require_order(self, row: np.ndarray, rank: np.ndarray) -> None:
        step = np.diff(row)
        if (step < 0).any() or (np.diff(rank)[step == 0] < 0).any():
            raise self._out_of_order()

    def _by_query(self, row: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Return the row of every query."""
        ranks = np.arange(1, self.width + 1)
        if len(row) % self.width == 0:
            rows = row.reshape(-1, self.width)
            if (rank.reshape(-1, self.width) == ranks).all() and (rows[:, :1] == rows).all():
                return rows[:, 0]
        raise InputError(f"{self.path} does not hold the same ranks for every query: delete it and run again.")

    def _positions(self, public_rows: np.ndarray, shown: LabelSets) -> np.ndarray:
        # a hash table finds them several times faster than a binary search
        positions = pc.index_in(pa.array(public_rows.ravel()), value_set=pa.array(shown.rows))
        if positions.null_count:
            stray = int(public_rows.ravel()[positions.is_null().to_numpy(zero_copy_only=False)][0])
            raise InputError(
                f"{self.path} names the public sample {stray}, which is not in {self.public}: one of them comes from "
                "another run. Delete the neighbours and run again."
            )
        return positions.to_numpy().reshape(public_rows.shape)

    def _refuse_queries(self, query_rows: np.ndarray) -> NoReturn:
        found = [np.unique(table["row"].to_numpy()) for table in _tables_of(self.path, ["row"], NEIGHBORS_PER_READ)]
        searched = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))
        require_same_rows(searched, query_rows, f"{self.path} and {self.queries}")
        # the same queries after all, so they come in another order
        raise self._out_of_order()

    def _out_of_order(self) -> InputError:
        return InputError(f"{self.path} is not in the order of its queries and ranks: delete it and run again.")


def random_blocks(number: int, public: int, k: int, size: int, rng: np.random.Generator) -> Iterator[Found]:
    """Yield k distinct public positions for each of ``number`` samples, ``size`` samples at a time.

    They stand one after the other in one shuffle of all, from a place that is drawn for each sample.
    """
    shuffled = rng.permutation(public)
    for start in range(0, number, size):
        places = rng.integers(public, size=(min(size, number - start), 1)) + np.arange(k)
        yield Found(shuffled[places % public], np.zeros(len(places)))


def width_of(path: Path, k: int) -> int:
    """Return the number of neighbours of a query.

    Raises:
        InputError: when that is below k, or the table is damaged.
    """
    width = max((pc.max(table["rank"]).as_py() for table in _tables_of(path, ["rank"], NEIGHBORS_PER_READ)), default=0)
    if 0 < width < k:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but {path} has {width:,} for each query, which is all of the "
            "public set: lower k, or enlarge the role public."
        )
    return max(width, 1)


def _tables_of(path: Path, columns: list[str], size: int) -> Iterator[pa.Table]:
    """Yield a parquet file in tables of exactly ``size`` rows, the last one smaller.

    Raises:
        InputError: when the file is damaged.
    """
    held: list[pa.Table] = []
    number = 0
    for group in scan_file(path, columns):
        held.append(group)
        number += group.num_rows
        while number >= size:
            joined = pa.concat_tables(held)
            yield joined.slice(0, size)
            held, number = [joined.slice(size)], number - size
    if number:
        yield pa.concat_tables(held)
