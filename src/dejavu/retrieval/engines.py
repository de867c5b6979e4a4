"""How a block of public embeddings is searched: candidates by a float32 product, ranked by exact float64 products.

Every engine finds the same neighbours, with the same similarities to the last bit:

- Candidates are those with the largest products in float32, however they were added up. A product of two float32
  vectors of dimension d differs from the exact one by at most γ = d·u / (1 − d·u) times the product of their norms, in
  any order of adding, with u = 2⁻²⁴ (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section
  3.1); to which comes what is lost where numbers are too small for float32. So everything that was left out has a
  product of at most the smallest candidate's plus that error.
- Ranks come from products in float64. The product of two float32 numbers is exact there, and they are added up in an
  order of their own, see :func:`summed`, which is the same in every engine.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

ROUNDOFF = 2.0**-24
# what float32 loses of one of d products and sums where it is too small, with vectors that are at most 1 in every place
UNDERFLOW = 2.0**-124
# public embeddings are rescaled if their largest value is outside this range; unit vectors never are
SMALLEST, LARGEST = 2.0**-10, 1.0
BYTES_AT_ONCE = 1 << 20

# an array of the engine's own kind: NumPy's, or a tensor on its device
Array = Any


@dataclass(frozen=True)
class Vectors:
    """Embeddings as an engine holds them.

    Attributes:
        stored: float32 (n, dimension), as they are.
        scaled: float32 (n, dimension), divided by powers of two, so that no number in it is above 1; for candidates.
        exponent: int64 (n,) of NumPy, or one for all: stored = scaled · 2^exponent.
        norm: float64 (n,) of NumPy, or one for all: at least the norms of the scaled ones.
    """

    stored: Array
    scaled: Array
    exponent: Any
    norm: Any

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: np.ndarray) -> Vectors:
        return Vectors(self.stored[rows], self.scaled[rows], self.exponent[rows], self.norm[rows])


class Engine(Protocol):
    """What searches need of NumPy and FAISS, or of PyTorch.

    Attributes:
        queries_at_once, public_at_once: how many queries are searched at a time, and in how many public embeddings.
        cells: how many similarities of candidates may be held at a time.
    """

    queries_at_once: int
    public_at_once: int
    cells: int

    def queries(self, vectors: np.ndarray) -> Vectors:
        """Takes queries, float32 (n, dimension), each scaled by itself."""

    def public(self, vectors: np.ndarray) -> Vectors:
        """Takes a block of public embeddings, float32 (m, dimension), all scaled alike."""

    def largest(self, queries: Vectors, public: Vectors, width: int) -> tuple[Array, Array]:
        """The public embeddings with the largest float32 products of the scaled vectors, in any order.

        Returns:
            float64 (n,), the smallest of those products, and int64 (n, width), positions in ``public``.
        """

    def products(self, queries: Vectors, public: Vectors, position: Array) -> Array:
        """Exact products of the stored vectors, see :func:`summed`; position int64 (n, width) -> float64 (n, width)."""

    def first(self, similarity: Array, position: Array, k: int) -> tuple[Array, Array]:
        """The first k columns by descending similarity, then by ascending position."""

    def joined(self, one: Array, other: Array) -> Array:
        """Columns of one after the other."""

    def empty(self, rows: int, columns: int) -> tuple[Array, Array]:
        """Similarities, float64, and positions, int64, to be filled."""

    def back(self, array: Array) -> np.ndarray:
        """An array of NumPy."""


def summed(products: Array) -> Array:
    """Sums of the last axis, (…, d) -> (…), which is overwritten: halves are added until one is left.

    Every addition is of two numbers in a place of their own, so that the result is the same to the last bit on every
    machine, for every number of vectors at a time.
    """
    width = products.shape[-1]
    while width > 1:
        half = (width + 1) // 2
        products[..., : width - half] += products[..., half:width]
        width = half
    return products[..., 0]


def bound(queries: Vectors, public: Vectors, smallest: np.ndarray) -> np.ndarray:
    """What no exact product is above whose float32 product is at most ``smallest``, of scaled vectors; float64 (n,)."""
    dimension = queries.stored.shape[1]
    relative = dimension * ROUNDOFF / (1 - dimension * ROUNDOFF)
    # the share of it more is larger than what float64 rounds, here and in the products that are ranked
    return smallest + (1 + ROUNDOFF) * (relative * queries.norm * public.norm + dimension * UNDERFLOW)


class OnFaiss:
    """FAISS's exact search on the CPU, and NumPy.

    Args:
        threads: of FAISS.

    Raises:
        ImportError: when FAISS is not installed.
    """

    queries_at_once = 4096
    public_at_once = 200_000
    cells = 1 << 24

    def __init__(self, threads: int = 1) -> None:
        # a GPU search needs no FAISS
        import faiss

        faiss.omp_set_num_threads(threads)
        self._faiss = faiss

    def queries(self, vectors: np.ndarray) -> Vectors:
        return scaled_queries(vectors)

    def public(self, vectors: np.ndarray) -> Vectors:
        stored = np.ascontiguousarray(vectors, dtype=np.float32)
        exponent = public_exponent(max(float(stored.max()), -float(stored.min())))
        scaled = np.ldexp(stored, -exponent) if exponent else stored
        largest = np.sqrt(np.einsum("ij,ij->i", scaled, scaled).max())
        return Vectors(stored, scaled, exponent, at_least(float(largest), stored.shape[1]))

    def largest(self, queries: Vectors, public: Vectors, width: int) -> tuple[np.ndarray, np.ndarray]:
        metric = self._faiss.METRIC_INNER_PRODUCT
        similarity, position = self._faiss.knn(queries.scaled, public.scaled, width, metric=metric)
        return similarity[:, -1].astype(np.float64), position

    def products(self, queries: Vectors, public: Vectors, position: np.ndarray) -> np.ndarray:
        asked, dimension = queries.stored.astype(np.float64), queries.stored.shape[1]
        found, pairs = np.empty(position.shape), max(1, BYTES_AT_ONCE // (8 * dimension))
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
            found[rows, columns] = _summed(wide[used], spare[used]).reshape(which.shape)
        return found

    def first(self, similarity: np.ndarray, position: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.lexsort((position, -similarity), axis=1)[:, :k]
        return np.take_along_axis(similarity, order, axis=1), np.take_along_axis(position, order, axis=1)

    def joined(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.concatenate([one, other], axis=1)

    def empty(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        return np.empty((rows, columns)), np.empty((rows, columns), dtype=np.int64)

    def back(self, array: np.ndarray) -> np.ndarray:
        return array


class OnTorch:
    """PyTorch's product in float32 (TF32 is off), and its selection of the largest, on the CPU or one GPU.

    Args:
        device: ``cpu`` or ``cuda``, the first GPU that this process sees.
        threads: of PyTorch on the CPU.
    """

    def __init__(self, device: str, threads: int = 1) -> None:
        # takes seconds, and a search with FAISS does without
        import torch

        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
        self._torch, self._device = torch, device
        on_gpu = device == "cuda"
        self.queries_at_once = 65_536 if on_gpu else 4096
        self.public_at_once = 262_144 if on_gpu else 65_536
        self.cells = 1 << 27 if on_gpu else 1 << 24
        self._similarities = 1 << 29 if on_gpu else 1 << 24
        self._bytes = 1 << 30 if on_gpu else BYTES_AT_ONCE

    def queries(self, vectors: np.ndarray) -> Vectors:
        found = scaled_queries(vectors)
        return replace(found, stored=self._taken(found.stored), scaled=self._taken(found.scaled))

    def public(self, vectors: np.ndarray) -> Vectors:
        stored = self._taken(vectors)
        exponent = public_exponent(max(float(stored.max()), -float(stored.min())))
        # by way of float64, in which every such power of two is a number
        scaled = (stored.double() * 2.0**-exponent).float() if exponent else stored
        largest = self._torch.linalg.vector_norm(scaled, dim=1).max()
        return Vectors(stored, scaled, exponent, at_least(float(largest), stored.shape[1]))

    def _taken(self, vectors: np.ndarray) -> Array:
        with warnings.catch_warnings():
            # PyTorch warns that a memory-mapped array is read-only; nothing writes to it here
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            return self._torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(self._device)

    def largest(self, queries: Vectors, public: Vectors, width: int) -> tuple[Array, Array]:
        smallest, position = self.empty(len(queries), width)
        step = max(1, self._similarities // len(public))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            found = (queries.scaled[rows] @ public.scaled.T).topk(width, dim=1, sorted=False)
            position[rows] = found.indices
            smallest[rows, 0] = found.values.amin(dim=1).double()
        return smallest[:, 0], position

    def products(self, queries: Vectors, public: Vectors, position: Array) -> Array:
        asked, dimension = queries.stored.double(), queries.stored.shape[1]
        found = self.empty(position.shape[0], position.shape[1])[0]
        for rows, columns in parts(position.shape, max(1, self._bytes // (8 * dimension))):
            found[rows, columns] = summed(asked[rows, None, :] * public.stored[position[rows, columns]].double())
        return found

    def first(self, similarity: Array, position: Array, k: int) -> tuple[Array, Array]:
        position, order = position.sort(dim=1)
        similarity, order = similarity.gather(1, order).sort(dim=1, descending=True, stable=True)
        return similarity[:, :k], position.gather(1, order[:, :k])

    def joined(self, one: Array, other: Array) -> Array:
        return self._torch.cat([one, other], dim=1)

    def empty(self, rows: int, columns: int) -> tuple[Array, Array]:
        kinds = self._torch.float64, self._torch.int64
        similarity, position = (self._torch.empty((rows, columns), dtype=k, device=self._device) for k in kinds)
        return similarity, position

    def back(self, array: Array) -> np.ndarray:
        return array.cpu().numpy()


def scaled_queries(vectors: np.ndarray) -> Vectors:
    """Queries as NumPy holds them, each divided by a power of two of its own."""
    stored = np.ascontiguousarray(vectors, dtype=np.float32)
    exponent = np.frexp(np.abs(stored).max(axis=1))[1].astype(np.int64)
    scaled = np.ldexp(stored, -exponent[:, None])
    norm = np.linalg.norm(scaled.astype(np.float64), axis=1)
    return Vectors(stored, scaled, exponent, norm * (1 + ROUNDOFF))


def public_exponent(largest: float) -> int:
    """The exponent of the power of two that public embeddings, whose largest number this is, are divided by."""
    return 0 if SMALLEST <= largest <= LARGEST else int(np.frexp(largest)[1])


def at_least(norm: float, dimension: int) -> float:
    """At least the norm that this was found to be in float32."""
    return norm * (1 + 2 * dimension * ROUNDOFF)


def parts(shape: Sequence[int], cells: int) -> Iterator[tuple[slice, slice]]:
    """Rectangles that cover a table of this shape, of so many cells at most."""
    rows, columns = shape
    width = min(columns, cells)
    height = cells // max(1, width)
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            yield slice(top, top + height), slice(left, left + width)


def _summed(products: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """As :func:`summed`, of (n, d) with NumPy, which copies what it adds in place; ``spare`` is (n, (d + 1) // 2)."""
    width, target = products.shape[1], spare
    while width > 1:
        half = (width + 1) // 2
        added = width - half
        np.add(products[:, :added], products[:, half:width], out=target[:, :added])
        target[:, added:half] = products[:, added:half]
        products, target, width = target, products, half
    return products[:, 0]
