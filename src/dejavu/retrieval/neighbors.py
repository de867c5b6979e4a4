"""Tables of the public samples nearest to each query, from files of embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.devices import require
from dejavu.errors import InputError
from dejavu.files import NUMBERS_PER_GROUP, read_array, write_table
from dejavu.progress import Progress
from dejavu.retrieval.choice import AUTO, engine_on
from dejavu.retrieval.finite import require_finite
from dejavu.retrieval.search import nearest
from dejavu.tables.retrieval import NEIGHBORS, SEARCH_ENGINE


@dataclass(frozen=True)
class Embedded:
    """Files of the embeddings of some samples' images or captions.

    Attributes:
        array: float32 (n, dimension).
        rows: int64 (n,), the samples they belong to.
    """

    array: Path
    rows: Path

    def open(self) -> OnDisk:
        """Return what reads the embeddings.

        Raises:
            InputError: when the two disagree.
        """
        embeddings, numbers = read_array(self.array), np.asarray(read_array(self.rows))
        if len(embeddings) != len(numbers):
            raise InputError(
                f"{self.array} has {len(embeddings):,} embeddings, but {self.rows} names {len(numbers):,} rows: "
                "delete both and run again."
            )
        return OnDisk(self.array, numbers, embeddings.size)


class OnDisk:
    """An array of embeddings that is read part by part, as ``nearest`` reads it.

    Each part is mapped into memory by itself, and its memory is free again when nobody needs it.

    Args:
        path: float32 (n, dimension).
        rows: int64 (n,), the samples that the embeddings belong to.
        size: number of all numbers in the array.
    """

    def __init__(self, path: Path, rows: np.ndarray, size: int) -> None:
        self.path, self.rows, self.size = path, rows, size
        self._looked_at: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return float32 (rows, dimension).

        Raises:
            InputError: when an embedding is not finite or zero.
        """
        embeddings, start = read_array(self.path)[part], part.indices(len(self))
        if start[:2] not in self._looked_at:
            require_finite(embeddings, str(self.path), self.rows[part])
            self._looked_at.add(start[:2])
        return embeddings


@dataclass(frozen=True)
class Search:
    """How neighbours are searched.

    Attributes:
        k: number of neighbours; all public samples where there are fewer.
        threads: threads of the search on the CPU.
        device: ``cpu`` or ``cuda``, which here is one GPU.
        engine: ``measure.search`` of the configuration. All engines on all devices find the same.
    """

    k: int
    threads: int = 1
    device: str = "cpu"
    engine: str = AUTO


@dataclass(frozen=True)
class Asked:
    """Queries, and the neighbours table to write for them.

    Attributes:
        queries: the embeddings of what a model is asked with.
        neighbors: parquet file to write, schema ``NEIGHBORS``, by row and rank; its metadata name the engine.
        title: for the progress lines.
    """

    queries: Embedded
    neighbors: Path
    title: str


def write_neighbors(asked: Sequence[Asked], public: Embedded, search: Search) -> None:
    """Search the public samples for all queries of a job, and write a neighbours table for each array of queries.

    The public embeddings are read once for as many queries as the engine takes at a time, of whatever arrays.

    Args:
        asked: the queries.
        public: the public images, or their captions.
        search: how.

    Raises:
        InputError: when an array and its row array disagree, an embedding is not finite or zero, or the device or the
            engine is not to be had.
    """
    require(search.device, 1, asked[0].title)
    searched, queries = public.open(), [part.queries.open() for part in asked]
    products = searched.size * sum(map(len, queries))
    engine = engine_on(search.engine, search.device, search.threads, products)
    k = min(search.k, len(searched))
    # so that what is found for them fits beside a block
    at_once = max(1, min(engine.queries_at_once, engine.cells // max(1, k)))

    def found() -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        for parts in _passes([len(part) for part in queries], at_once):
            together = np.concatenate([queries[number][part] for number, part in parts])
            similarity, position = nearest(together, searched, k, engine)
            start = 0
            for number, part in parts:
                rows = queries[number].rows[part]
                here = slice(start, start := start + len(rows))
                yield number, rows, similarity[here], searched.rows[position[here]]

    for number, blocks in groupby(found(), key=lambda block: block[0]):
        parts = (block[1:] for block in blocks)
        write_found(asked[number].neighbors, parts, len(queries[number]), engine.name, asked[number].title)


def _passes(lengths: Sequence[int], at_once: int) -> Iterator[list[tuple[int, slice]]]:
    """Yield parts of arrays, as their numbers and slices, of together ``at_once`` rows but for the last."""
    parts: list[tuple[int, slice]] = []
    room = at_once
    for number, length in enumerate(lengths):
        start = 0
        # of an empty array too, whose table is written like the others
        while start < length or (start == length == 0 and (number, slice(0, 0)) not in parts):
            end = min(length, start + room)
            parts.append((number, slice(start, end)))
            room -= end - start
            start = end
            if not room:
                yield parts
                parts, room = [], at_once
    if parts:
        yield parts


def write_found(
    neighbors: Path,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    queries: int,
    engine: str,
    title: str,
) -> None:
    """Write the neighbours table block by block.

    Args:
        neighbors: parquet file to write, schema ``NEIGHBORS``.
        blocks: rows of queries, int64 (n,), ascending; similarities (n, k), descending; and public rows (n, k).
        queries: number of all queries.
        engine: its name, for the file's metadata.
        title: for the progress lines.
    """
    progress = Progress(title, queries, "queries")

    def parts() -> Iterator[pa.Table]:
        for rows, similarity, public_rows in blocks:
            k = similarity.shape[1]
            progress.advance(len(rows))
            yield pa.table(
                {
                    "row": np.repeat(rows, k),
                    "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), len(rows)),
                    "public_row": public_rows.ravel(),
                    "similarity": similarity.ravel(),
                },
                schema=NEIGHBORS,
            )

    write_table(neighbors, parts(), NEIGHBORS.with_metadata({SEARCH_ENGINE: engine}), NUMBERS_PER_GROUP)
    progress.finish()
