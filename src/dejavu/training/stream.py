"""Training pairs in shuffled order, with memory set by a buffer and not by the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dejavu.data.images import decode_rgb, to_square
from dejavu.data.samples import SampleStore


@dataclass(frozen=True)
class Batch:
    """``rows`` int64 (n,), ``epochs`` int64 (n,), ``images`` uint8 (n, size, size, 3), ``captions`` n strings."""

    rows: np.ndarray
    epochs: np.ndarray
    images: np.ndarray
    captions: list[str]


Pair = tuple[int, np.ndarray, str]


class PairStream:
    """An endless stream of batches over a training set, epoch after epoch, the same for the same seed.

    A training set that fits in the buffer is decoded once and permuted exactly at every epoch. A larger one is read
    file by file, the files in a new order at every epoch, through the buffer, from which pairs leave at random.

    Args:
        store: the samples table.
        rows: int64 (n,), the training set.
        size: side of the square images.
        buffer: number of decoded pairs kept.
        seed: of the order.
    """

    def __init__(self, store: SampleStore, rows: np.ndarray, size: int, buffer: int, seed: int) -> None:
        self._store, self._rows, self._size, self._buffer, self._seed = store, np.sort(rows), size, buffer, seed
        self._resident = list(self._read(self._rows)) if len(rows) <= buffer else None

    def batches(self, batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """Yields batches; a batch may reach over the end of an epoch. ``skip`` leaves out that many pairs first."""
        epoch, skip = divmod(skip, len(self._rows))
        pending: list[tuple[int, Pair]] = []
        while True:
            for pair in self._epoch(epoch):
                if skip:
                    skip -= 1
                    continue
                pending.append((epoch, pair))
                if len(pending) == batch_size:
                    yield Batch(
                        rows=np.array([p[0] for _, p in pending], dtype=np.int64),
                        epochs=np.array([e for e, _ in pending], dtype=np.int64),
                        images=np.stack([p[1] for _, p in pending]),
                        captions=[p[2] for _, p in pending],
                    )
                    pending = []
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[Pair]:
        rng = np.random.default_rng([self._seed, epoch])
        if self._resident is not None:
            for index in rng.permutation(len(self._resident)):
                yield self._resident[index]
            return
        held: list[Pair] = []
        for pair in self._shuffled_files(rng):
            if len(held) < self._buffer:
                held.append(pair)
            else:
                index = int(rng.integers(self._buffer))
                held[index], leaving = pair, held[index]
                yield leaving
        for index in rng.permutation(len(held)):
            yield held[index]

    def _shuffled_files(self, rng: np.random.Generator) -> Iterator[Pair]:
        uppers, starts = np.unique(self._rows >> 32, return_index=True)
        parts = np.split(self._rows, starts[1:])
        for index in rng.permutation(len(uppers)):
            yield from self._read(parts[index])

    def _read(self, rows: np.ndarray) -> Iterator[Pair]:
        for table in self._store.read(rows, ["caption", "image"]):
            for row, caption, image in zip(*(table[c].to_pylist() for c in ("row", "caption", "image")), strict=True):
                yield row, to_square(decode_rgb(image), self._size), caption
