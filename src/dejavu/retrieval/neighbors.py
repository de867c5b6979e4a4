"""The public samples nearest to each caption, by exact search, on the CPU or one GPU.

The search on a GPU was tested with the CPU's in the place of FAISS's function for the GPU; it was never run on one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from dejavu.errors import InputError
from dejavu.files import NUMBERS_PER_GROUP, read_array, write_table
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite
from dejavu.tables.retrieval import NEIGHBORS

QUERIES_PER_BLOCK = 4096
PUBLIC_PER_BLOCK = 200_000
EXTRA_FOR_TIES = 8
# more neighbours than this FAISS cannot select on a GPU
MOST_ON_GPU = 2048

# queries (n, dimension), public (m, dimension), k <= m -> similarity float32 (n, k), descending, position int64 (n, k)
Knn = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def on_cpu(queries: np.ndarray, public: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """FAISS's exact search by inner product on the CPU; of those that tie for the last place it takes any."""
    return faiss.knn(queries, public, k, metric=faiss.METRIC_INNER_PRODUCT)


def on_gpu(title: str) -> Knn:
    """The same as :func:`on_cpu`, in float32 as well, on the first GPU that this process sees.

    Sums are made in another order than on the CPU, so that similarities differ in the last bits, and neighbours whose
    similarities differ by no more can change places. What a GPU cannot do, to select more than 2,048 neighbours, is
    done on the CPU.

    Args:
        title: for the errors.

    Raises:
        InputError: when this FAISS has no support for GPUs, or sees none.
    """
    if not hasattr(faiss, "StandardGpuResources"):
        raise InputError(
            f"{title}: device is cuda, but the installed FAISS is the one without GPU support: install with "
            "requirements-gpu.lock, or set device to cpu."
        )
    if not faiss.get_num_gpus():
        raise InputError(f"{title}: device is cuda, but FAISS finds no GPU here: set device to cpu.")
    resources = faiss.StandardGpuResources()

    def knn(queries: np.ndarray, public: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if k > MOST_ON_GPU:
            return on_cpu(queries, public, k)
        return faiss.knn_gpu(resources, queries, public, k, metric=faiss.METRIC_INNER_PRODUCT)

    return knn


def nearest(queries: np.ndarray, public: np.ndarray, k: int, knn: Knn = on_cpu) -> tuple[np.ndarray, np.ndarray]:
    """Exact nearest neighbours by inner product; of equal similarities the lower position comes first.

    Args:
        queries: float32 (n, dimension).
        public: float32 (m, dimension), m >= k; read in blocks.
        k: number of neighbours.
        knn: searches one block; :func:`on_cpu` or what :func:`on_gpu` returns.

    Returns:
        ``similarity`` float32 (n, k), descending, and ``position`` int64 (n, k) in ``public``.
    """
    best = np.empty((len(queries), 0), dtype=np.float32)
    where = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(public), PUBLIC_PER_BLOCK):
        block = np.ascontiguousarray(public[start : start + PUBLIC_PER_BLOCK], dtype=np.float32)
        similarity, position = _nearest_in(np.ascontiguousarray(queries), block, min(k, len(block)), knn)
        best = np.concatenate([best, similarity], axis=1)
        where = np.concatenate([where, position + start], axis=1)
        best, where = _first(best, where, k)
    return best, where


def _nearest_in(queries: np.ndarray, block: np.ndarray, k: int, knn: Knn) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of one block. Where several tie for the last place, FAISS takes any; here the lowest win."""
    width = min(len(block), k + EXTRA_FOR_TIES)
    similarity, position = knn(queries, block, width)
    tied = np.flatnonzero(similarity[:, -1] == similarity[:, k - 1])
    similarity, position = _first(similarity, position, k)
    while width < len(block) and len(tied):
        width = min(len(block), 2 * width)
        wider, where = knn(queries[tied], block, width)
        similarity[tied], position[tied] = _first(wider, where, k)
        tied = tied[wider[:, -1] == wider[:, k - 1]]
    return similarity, position


def _first(similarity: np.ndarray, position: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k columns by descending similarity, then by ascending position."""
    order = np.lexsort((position, -similarity), axis=1)[:, :k]
    return np.take_along_axis(similarity, order, axis=1), np.take_along_axis(position, order, axis=1)


def write_neighbors(
    captions: Path,
    caption_rows: Path,
    public: Path,
    public_rows: Path,
    neighbors: Path,
    *,
    k: int,
    threads: int,
    device: str,
    title: str,
) -> None:
    """Searches the public samples for every caption of a role and writes the neighbours table.

    Args:
        captions, caption_rows: embeddings and rows of the queries.
        public, public_rows: embeddings and rows of the public images, or of their captions.
        neighbors: parquet file to write, schema ``NEIGHBORS``, by row and rank.
        k: number of neighbours; all public samples where there are fewer.
        threads: threads of FAISS on the CPU.
        device: ``cpu`` or ``cuda``, which here is one GPU; see :func:`on_gpu` for how results differ.
        title: for the progress lines.

    Raises:
        InputError: when an array and its row array disagree, an embedding is not finite, or ``device`` is not to be
            had.
    """
    faiss.omp_set_num_threads(threads)
    knn = on_gpu(title) if device == "cuda" else on_cpu
    queries, rows = _with_rows(captions, caption_rows)
    searched, found_rows = _with_rows(public, public_rows)
    k = min(k, len(searched))
    write_found(
        neighbors, rows, found_rows, lambda block: nearest(queries[block], searched, k, knn), QUERIES_PER_BLOCK, title
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


def _with_rows(array: Path, rows: Path) -> tuple[np.ndarray, np.ndarray]:
    embeddings, numbers = read_array(array), read_array(rows)
    if len(embeddings) != len(numbers):
        raise InputError(
            f"{array} has {len(embeddings):,} embeddings, but {rows} names {len(numbers):,} rows: "
            "delete both and run again."
        )
    for start in range(0, len(embeddings), PUBLIC_PER_BLOCK):
        require_finite(embeddings[start : start + PUBLIC_PER_BLOCK], str(array))
    return embeddings, np.asarray(numbers)
