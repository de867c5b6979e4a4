"""What a search needs of an engine, and FAISS as one: float32 products propose candidates, float64 products rank them.

Every engine finds the same neighbours, with the same similarities to the last bit:

- An engine proposes candidates by products in a fast type, with a proven bound on the error. It leaves out only public
  embeddings whose exact product is below that of k others. A product of two float32 vectors of dimension d, added up
  in float32 in any order, differs from the exact one by at most γ = d·u / (1 − d·u) times the product of their norms,
  with u = 2⁻²⁴ (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1), and by what is
  lost where numbers are too small for float32. :mod:`dejavu.retrieval.filters` has the bounds of narrower types.
- Float64 products rank the candidates. The product of two float32 numbers is exact in float64, and the sums have an
  order of their own, see :func:`summed`, which is the same in every engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

ROUNDOFF = 2.0**-24
# what float32 loses of one of d products and sums where it is too small, with vectors that are at most 1 in every place
UNDERFLOW = 2.0**-124
# embeddings are rescaled if their largest value is outside this range; unit vectors rarely are
SMALLEST, LARGEST = 2.0**-10, 1.0
BYTES_AT_ONCE = 1 << 20
# candidates beyond k, with which nearly every query's last neighbour is clear at once
EXTRA, EXTRA_PER_K = 8, 1 / 32
# and how many times as many when one is not
WIDER = 4

# an array of the engine's own kind: NumPy's, or a tensor on its device
Array = Any


class Embeddings(Protocol):
    """Embeddings as an engine holds them; ``stored`` is float32 (n, dimension), as they are."""

    stored: Array

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any: ...


class Engine(Protocol):
    """What a search needs of NumPy and FAISS, or of PyTorch.

    Attributes:
        name: ``faiss``, or the type of PyTorch's product: ``float32``, ``bfloat16`` or ``int8``.
        queries_at_once: number of queries that one pass over the public embeddings answers.
        public_at_once: number of public embeddings in a block.
        cells: number of similarities and positions that may be held at a time.
        loads_ahead: whether the next block is loaded while one is searched.
        side_by_side: number of threads among which queries are divided; each has called ``enter_thread``.
    """

    name: str
    queries_at_once: int
    public_at_once: int
    cells: int
    loads_ahead: bool
    side_by_side: int

    def enter_thread(self) -> None:
        """Prepare a thread that answers a part of the queries."""

    def queries(self, vectors: np.ndarray) -> Any:
        """Take queries, float32 (n, dimension)."""

    def public(self, vectors: np.ndarray, k: int) -> Any:
        """Take a block of public embeddings, float32 (m, dimension), of which the k nearest will be asked for."""

    def candidates(self, queries: Any, public: Any, k: int, floor: Array) -> Iterator[tuple[Array, Array]]:
        """Propose for every query all public embeddings that can be among its k nearest.

        Args:
            queries, public: what the methods of these names return.
            k: number of neighbours, at most ``len(public)``.
            floor: float64 (n,). Embeddings with a lower product than this need not be proposed.

        Yields:
            Numbers of queries, int64 (r,), and the candidates' positions in ``public``, int64 (r, w), −1 in places
            that are not needed. Every query comes once.
        """

    def products(self, queries: Any, public: Any, position: Array) -> Array:
        """Return exact products, see :func:`summed`; position int64 (n, w) -> float64 (n, w), −∞ where it is −1."""

    def first(self, similarity: Array, position: Array, k: int) -> tuple[Array, Array]:
        """Return the first k columns by descending similarity, then by ascending position."""

    def joined(self, left: Array, right: Array) -> Array:
        """Return the columns of two arrays side by side."""

    def unfilled(self, rows: int, columns: int) -> tuple[Array, Array]:
        """Return similarities of −∞, float64, and positions of −1, int64."""

    def back(self, array: Array) -> np.ndarray:
        """Return an array of NumPy."""


def summed(products: Array) -> Array:
    """Return sums over the last axis, (…, d) -> (…), overwriting it: halves are added until one number is left.

    Every addition is of two numbers in a place of their own, so that the result is the same to the last bit on every
    machine, for every number of vectors at a time.
    """
    width = products.shape[-1]
    while width > 1:
        half = (width + 1) // 2
        # in place: with a name on the left, the sums are not copied once more
        left = products[..., : width - half]
        left += products[..., half:width]
        width = half
    return products[..., 0]


def relative_error(dimension: int, roundoff: float = ROUNDOFF) -> float:
    """Return γ of the module's docstring, made larger by more than float64 rounds where it is used."""
    return (1 + 2.0**-20) * dimension * roundoff / (1 - dimension * roundoff)


@dataclass(frozen=True)
class Scaled:
    """Embeddings of NumPy.

    Attributes:
        stored: float32 (n, dimension), as they are.
        scaled: float32 (n, dimension), divided by powers of two, so that no number in it is above 1.
        exponent: int64 (n,), or one number for all: stored = scaled · 2^exponent.
        norm: float64 (n,), or one number for all: at least the norms of the scaled embeddings.
    """

    stored: np.ndarray
    scaled: np.ndarray
    exponent: Any
    norm: Any

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: np.ndarray) -> Scaled:
        return Scaled(self.stored[rows], self.scaled[rows], self.exponent[rows], self.norm[rows])


class OnFaiss:
    """FAISS's exact search on the CPU, and NumPy.

    Args:
        threads: number of FAISS's threads.

    Raises:
        ImportError: when FAISS is not installed.
    """

    name = "faiss"
    queries_at_once = 32_768
    public_at_once = 200_000
    cells = 1 << 24
    loads_ahead = False
    # FAISS divides them itself
    side_by_side = 1

    def __init__(self, threads: int = 1) -> None:
        # the other engines do without FAISS
        import faiss

        faiss.omp_set_num_threads(threads)
        self._faiss = faiss

    def enter_thread(self) -> None:
        pass

    def queries(self, vectors: np.ndarray) -> Scaled:
        stored = np.ascontiguousarray(vectors, dtype=np.float32)
        exponent = np.frexp(np.abs(stored).max(axis=1))[1].astype(np.int64)
        scaled = np.ldexp(stored, -exponent[:, None])
        norm = np.linalg.norm(scaled.astype(np.float64), axis=1)
        return Scaled(stored, scaled, exponent, norm * (1 + ROUNDOFF))

    def public(self, vectors: np.ndarray, k: int) -> Scaled:
        stored = np.ascontiguousarray(vectors, dtype=np.float32)
        exponent = public_exponent(max(float(stored.max()), -float(stored.min())))
        scaled = np.ldexp(stored, -exponent) if exponent else stored
        largest = float(np.sqrt(np.einsum("ij,ij->i", scaled, scaled).max()))
        return Scaled(stored, scaled, exponent, largest * (1 + 2 * stored.shape[1] * ROUNDOFF))

    def candidates(
        self, queries: Scaled, public: Scaled, k: int, floor: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        dimension, metric = public.stored.shape[1], self._faiss.METRIC_INNER_PRODUCT
        error = relative_error(dimension) * queries.norm * public.norm + dimension * UNDERFLOW
        needed = np.ldexp(floor, -(queries.exponent + public.exponent))
        waiting, width = np.arange(len(queries)), min(len(public), k + EXTRA + int(k * EXTRA_PER_K))
        while len(waiting):
            unclear, step = [], max(1, self.cells // width)
            for start in range(0, len(waiting), step):
                rows = waiting[start : start + step]
                similarity, position = self._faiss.knn(queries.scaled[rows], public.scaled, width, metric=metric)
                last, kth = (similarity[:, column].astype(np.float64) for column in (-1, k - 1))
                # not as large either: what is as near could have the lower position
                clear = last + error[rows] < np.maximum(kth - error[rows], needed[rows])
                clear |= width == len(public)
                unclear.append(rows[~clear])
                yield rows[clear], position[clear]
            waiting = np.concatenate(unclear)
            width = min(len(public), WIDER * width)

    def products(self, queries: Scaled, public: Scaled, position: np.ndarray) -> np.ndarray:
        asked, dimension = queries.stored.astype(np.float64), queries.stored.shape[1]
        exact, pairs = np.empty(position.shape), max(1, BYTES_AT_ONCE // (8 * dimension))
        # memory that is asked for anew each time would cost more than the products
        taken = np.empty((pairs, dimension), dtype=np.float32)
        wide, spare = np.empty((pairs, dimension)), np.empty((pairs, (dimension + 1) // 2))
        for rows, columns in parts(position.shape, pairs):
            which = position[rows, columns]
            used = slice(which.size)
            # clipped, since NumPy would use memory of its own to raise errors
            np.take(public.stored, which.ravel(), axis=0, out=taken[used], mode="clip")
            np.copyto(wide[used], taken[used])
            by_query = wide[used].reshape(*which.shape, dimension)
            np.multiply(by_query, asked[rows, None, :], out=by_query)
            exact[rows, columns] = _summed(wide[used], spare[used]).reshape(which.shape)
        return exact

    def first(self, similarity: np.ndarray, position: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.lexsort((position, -similarity), axis=1)[:, :k]
        return np.take_along_axis(similarity, order, axis=1), np.take_along_axis(position, order, axis=1)

    def joined(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.concatenate([left, right], axis=1)

    def unfilled(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((rows, columns), -np.inf), np.full((rows, columns), -1, dtype=np.int64)

    def back(self, array: np.ndarray) -> np.ndarray:
        return array


def public_exponent(largest: float) -> int:
    """Return the exponent of the power of two that public embeddings with this largest number are divided by."""
    return 0 if SMALLEST <= largest <= LARGEST else int(np.frexp(largest)[1])


def parts(shape: Sequence[int], cells: int) -> Iterator[tuple[slice, slice]]:
    """Yield rectangles that cover a table of this shape, of at most so many cells."""
    rows, columns = shape
    width = max(1, min(columns, cells))
    height = cells // width
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            yield slice(top, top + height), slice(left, left + width)


def _summed(products: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Do as :func:`summed` for (n, d) of NumPy, which copies what it adds in place; ``spare`` is (n, (d + 1) // 2)."""
    width, target = products.shape[1], spare
    while width > 1:
        half = (width + 1) // 2
        added = width - half
        np.add(products[:, :added], products[:, half:width], out=target[:, :added])
        target[:, added:half] = products[:, added:half]
        products, target, width = target, products, half
    return products[:, 0]
