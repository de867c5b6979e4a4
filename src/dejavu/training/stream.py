"""Training pairs in shuffled order; the size of a buffer bounds the memory, not the size of the data."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dejavu.data.images import decode_rgb, to_square
from dejavu.data.samples import SampleStore
from dejavu.training.augment import Augmentation
from dejavu.training.draws import Purpose, generator

# Largest size in bytes of a decoded training set that is kept in memory, so that each image is decoded once.
DECODED_BYTES = 2**30
BATCHES_AHEAD = 4
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Batch:
    """A batch: ``rows`` and ``epochs`` int64 (n,), ``images`` uint8 (n, size, size, 3), ``captions`` n texts."""

    rows: np.ndarray
    epochs: np.ndarray
    images: np.ndarray
    captions: list[str]


@dataclass(slots=True)
class _Pair:
    """A pair in the buffer: its image, encoded or uint8 (size, size, 3), and its captions, the sample's own first."""

    row: int
    image: bytes | np.ndarray
    captions: list[str]


# The pairs of one process's part of a batch, each with its epoch, in order.
Share = list[tuple[int, _Pair]]


class PairStream:
    """An endless stream of batches over a training set, epoch after epoch, the same for the same seed.

    A training set that fits in the buffer is permuted exactly at every epoch. A larger set is read file by file, with
    the files in a new order at every epoch; pairs enter the buffer in this order and leave it at random. The buffer
    holds encoded images, which are decoded when they leave. Images stay decoded only where the whole set fits in the
    buffer and, decoded, in 1 GiB, and is not augmented.

    Args:
        store: the samples table.
        rows: int64 (n,), the rows of the training set.
        size: height and width of the square images, in pixels.
        buffer: largest number of pairs in the buffer.
        seed: seed of the order, and of the draws for each pair.
        augmentation: random changes to the images, new at every epoch; None: none.
        other_captions: whether each epoch shows one of all captions of the image, drawn uniformly.
        workers: number of threads that decode ahead, beside one thread that reads; 0: decode when a batch is asked for.
            The batches are the same for every number.
    """

    def __init__(
        self,
        store: SampleStore,
        rows: np.ndarray,
        size: int,
        buffer: int,
        seed: int,
        *,
        augmentation: Augmentation | None = None,
        other_captions: bool = False,
        workers: int = 0,
    ) -> None:
        self._store, self._rows, self._size, self._buffer, self._seed = store, np.sort(rows), size, buffer, seed
        self._augmentation, self._workers = augmentation or None, workers
        self._columns = ["caption", "image", *(["other_captions"] if other_captions else [])]
        self._resident = list(self._read(self._rows)) if len(rows) <= buffer else None
        self._keep = self._resident is not None and len(rows) * size * size * 3 <= DECODED_BYTES

    def batches(self, batch_size: int, skip: int = 0, part: tuple[int, int] = (0, 1)) -> Generator[Batch, None, None]:
        """Yield batches; a batch may reach over the end of an epoch. Closing the iterator ends its threads.

        Args:
            batch_size: number of pairs in a batch, over all parts.
            skip: number of pairs at the beginning that are left out without decoding.
            part: (i, n): divide every batch into n equal, consecutive parts, and yield only part i, counted from 0.

        Raises:
            ValueError: when the batch size is not divisible by the number of parts.
        """
        if batch_size % part[1]:
            raise ValueError(f"a batch of {batch_size} has no {part[1]} equal parts")
        shares = self._shares(batch_size, skip, *part)
        return self._ahead(shares) if self._workers else self._at_once(shares)

    def _at_once(self, shares: Iterator[Share]) -> Generator[Batch, None, None]:
        for share in shares:
            yield self._batch(share, map(self._show, share))

    def _ahead(self, shares: Iterator[Share]) -> Generator[Batch, None, None]:
        """Yield the batches in the same order as :meth:`_at_once`, while threads read and decode the next batches."""
        reader, decoders = ThreadPoolExecutor(1), ThreadPoolExecutor(self._workers)

        def start() -> tuple[Share, Iterator]:
            share = next(shares)
            return share, decoders.map(self._show, share)

        try:
            # A single reader thread starts the batches one after the other, which keeps their order.
            started = deque(reader.submit(start) for _ in range(BATCHES_AHEAD))
            while True:
                share, shown = started.popleft().result()
                started.append(reader.submit(start))
                yield self._batch(share, shown)
        finally:
            for pool in (reader, decoders):
                pool.shutdown(cancel_futures=True)

    def _batch(self, share: Share, shown: Iterator[tuple[np.ndarray, str]]) -> Batch:
        images, captions = zip(*shown, strict=True)
        return Batch(
            rows=np.array([pair.row for _, pair in share], dtype=np.int64),
            epochs=np.array([epoch for epoch, _ in share], dtype=np.int64),
            images=np.stack(images),
            captions=list(captions),
        )

    def _show(self, shown: tuple[int, _Pair]) -> tuple[np.ndarray, str]:
        """Return the image and the caption that an epoch shows of a pair."""
        epoch, pair = shown
        if len(pair.captions) == 1:
            caption = pair.captions[0]
        else:
            rng = generator(Purpose.CAPTION, self._seed, epoch, pair.row)
            caption = pair.captions[int(rng.integers(len(pair.captions)))]
        return self._pixels(epoch, pair), caption

    def _pixels(self, epoch: int, pair: _Pair) -> np.ndarray:
        if isinstance(pair.image, np.ndarray):
            return pair.image
        image = decode_rgb(pair.image)
        if self._augmentation is not None:
            return self._augmentation(image, self._size, generator(Purpose.IMAGE, self._seed, epoch, pair.row))
        pixels = to_square(image, self._size)
        if self._keep:
            pair.image = pixels
        return pixels

    def _shares(self, batch_size: int, skip: int, index: int, parts: int) -> Iterator[Share]:
        """Yield part ``index`` of every batch."""
        size = batch_size // parts
        batch: Share = []
        for shown in self._pairs(skip):
            batch.append(shown)
            if len(batch) == batch_size:
                yield batch[index * size : (index + 1) * size]
                batch = []

    def _pairs(self, skip: int) -> Iterator[tuple[int, _Pair]]:
        epoch, skip = divmod(skip, len(self._rows))
        while True:
            for pair in self._epoch(epoch):
                if skip:
                    skip -= 1
                    continue
                yield epoch, pair
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[_Pair]:
        rng = np.random.default_rng([self._seed, epoch])
        if self._resident is not None:
            for index in rng.permutation(len(self._resident)):
                yield self._resident[index]
            return
        held: list[_Pair] = []
        for pair in self._shuffled_files(rng):
            if len(held) < self._buffer:
                held.append(pair)
            else:
                index = int(rng.integers(self._buffer))
                held[index], leaving = pair, held[index]
                yield leaving
        for index in rng.permutation(len(held)):
            yield held[index]

    def _shuffled_files(self, rng: np.random.Generator) -> Iterator[_Pair]:
        uppers, starts = np.unique(self._rows >> 32, return_index=True)
        parts = np.split(self._rows, starts[1:])
        for index in rng.permutation(len(uppers)):
            yield from self._read(parts[index])

    def _read(self, rows: np.ndarray) -> Iterator[_Pair]:
        for table in self._store.read(rows, self._columns):
            # Converting a few rows at a time avoids a second copy of the whole row group in memory.
            for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    captions = [record["caption"], *(record.get("other_captions") or [])]
                    yield _Pair(record["row"], record["image"], captions)
