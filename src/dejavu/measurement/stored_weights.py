"""How often each duplicate group is in each resample, where the same resamples are gone through many times."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from dejavu.memorization import draws as drawing

# queries whose sums are one number of the running sums
CHUNK = 512


class Weights(ABC):
    """Random weights of the groups of one population.

    Attributes:
        kind: type of numbers in which what is made of the weights is added up.
    """

    kind: DTypeLike

    def __init__(self) -> None:
        self._sizes: dict[bytes, np.ndarray] = {}

    @abstractmethod
    def prefix(self, groups: np.ndarray, gap: np.ndarray) -> Prefix:
        """Return the first queries of an order, by the group, int (n,), and the gap, float64 (n,), of each."""

    @abstractmethod
    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield which draws come, and integers (draws, groups): their weights."""

    def sizes_of(self, groups: np.ndarray) -> np.ndarray:
        """Return the number of queries in every resample, (draws,) of :attr:`kind`.

        Args:
            groups: int (queries,), the group of each.
        """
        # the cells of a scope have the same queries
        digest = hashlib.blake2b(np.ascontiguousarray(groups).data.cast("B"), digest_size=16).digest()
        if digest not in self._sizes:
            numbers = np.bincount(groups).astype(np.float64)
            # one draw at a time, since bytes become float64 here
            sizes = [draw[: len(numbers)] @ numbers for _, weights in self.parts() for draw in weights]
            self._sizes[digest] = np.array(sizes).astype(self.kind)
        return self._sizes[digest]


class Prefix(ABC):
    """The first queries of an order."""

    @abstractmethod
    def means(self, weights: np.ndarray, wanted: Sequence[np.ndarray], *, is_all: bool) -> np.ndarray:
        """Return the mean gap of as many first queries of some resamples as are wanted, float64 (wanted, draws).

        A query that is drawn several times counts as often, the last one too. NaN stands where there are too few.

        Args:
            weights: integers (draws, groups).
            wanted: of numbers (draws,), how many queries are wanted.
            is_all: whether there are no more queries, so that too few are as many as there can be.
        """


class HeldPrefix(Prefix):
    """For few queries: running sums of all of them, in float32."""

    def __init__(self, groups: np.ndarray, gap: np.ndarray) -> None:
        self._groups, self._gap = groups, gap.astype(np.float32)

    def means(self, weights: np.ndarray, wanted: Sequence[np.ndarray], *, is_all: bool) -> np.ndarray:
        times = weights[:, self._groups].astype(np.float32)
        number, total = np.cumsum(times, axis=1), np.cumsum(times * self._gap, axis=1)
        found = np.full((len(wanted), len(weights)), np.nan)
        for means, of_draws in zip(found, wanted, strict=True):
            for draw, enough in enumerate(of_draws):
                last = int(np.searchsorted(number[draw], enough))
                if last == len(self._gap) and is_all:
                    last -= 1
                if last < len(self._gap):
                    queries = number[draw, last]
                    means[draw] = total[draw, last] / queries if queries > 0 else 0.0
        return found


class StoredPrefix(Prefix):
    """For many queries: sums of chunks, and running sums of these; queries one by one in the last chunk alone."""

    def __init__(self, groups: np.ndarray, gap: np.ndarray) -> None:
        self._number = len(groups)
        filling = -len(groups) % CHUNK
        self._groups = np.append(groups, np.zeros(filling, dtype=groups.dtype))
        self._gap = np.append(gap, np.zeros(filling))

    def means(self, weights: np.ndarray, wanted: Sequence[np.ndarray], *, is_all: bool) -> np.ndarray:
        times = weights[:, self._groups]
        times[:, self._number :] = 0
        chunks = times.reshape(len(times), -1, CHUNK)
        number = np.cumsum(chunks.sum(axis=2, dtype=np.int64), axis=1)
        gaps = self._gap.astype(np.float32).reshape(-1, CHUNK)
        total = np.cumsum(np.einsum("dcq,cq->dc", chunks.astype(np.float32), gaps), axis=1, dtype=np.float64)
        found = np.full((len(wanted), len(weights)), np.nan)
        for means, of_draws in zip(found, wanted, strict=True):
            for draw, enough in enumerate(of_draws):
                chunk = int(np.searchsorted(number[draw], enough))
                if chunk < len(gaps):
                    before = (number[draw, chunk - 1], total[draw, chunk - 1]) if chunk else (0, 0.0)
                    inside = chunks[draw, chunk].astype(np.float64)
                    last = int(np.searchsorted(np.cumsum(inside), enough - before[0])) + 1
                    gap = self._gap[chunk * CHUNK : chunk * CHUNK + last]
                    means[draw] = (before[1] + inside[:last] @ gap) / (before[0] + inside[:last].sum())
                elif is_all:
                    means[draw] = total[draw, -1] / number[draw, -1] if number[draw, -1] > 0 else 0.0
        return found


class HeldWeights(Weights):
    """Weights in memory, int64 (draws, groups)."""

    # as many queries as one block of groups has are counted exactly
    kind = np.float32

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self._weights = weights

    def prefix(self, groups: np.ndarray, gap: np.ndarray) -> Prefix:
        """Return the first queries of an order."""
        return HeldPrefix(groups, gap)

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all draws at once."""
        yield slice(0, len(self._weights)), self._weights


class StoredWeights(Weights):
    """Weights on disk, a byte for each: that one of many thousand groups is drawn 256 times does not happen."""

    kind = np.float64

    def __init__(self, path: Path, blocks: list[int], draws: int, rng: np.random.Generator) -> None:
        super().__init__()
        self._path, self._groups, self._draws = path, sum(blocks), draws
        start = 0
        with open(path, "wb") as handle:
            for size, parts in zip(blocks, drawing.resamples(blocks, draws, rng), strict=True):
                for some, weights in parts:
                    for draw, row in zip(range(some.start, some.stop), weights.astype(np.uint8), strict=True):
                        handle.seek(draw * self._groups + start)
                        handle.write(row.data)
                start += size

    def prefix(self, groups: np.ndarray, gap: np.ndarray) -> Prefix:
        """Return the first queries of an order."""
        return StoredPrefix(groups, gap)

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Read some draws at a time."""
        for some in drawing.parts_of(self._groups, self._draws):
            number = some.stop - some.start
            data = np.fromfile(self._path, np.uint8, number * self._groups, offset=some.start * self._groups)
            yield some, data.reshape(number, self._groups)


def drawn_weights(groups: int, draws: int, rng: np.random.Generator, path: Path | None) -> Weights:
    """Draw resamples of groups with replacement.

    Args:
        groups: number of groups.
        draws: number of resamples.
        rng: source of chance.
        path: where weights of more than one block of groups go; without one they are held.
    """
    blocks = drawing.block_sizes(groups)
    if path is not None and len(blocks) > 1:
        return StoredWeights(path, blocks, draws, rng)
    weights = np.zeros((draws, groups), dtype=np.int64)
    start = 0
    for size, parts in zip(blocks, drawing.resamples(blocks, draws, rng) if groups else [[]], strict=True):
        for some, of_block in parts:
            weights[some, start : start + size] = of_block
        start += size
    return HeldWeights(weights)
