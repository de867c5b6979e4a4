"""Embedding the images and captions of a role with the model of a side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dejavu.data.images import decode_rgb
from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Encoder, TextEncoder
from dejavu.errors import words
from dejavu.files import fill_array, write_array
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite


@dataclass(frozen=True)
class Arrays:
    """The ``.npy`` files of a role's embeddings; row i of either array belongs to the sample ``rows[i]``.

    Attributes:
        images, captions: float32 (n, dimension), L2-normalised.
        rows: int64 (n,), ascending.
    """

    images: Path
    captions: Path
    rows: Path


def embed(encoder: Encoder, role: RoleSamples, arrays: Arrays, title: str) -> None:
    """Write the embeddings of the images and captions of a role.

    Args:
        encoder: the model.
        role: the samples to embed.
        arrays: files to write.
        title: for the progress lines.

    Raises:
        InputError: when an embedding is not finite, or zero.
    """
    rows = role.rows()
    progress = Progress(title, len(rows), "samples")
    with ExitStack() as files:
        fill_images, fill_captions = (
            files.enter_context(fill_array(path, len(rows))) for path in (arrays.images, arrays.captions)
        )
        for place, samples in role.batches(["caption", "image"], encoder.at_once):
            images = encoder.images([decode_rgb(image) for image in samples["image"].to_pylist()])
            fill_images(place, require_finite(images, words(f"{title}, images"), rows[place]))
            captions = encoder.texts(samples["caption"].to_pylist())
            fill_captions(place, require_finite(captions, words(f"{title}, captions"), rows[place]))
            progress.advance(samples.num_rows)
    write_array(arrays.rows, rows)
    progress.finish()


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
