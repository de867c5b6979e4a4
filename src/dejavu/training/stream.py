"""Training pairs in shuffled order, with memory set by a buffer and not by the data."""

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

# a training set that fits in the buffer, and here when decoded, is decoded once
DECODED_BYTES = 2**30
BATCHES_AHEAD = 4
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Batch:
    """``rows`` int64 (n,), ``epochs`` int64 (n,), ``images`` uint8 (n, size, size, 3), ``captions`` n strings."""

    rows: np.ndarray
    epochs: np.ndarray
    images: np.ndarray
    captions: list[str]


@dataclass(slots=True)
class _Pair:
    """A pair as it is held: its captions, the own one first, and its image, encoded or uint8 (size, size, 3)."""

    row: int
    image: bytes | np.ndarray
    captions: list[str]


# (epoch, pair), in order shown
Share = list[tuple[int, _Pair]]


class PairStream:
    """An endless stream of batches over a training set, epoch after epoch, the same for the same seed.

    A training set that fits in the buffer is permuted exactly at every epoch. A larger one is read file by file, the
    files in a new order at every epoch, through the buffer, from which pairs leave at random. What is held is encoded;
    images are decoded when they leave, and kept decoded only where the whole set fits in the buffer and in 1 GiB and
    is not augmented.

    Args:
        store: the samples table.
        rows: int64 (n,), the training set.
        size: side of the square images.
        buffer: number of pairs kept.
        seed: of the order and of what is drawn for a pair.
        augmentation: changes the images anew at every epoch.
        other_captions: shows, at every epoch, one of all captions of the image, drawn uniformly.
        workers: threads that decode ahead, beside one that reads; 0: none, all is done when it is asked for. The
            batches are the same for every number.
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
        """Yields batches; a batch may reach over the end of an epoch. Closing the iterator ends its threads.

        Args:
            batch_size: pairs of a batch, of all parts together.
            skip: so many pairs are left out first, undecoded.
            part: (i, n) yields only the i-th, from 0, of the n equal parts that follow each other in every batch.

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
        """The batches in the same order, with threads that read and decode those to come."""
        reader, decoders = ThreadPoolExecutor(1), ThreadPoolExecutor(self._workers)

        def start() -> tuple[Share, Iterator]:
            share = next(shares)
            return share, decoders.map(self._show, share)

        try:
            # one thread starts one batch after the other, so their order is that of the shares
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
        """The image and the caption of a pair in an epoch."""
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
        """One part of every batch."""
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
            # a few at a time, so that a row group is not held twice
            for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    captions = [record["caption"], *(record.get("other_captions") or [])]
                    yield _Pair(record["row"], record["image"], captions)
