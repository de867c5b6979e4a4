"""Images decoded and captions tokenized ahead, by processes beside the one that runs the model.

Processes and not threads: an eighth of the time of an image holds Python's lock, and all of a caption's does; 14
threads brought a GPU twice as many images as one. The processes write pixels into memory that they share with the
model's process. No file system has to hold it, as /dev/shm would, which is small in many containers.
"""

from __future__ import annotations

import mmap
import multiprocessing
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from dejavu.data.images import Unusable, decode_rgb
from dejavu.errors import InputError
from dejavu.processes import die_with_parent

# samples that a process prepares at a time
SAMPLES_PER_TASK = 32
# batches that are ready or in work beside the one that the model is given
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Preparation:
    """What is done to a sample before the model sees it.

    Attributes:
        pixels: an RGB image -> uint8 (size, size, 3).
        tokenize: captions -> int64 (n, up to the context length); None where no caption is asked for.
        size: side of the square images, in pixels.
    """

    pixels: Callable[[Image.Image], np.ndarray]
    tokenize: Callable[[Sequence[str]], torch.Tensor] | None
    size: int

    @property
    def columns(self) -> list[str]:
        """The columns of a sample that are read."""
        return ["image", *(["caption"] if self.tokenize else [])]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image's pixels."""
        return (self.size, self.size, 3)


@dataclass(frozen=True)
class Prepared:
    """A batch of samples as the model takes them.

    Attributes:
        place: where they stand among the rows.
        pixels: uint8 (n, size, size, 3), overwritten when the next batch is asked for.
        tokens: int64 (n, up to the context length); None where not asked for.
    """

    place: slice
    pixels: np.ndarray
    tokens: torch.Tensor | None


Batches = Iterator[tuple[slice, pa.Table]]


def prepared(
    batches: Batches, preparation: Preparation, at_once: int, workers: int = 0
) -> Generator[Prepared, None, None]:
    """Yield batches of samples in their order, ready for the model.

    Args:
        batches: places and tables with ``row`` and :attr:`Preparation.columns`.
        preparation: what is done to a sample.
        at_once: samples of a batch, the most that a table has.
        workers: processes that prepare ahead; 0: this one prepares a batch when it is asked for.

    Raises:
        InputError: when an image cannot be decoded, or a process was ended from outside.
    """
    if workers == 0:
        return _in_turn(batches, preparation)
    return _ahead(batches, preparation, at_once, workers)


def _in_turn(batches: Batches, preparation: Preparation) -> Generator[Prepared, None, None]:
    for place, samples in batches:
        rows, images, captions = _columns(samples)
        pixels = np.empty((len(rows), *preparation.shape), dtype=np.uint8)
        yield Prepared(place, pixels, _prepare(preparation, rows, images, captions, pixels))


def _ahead(batches: Batches, preparation: Preparation, at_once: int, workers: int) -> Generator[Prepared, None, None]:
    # enough batches to give every process a task
    number = BATCHES_AHEAD + -(-workers * SAMPLES_PER_TASK // at_once)
    shape = (number + 1, at_once, *preparation.shape)
    pixels = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), dtype=np.uint8).reshape(shape)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_begin, initargs=(preparation, pixels)
    )
    waiting: deque[tuple[slice, int, list[Future]]] = deque()
    try:
        with warnings.catch_warnings():
            # from Python 3.12 on, of the threads of this process, none of which these processes need
            warnings.simplefilter("ignore", DeprecationWarning)
            pool.submit(int)
        for turn, (place, samples) in enumerate(batches):
            buffer = turn % len(pixels)
            waiting.append((place, buffer, _submit(pool, samples, buffer)))
            if len(waiting) > number:
                yield _collected(preparation, pixels, *waiting.popleft())
        while waiting:
            yield _collected(preparation, pixels, *waiting.popleft())
    except BrokenProcessPool:
        raise InputError(
            "a process that decodes images was ended from outside, perhaps for lack of memory: lower "
            "measure.embed_workers, or give the job more memory."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, samples: pa.Table, buffer: int) -> list[Future]:
    starts = range(0, samples.num_rows, SAMPLES_PER_TASK)
    return [pool.submit(_work, buffer, start, *_columns(samples.slice(start, SAMPLES_PER_TASK))) for start in starts]


def _collected(
    preparation: Preparation, pixels: np.ndarray, place: slice, buffer: int, tasks: Sequence[Future]
) -> Prepared:
    tokens = [task.result() for task in tasks]
    return Prepared(
        place,
        pixels[buffer, : place.stop - place.start],
        joined(list(map(torch.from_numpy, tokens))) if preparation.tokenize else None,
    )


def joined(tokens: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return int64 (all, length) of several int64 (n, length), the shorter ones filled with zeros.

    Tokens are cut only where nothing behind a caption's end reaches its features.
    """
    length = max(part.shape[1] for part in tokens)
    return torch.cat([torch.nn.functional.pad(part, (0, length - part.shape[1])) for part in tokens])


def _columns(samples: pa.Table) -> tuple[list[int], list[bytes], list[str]]:
    """Return rows, encoded images and captions; no caption where none was read."""
    captions = samples["caption"].to_pylist() if "caption" in samples.column_names else []
    return samples["row"].to_pylist(), samples["image"].to_pylist(), captions


def _prepare(
    preparation: Preparation,
    rows: Sequence[int],
    images: Sequence[bytes],
    captions: Sequence[str],
    pixels: np.ndarray,
) -> torch.Tensor | None:
    """Write the pixels of images to uint8 (n, size, size, 3), and return the tokens of captions."""
    for place, image in enumerate(images):
        try:
            pixels[place] = preparation.pixels(decode_rgb(image))
        except Unusable as error:
            raise InputError(
                f"the image of row {rows[place]} cannot be used ({error}), though it could when it was ingested: "
                "delete the samples of its dataset and run again."
            ) from None
    return None if preparation.tokenize is None else preparation.tokenize(captions)


# in a process that prepares: what it does, and the pixels of all batches that are on the way
_own: tuple[Preparation, np.ndarray] | None = None


def _begin(preparation: Preparation, pixels: np.ndarray) -> None:
    global _own
    die_with_parent()
    torch.set_num_threads(1)
    _own = preparation, pixels


def _work(
    buffer: int, start: int, rows: Sequence[int], images: Sequence[bytes], captions: Sequence[str]
) -> np.ndarray | None:
    """Prepare some samples of a batch in a process of its own; return their tokens."""
    assert _own is not None
    preparation, pixels = _own
    tokens = _prepare(preparation, rows, images, captions, pixels[buffer, start : start + len(rows)])
    return None if tokens is None else tokens.numpy()
