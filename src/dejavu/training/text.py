"""Text randomization: the mitigation of arXiv 2402.02103, words of the caption hidden at random in training."""

from __future__ import annotations

import numpy as np


def mask_words(caption: str, ratio: float, seed: int, epoch: int, row: int) -> str:
    """Drops each word of a caption with probability ``ratio``, at least one word staying.

    The draw depends on (seed, epoch, row) alone: fresh at every epoch, the same after a restart.

    Args:
        caption: words separated by space.
        ratio: in [0, 1]; 0 returns the caption as it is.
        seed: of the model.
        epoch: pass over the training set, from 0.
        row: the sample.
    """
    if ratio == 0:
        return caption
    words = caption.split()
    if not words:
        return caption
    draws = np.random.default_rng([seed, epoch, row]).random(len(words))
    kept = draws >= ratio
    kept[int(draws.argmax())] = True
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)
