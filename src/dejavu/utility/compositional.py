"""Compositional test: whether a model prefers the true caption of an image to false ones made of the same words.

The test follows ARO, "When and why vision-language models behave like bags-of-words, and what to do about it?" (arXiv
2210.01936).
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from dejavu.data.benchmarks import Benchmark, read_values
from dejavu.measurement.resampling import Resampling
from dejavu.utility.encode import Encoder, left_out, result, results


def compositional(encoder: Encoder, benchmark: Benchmark, resampling: Resampling) -> list[dict]:
    """Return, for every kind of false captions, the accuracy and what chance reaches.

    Accuracy is the share of images whose true caption is more similar than every false caption; a tie counts as wrong.
    Chance is the mean of 1 / number of captions.

    Returns:
        Rows of the utility table.

    Raises:
        InputError: when an image has no caption, no false caption or no kind, or no image can be used.
    """
    captions, negatives, kinds = (read_values(benchmark, "data", use) for use in ("caption", "negatives", "kind"))
    images, used = encoder.images(benchmark, "data")
    choices = [[caption, *false] for caption, false, usable in zip(captions, negatives, used, strict=True) if usable]
    right = _prefers_the_first(encoder, images, choices)
    chance = np.array([1 / len(choice) for choice in choices])
    kind_of = np.array(kinds)[used]
    masks = {kind: kind_of == kind for kind in sorted(set(kind_of.tolist()))}
    hits = {f"{kind}_accuracy": np.where(mask, right, np.nan) for kind, mask in masks.items()}
    rows = results(benchmark, hits, resampling)
    rows += [result(benchmark, f"{kind}_chance", chance[mask].mean(), mask.sum()) for kind, mask in masks.items()]
    return [*rows, left_out(benchmark, used)]


def _prefers_the_first(encoder: Encoder, images: np.ndarray, choices: list[list[str]]) -> np.ndarray:
    """Return whether each image is more similar to the first of its captions than to all others; bool (images,)."""
    texts = [text for choice in choices for text in choice]
    embedded = encoder.texts(texts)
    ends = list(accumulate(len(choice) for choice in choices))
    right = []
    for image, choice, end in zip(images, choices, ends, strict=True):
        similarity = embedded[end - len(choice) : end] @ image
        right.append(bool(similarity[0] > similarity[1:].max()))
    return np.array(right)
