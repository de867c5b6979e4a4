"""Embedding the images and captions of a role with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dejavu.data.images import decode_rgb
from dejavu.data.samples import SampleStore
from dejavu.errors import words
from dejavu.files import atomic, map_array, read_table, write_array
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite
from dejavu.training.model import Clip


def embed(
    clip: Clip,
    manifest: Path,
    samples: Sequence[str],
    images: Path,
    captions: Path,
    rows: Path,
    *,
    batch_size: int,
    device: str,
    title: str,
) -> None:
    """Writes three arrays: float32 (n, dimension) of L2-normalised image and caption embeddings, and int64 (n,) rows.

    Row i of either array belongs to the sample ``rows[i]``; rows ascend.

    Args:
        clip: the model, in evaluation mode.
        manifest: the samples to embed.
        samples: batch folders of the samples table.
        images, captions, rows: ``.npy`` files to write.
        batch_size: images or captions at a time.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.

    Raises:
        InputError: when an embedding is not finite, or zero.
    """
    wanted = np.sort(read_table(manifest, ["row"])["row"].to_numpy())
    progress = Progress(title, len(wanted), "samples")
    done = 0
    with atomic(images) as image_file, atomic(captions) as caption_file, torch.inference_mode():
        image_array = caption_array = np.empty((0, 0), dtype=np.float32)
        for part in SampleStore(samples).batches(wanted, ["caption", "image"], batch_size):
            here = slice(done, done + part.num_rows)
            if not np.array_equal(part["row"].to_numpy(), wanted[here]):
                raise ValueError(f"rows {wanted[here][:3]} of {manifest} came back in another order")
            pixels = np.stack([clip.pixels(decode_rgb(image)) for image in part["image"].to_pylist()])
            tokens = clip.tokenize(part["caption"].to_pylist()).to(device)
            encoded = clip.model.encode_image(clip.normalize(pixels, device), normalize=True)
            image_part = require_finite(encoded.float().cpu().numpy(), words(f"{title}, images"), wanted[here])
            asked = clip.encode_text(tokens).float().cpu().numpy()
            caption_part = require_finite(asked, words(f"{title}, captions"), wanted[here])
            if not done:
                shape = (len(wanted), image_part.shape[1])
                image_array = map_array(image_file, shape, np.float32)
                caption_array = map_array(caption_file, shape, np.float32)
            image_array[here], caption_array[here] = image_part, caption_part
            done = here.stop
            progress.advance(part.num_rows)
        image_array.flush()  # type: ignore[attr-defined]
        caption_array.flush()  # type: ignore[attr-defined]
    write_array(rows, wanted)
    progress.finish()
