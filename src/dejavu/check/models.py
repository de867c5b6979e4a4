"""Whether models are what they should be: loaded, run on eight pairs, and asked for each caption's own image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dejavu.data.images import decode_rgb
from dejavu.errors import words
from dejavu.retrieval.finite import require_finite
from dejavu.training.model import Clip

# of eight captions, so many find their own image first by luck in one of a hundred models that know nothing
BETTER_THAN_LUCK = 4


def ranks_of_own_images(clip: Clip, pairs: Sequence[dict], device: str, title: str) -> list[int]:
    """For the caption of each pair, the rank of its own image among the images of all, by cosine; 1 is the nearest.

    Args:
        clip: the model.
        pairs: with caption and encoded image.
        device: ``cpu`` or ``cuda``.
        title: of the model, for the sentence.

    Raises:
        InputError: when an embedding is not finite.
    """
    with torch.inference_mode():
        pixels = np.stack([clip.pixels(decode_rgb(pair["image"])) for pair in pairs])
        images = clip.model.encode_image(clip.normalize(pixels, device), normalize=True)
        captions = clip.encode_text(clip.tokenize([pair["caption"] for pair in pairs]).to(device))
    found = require_finite(images.float().cpu().numpy(), words(f"{title}, images"))
    asked = require_finite(captions.float().cpu().numpy(), words(f"{title}, captions"))
    return own_ranks(found, asked)


def own_ranks(images: np.ndarray, captions: np.ndarray) -> list[int]:
    """The rank of image i for caption i, by inner product; an equal one counts as nearer.

    Args:
        images, captions: float (n, dimension).
    """
    similarity = captions @ images.T
    return (similarity >= np.diag(similarity)[:, None]).sum(axis=1).tolist()


def weights_in(clip: Clip) -> int:
    """Number of a model's weights."""
    return sum(weight.numel() for weight in clip.model.parameters())
