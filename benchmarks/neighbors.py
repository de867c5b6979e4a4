"""Exact neighbours against FAISS's plain search, which compares in float32 alone; one thread.

What ours does besides is to rank in float64, so that every engine finds the same, and to look again where float32
leaves the last neighbour open.
"""

from __future__ import annotations

import faiss
import numpy as np

from benchmarks.timing import Result, best_seconds
from dejavu.retrieval.engines import OnFaiss
from dejavu.retrieval.neighbors import nearest

QUERIES = 1000
PUBLIC = 100_000
DIMENSION = 512
ROUNDS = 3


def measure() -> list[Result]:
    """Searches random vectors of unit length for 10 and for 100 neighbours."""
    rng = np.random.default_rng(0)
    queries, public = (_unit(rng.standard_normal((n, DIMENSION), dtype=np.float32)) for n in (QUERIES, PUBLIC))
    return [_compare(queries, public, k) for k in (10, 100)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _compare(queries: np.ndarray, public: np.ndarray, k: int) -> Result:
    engine = OnFaiss(threads=1)
    functions = {
        "ours": lambda: nearest(queries, public, k, engine)[1],
        "FAISS": lambda: faiss.knn(queries, public, k, metric=faiss.METRIC_INNER_PRODUCT)[1],
    }
    seconds, found = best_seconds(f"neighbors, k = {k}", functions, ROUNDS)
    same = (np.sort(found["ours"]) == np.sort(found["FAISS"])).all(axis=1).mean()
    if same < 0.99:
        raise AssertionError(f"ours and FAISS find other neighbours for {1 - same:.2%} of the queries")
    rates = [len(queries) / seconds[name] for name in functions]
    note = f"FAISS in float32, k = {k}, {len(public):,} public embeddings"
    return Result.of_rates("neighbors", *rates, "queries/s", note)
