"""Embedding the images and captions of a role with the model of a side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import TextEncoder, TokenEncoder
from dejavu.errors import words
from dejavu.files import fill_array, write_array
from dejavu.progress import Progress
from dejavu.retrieval.ahead import Preparation, joined, prepared
from dejavu.retrieval.finite import require_finite

# captions that are sorted by length before they are embedded
CAPTIONS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Arrays:
    """The ``.npy`` files of a role's embeddings; row i of either array belongs to the sample ``rows[i]``.

    Attributes:
        images, captions: float32 (n, dimension), L2-normalised; captions (0, dimension) where no step reads them.
        rows: int64 (n,), ascending.
    """

    images: Path
    captions: Path
    rows: Path


def embed(
    encoder: TokenEncoder,
    role: RoleSamples,
    arrays: Arrays,
    title: str,
    has_captions: bool = True,
    workers: int = 0,
) -> None:
    """Write the embeddings of the images of a role, and of its captions.

    Args:
        encoder: the model.
        role: the samples to embed.
        arrays: files to write.
        title: for the progress lines.
        has_captions: whether captions are embedded; their array has no row otherwise.
        workers: processes that decode and tokenize beside this one, which runs the model; 0: this one does it.

    Raises:
        InputError: when an embedding is not finite, or zero; or when an image cannot be decoded.
    """
    rows = role.rows()
    preparation = Preparation(encoder.pixels, encoder.tokenize if has_captions else None, encoder.image_size)
    batches = role.batches(preparation.columns, encoder.at_once)
    progress = Progress(title, len(rows), "samples")
    with ExitStack() as opened:
        images = _Images(opened.enter_context(fill_array(arrays.images, len(rows))), rows, title)
        fill_captions = opened.enter_context(fill_array(arrays.captions, len(rows) if has_captions else 0))
        captions = _Captions(encoder, fill_captions, rows, title)
        stream = opened.enter_context(closing(prepared(batches, preparation, encoder.at_once, workers)))
        for batch in stream:
            embedded = encoder.encode(batch.pixels)
            images.add(batch.place, embedded)
            if batch.tokens is not None:
                captions.add(batch.place, batch.tokens)
            progress.advance(batch.place.stop - batch.place.start)
        images.finish()
        captions.finish()
        if not has_captions:
            fill_captions(slice(0, 0), np.empty((0, embedded.shape[1]), dtype=np.float32))
    write_array(arrays.rows, rows)
    progress.finish()


Fill = Callable[[slice, np.ndarray], None]


class _Images:
    """Writes embeddings of images, each batch when the next is under way on the device."""

    def __init__(self, fill: Fill, rows: np.ndarray, title: str) -> None:
        self._fill, self._rows, self._title = fill, rows, title
        self._last: tuple[slice, torch.Tensor] | None = None

    def add(self, place: slice, embedded: torch.Tensor) -> None:
        self.finish()
        self._last = place, embedded

    def finish(self) -> None:
        if self._last is not None:
            place, embedded = self._last
            where = words(f"{self._title}, images")
            self._fill(place, require_finite(embedded.cpu().numpy(), where, self._rows[place]))
            self._last = None


class _Captions:
    """Embeds captions in blocks, within which the encoder sorts them by length, and writes them."""

    def __init__(self, encoder: TokenEncoder, fill: Fill, rows: np.ndarray, title: str) -> None:
        self._encoder, self._fill, self._rows, self._title = encoder, fill, rows, title
        self._tokens: list[torch.Tensor] = []
        self._place = slice(0, 0)

    def add(self, place: slice, tokens: torch.Tensor) -> None:
        self._tokens.append(tokens)
        self._place = slice(self._place.start, place.stop)
        if self._place.stop - self._place.start >= CAPTIONS_PER_BLOCK:
            self.finish()

    def finish(self) -> None:
        if self._tokens:
            embedded = self._encoder.tokens(joined(self._tokens))
            where = words(f"{self._title}, captions")
            self._fill(self._place, require_finite(embedded, where, self._rows[self._place]))
            self._tokens, self._place = [], slice(self._place.stop, self._place.stop)


def embed_captions(encoder: TextEncoder, role: RoleSamples, captions: Path, rows: Path, title: str) -> None:
    """Write the embeddings of the captions of a role, for a model that knows no image; arrays as in :class:`Arrays`.

    Args:
        encoder: the model.
        role: the samples whose captions to embed.
        captions, rows: ``.npy`` files to write.
        title: for the progress lines.

    Raises:
        InputError: when an embedding is not finite, or zero.
    """
    wanted = role.rows()
    progress = Progress(title, len(wanted), "captions")
    with fill_array(captions, len(wanted)) as fill:
        for place, samples in role.batches(["caption"], encoder.at_once):
            part = encoder.texts(samples["caption"].to_pylist())
            fill(place, require_finite(part, words(f"{title}, captions"), wanted[place]))
            progress.advance(samples.num_rows)
    write_array(rows, wanted)
    progress.finish()
