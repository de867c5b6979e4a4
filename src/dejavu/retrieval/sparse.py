"""Exact search with sparse vectors that are nowhere negative, such as those of TF-IDF.

Ranks follow the float64 product, of equal ones the lower position first, as in :mod:`dejavu.retrieval.search`. SciPy
adds up a product of sparse rows in the order of the query's terms, so the number of queries at a time changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

# queries at a time, and products of theirs that are not zero
QUERIES, CELLS = 4096, 1 << 24
# classes by size, of which those with the k largest products of a query are sorted
BINS = 1024


def blocks(queries: csr_array, by_term: csr_array) -> Iterator[slice]:
    """Yield blocks of at most ``QUERIES`` queries with at most ``CELLS`` products, or of one query.

    Args:
        queries: (n, terms).
        by_term: (terms, m), the public vectors transposed.
    """
    products = np.diff(by_term.indptr).astype(np.int64)[queries.indices]
    until = np.concatenate([[0], np.cumsum(products)])[queries.indptr]
    start = 0
    while start < queries.shape[0]:
        end = int(np.searchsorted(until, until[start] + CELLS, side="right")) - 1
        end = max(start + 1, min(queries.shape[0], end, start + QUERIES))
        yield slice(start, end)
        start = end


def nearest_sparse(queries: csr_array, by_term: csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nearest neighbours by float64 inner product; of equal similarities the lower position comes first.

    Args:
        queries: (n, terms), nowhere negative, with sorted terms.
        by_term: (terms, m), the public vectors transposed, nowhere negative; m >= k.
        k: number of neighbours.

    Returns:
        ``similarity`` float32 (n, k), descending, rounded from float64, and ``position`` int64 (n, k).
    """
    count = queries.shape[0]
    products = csr_array(queries.astype(np.float64) @ by_term.astype(np.float64))
    row = np.repeat(np.arange(count), np.diff(products.indptr))
    column, value = products.indices.astype(np.int64), products.data
    kept = _among_largest(row, value, count, k)
    row, column, value = row[kept], column[kept], value[kept]
    zeros = _zeros(products, k)
    row, column = np.concatenate([row, zeros[0]]), np.concatenate([column, zeros[1]])
    value = np.concatenate([value, np.zeros(len(zeros[0]))])
    order = np.lexsort((column, -value, row))
    starts = np.searchsorted(row[order], np.arange(count))
    first = order[starts[:, None] + np.arange(k)]
    return value[first].astype(np.float32), column[first]


def _among_largest(row: np.ndarray, value: np.ndarray, count: int, k: int) -> np.ndarray:
    """Return which products may be among the k largest of their row: those in the classes that hold these, bool."""
    if not len(value):
        return np.zeros(0, dtype=bool)
    size = np.minimum(BINS - 1, value * (BINS / value.max())).astype(np.int64)
    held = np.bincount(row * BINS + size, minlength=count * BINS).reshape(count, BINS)
    # of each class: how many products it and all classes above hold
    above = held[:, ::-1].cumsum(axis=1)[:, ::-1]
    lowest = np.maximum((above >= k).sum(axis=1) - 1, 0)
    return size >= lowest[row]


def _zeros(products: csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and the lowest positions of zero products, of rows that have fewer than k others."""
    short = np.flatnonzero(np.diff(products.indptr) < k)
    width = min(products.shape[1], 2 * k)
    is_zero = np.ones((len(short), width), dtype=bool)
    part = products[short]
    row = np.repeat(np.arange(len(short)), np.diff(part.indptr))
    inside = part.indices < width
    is_zero[row[inside], part.indices[inside]] = False
    found, column = np.nonzero(is_zero)
    return short[found], column.astype(np.int64)
