"""The public samples nearest to each caption, by exact search, on the CPU or one GPU.

*Exact* means: ranked by the float64 inner product of the stored float32 embeddings, of equal ones the lower position
first, whatever the engine; see :mod:`dejavu.retrieval.engines` for how each finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.devices import require
from dejavu.errors import InputError
from dejavu.files import NUMBERS_PER_GROUP, read_array, write_table
from dejavu.progress import Progress
from dejavu.retrieval.engines import Array, Engine, OnFaiss, OnTorch, Vectors, bound
from dejavu.retrieval.finite import require_finite
from dejavu.tables.retrieval import NEIGHBORS

ROWS_AT_ONCE = 200_000
# candidates beyond k, with which nearly every query's last neighbour is clear at once
EXTRA, EXTRA_PER_K = 8, 1 / 32
# and how many times as many when one is not
WIDER = 4


def engine_on(device: str, threads: int) -> Engine:
    """The engine of a device: FAISS on the CPU, or PyTorch where that is not installed; PyTorch on ``cuda``."""
    if device == "cpu":
        try:
            return OnFaiss(threads)
        except ImportError:
            pass
    return OnTorch(device, threads)


def nearest(queries: np.ndarray, public: np.ndarray, k: int, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Nearest neighbours by float64 inner product; of equal similarities the lower position comes first.

    Args:
        queries: float32 (n, dimension), finite.
        public: float32 (m, dimension), m >= k, finite; read in blocks.
        k: number of neighbours.
        engine: what searches; all find the same.

    Returns:
        ``similarity`` float32 (n, k), descending, rounded from float64, and ``position`` int64 (n, k) in ``public``.
    """
    asked = engine.queries(queries)
    best, where = engine.empty(len(queries), 0)
    for start in range(0, len(public), engine.public_at_once):
        block = engine.public(public[start : start + engine.public_at_once])
        similarity, position = _nearest_in(asked, block, min(k, len(block)), engine)
        best, where = engine.joined(best, similarity), engine.joined(where, position + start)
        if start:
            best, where = engine.first(best, where, k)
    return engine.back(best).astype(np.float32), engine.back(where)


def _nearest_in(queries: Vectors, block: Vectors, k: int, engine: Engine) -> tuple[Array, Array]:
    """The k nearest of one block: with more candidates, up to all, for queries that are unclear with fewer."""
    similarity, position = engine.empty(len(queries), k)
    open_, width = np.arange(len(queries)), min(len(block), k + EXTRA + int(k * EXTRA_PER_K))
    while len(open_):
        unclear, step = [], max(1, engine.cells // width)
        for start in range(0, len(open_), step):
            rows = open_[start : start + step]
            part = queries[rows]
            last, candidates = engine.largest(part, block, width)
            best, where = engine.first(engine.products(part, block, candidates), candidates, k)
            similarity[rows], position[rows] = best, where
            if width < len(block):
                kth = np.ldexp(engine.back(best[:, -1]), -(part.exponent + block.exponent))
                # not only below it: one that is as near could have the lower position
                unclear.append(rows[kth <= bound(part, block, engine.back(last))])
        open_ = np.concatenate(unclear) if unclear else open_[:0]
        width = min(len(block), WIDER * width)
    return similarity, position


@dataclass(frozen=True)
class Embedded:
    """Files of the embeddings of some samples' images or captions.

    Attributes:
        array: float32 (n, dimension).
        rows: int64 (n,), the samples they belong to.
    """

    array: Path
    rows: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings, mapped into memory, and their rows.

        Raises:
            InputError: when the two disagree, or an embedding is not finite or zero.
        """
        embeddings, numbers = read_array(self.array), read_array(self.rows)
        if len(embeddings) != len(numbers):
            raise InputError(
                f"{self.array} has {len(embeddings):,} embeddings, but {self.rows} names {len(numbers):,} rows: "
                "delete both and run again."
            )
        for start in range(0, len(embeddings), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            require_finite(embeddings[part], str(self.array), numbers[part])
        return embeddings, np.asarray(numbers)


@dataclass(frozen=True)
class Search:
    """How neighbours are searched.

    Attributes:
        k: number of neighbours; all public samples where there are fewer.
        threads: threads of the search on the CPU.
        device: ``cpu`` or ``cuda``, which here is one GPU; both find the same.
    """

    k: int
    threads: int = 1
    device: str = "cpu"


def write_neighbors(queries: Embedded, public: Embedded, neighbors: Path, search: Search, title: str) -> None:
    """Search the public samples for every caption of a role and write the neighbours table.

    Args:
        queries: the captions of the role.
        public: the public images, or their captions.
        neighbors: parquet file to write, schema ``NEIGHBORS``, by row and rank.
        search: how.
        title: for the progress lines.

    Raises:
        InputError: when an array and its row array disagree, an embedding is not finite or zero, or the device is not
            to be had.
    """
    require(search.device, 1, title)
    engine = engine_on(search.device, search.threads)
    asked, rows = queries.read()
    searched, public_rows = public.read()
    k = min(search.k, len(searched))
    # so that what is found for a block fits beside it
    block_size = max(1, min(engine.queries_at_once, engine.cells // max(1, k)))
    write_found(
        neighbors, rows, public_rows, lambda block: nearest(asked[block], searched, k, engine), block_size, title
    )


def write_found(
    neighbors: Path,
    query_rows: np.ndarray,
    public_rows: np.ndarray,
    search: Callable[[slice], tuple[np.ndarray, np.ndarray]],
    queries_per_block: int,
    title: str,
) -> None:
    """Writes the neighbours table block by block.

    Args:
        neighbors: parquet file to write, schema ``NEIGHBORS``.
        query_rows: int64 (n,), ascending.
        public_rows: int64 (m,).
        search: block of queries -> similarities (block, k), descending, and positions (block, k) in ``public_rows``.
        queries_per_block: how many queries to search at a time.
        title: for the progress lines.
    """
    progress = Progress(title, len(query_rows), "queries")

    def parts() -> Iterator[pa.Table]:
        for start in range(0, len(query_rows), queries_per_block):
            block = slice(start, start + queries_per_block)
            similarity, position = search(block)
            rows, k = query_rows[block], position.shape[1]
            progress.advance(len(rows))
            yield pa.table(
                {
                    "row": np.repeat(rows, k),
                    "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), len(rows)),
                    "public_row": public_rows[position].ravel(),
                    "similarity": similarity.ravel(),
                },
                schema=NEIGHBORS,
            )

    write_table(neighbors, parts(), NEIGHBORS, NUMBERS_PER_GROUP)
    progress.finish()
