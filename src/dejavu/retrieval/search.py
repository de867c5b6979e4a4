"""Nearest neighbours by exact search in blocks, on the CPU or one GPU.

*Exact* means: ranked by the float64 inner product of the stored float32 embeddings, of equal ones the lower position
first, whatever the engine; see :mod:`dejavu.retrieval.engines` for how each finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np

from dejavu.retrieval.engines import Array, Engine


class Vectors(Protocol):
    """float32 (n, dimension): an array of NumPy, or what reads parts of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


def nearest(queries: np.ndarray, public: Vectors, k: int, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Return nearest neighbours by float64 inner product; of equal similarities the lower position comes first.

    Args:
        queries: float32 (n, dimension), finite.
        public: float32 (m, dimension), m >= k, finite; read in blocks.
        k: number of neighbours.
        engine: what searches; all find the same.

    Returns:
        ``similarity`` float32 (n, k), descending, rounded from float64, and ``position`` int64 (n, k) in ``public``.
    """
    asked = engine.queries(queries)
    best = engine.unfilled(len(queries), k)
    share = max(1, -(-len(queries) // engine.side_by_side))
    parts = [slice(start, start + share) for start in range(0, len(queries), share)]
    shares = [((best[0][part], best[1][part]), asked[part]) for part in parts]
    with _side_by_side(engine) as each:
        for start, block in _blocks(public, k, engine):
            for _ in each(partial(_improve, start=start, block=block, k=k, engine=engine), shares):
                pass
            # before the next is read
            del block
    return engine.back(best[0]).astype(np.float32), engine.back(best[1])


def _blocks(public: Vectors, k: int, engine: Engine) -> Iterator[tuple[int, Any]]:
    """Yield where each block starts, and the block as the engine holds it."""

    def load(start: int) -> Any:
        return engine.public(public[start : start + engine.public_at_once], k)

    starts = range(0, len(public), engine.public_at_once)
    if not engine.loads_ahead:
        yield from ((start, load(start)) for start in starts)
        return
    with ThreadPoolExecutor(1) as loader:
        waiting = loader.submit(load, 0)
        for start in starts:
            block = waiting.result()
            if start + engine.public_at_once < len(public):
                waiting = loader.submit(load, start + engine.public_at_once)
            yield start, block
            del block


@contextmanager
def _side_by_side(engine: Engine) -> Iterator[Callable[[Callable, list], Iterator]]:
    """Give what calls a function with each of a list, as ``map`` does: in threads where the engine has several."""
    if engine.side_by_side == 1:
        yield map
        return
    with ThreadPoolExecutor(engine.side_by_side, initializer=engine.enter_thread) as threads:
        yield threads.map


def _improve(share: tuple[tuple[Array, Array], Any], start: int, block: Any, k: int, engine: Engine) -> None:
    """Put the neighbours in a block, which begins at position ``start``, among the best so far of some queries."""
    (similarity, position), queries = share
    for rows, candidates in engine.candidates(queries, block, min(k, len(block)), similarity[:, -1]):
        exact = engine.products(queries[rows], block, candidates)
        candidates = candidates + start
        if start:
            exact, candidates = engine.joined(similarity[rows], exact), engine.joined(position[rows], candidates)
        exact, candidates = engine.first(exact, candidates, k)
        similarity[rows, : exact.shape[1]], position[rows, : exact.shape[1]] = exact, candidates
