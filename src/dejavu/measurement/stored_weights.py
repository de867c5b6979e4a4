"""How often each duplicate group is in each resample, where the same resamples are gone through many times."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from dejavu.memorization import draws as drawing


class Weights(ABC):
    """Random weights of the groups of one population.

    Attributes:
        kind: type of numbers in which what is made of the weights is added up.
    """

    kind: DTypeLike

    def __init__(self) -> None:
        self._sizes: dict[bytes, np.ndarray] = {}

    @abstractmethod
    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield which draws come, and integers (draws, groups): their weights."""

    def sizes_of(self, groups: np.ndarray) -> np.ndarray:
        """Return the number of queries in every resample, (draws,) of :attr:`kind`.

        Args:
            groups: int64 (queries,), the group of each.
        """
        # the cells of a scope have the same queries
        digest = hashlib.blake2b(np.ascontiguousarray(groups).data.cast("B"), digest_size=16).digest()
        if digest not in self._sizes:
            numbers = np.bincount(groups).astype(np.float64)
            sizes = [weights[:, : len(numbers)] @ numbers for _, weights in self.parts()]
            self._sizes[digest] = np.concatenate(sizes).astype(self.kind)
        return self._sizes[digest]


class HeldWeights(Weights):
    """Weights in memory, int64 (draws, groups)."""

    # as many queries as one block of groups has are counted exactly
    kind = np.float32

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self._weights = weights

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
