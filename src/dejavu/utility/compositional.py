"""Compositional test: whether a model prefers a true caption to false ones made of the same words.

In the manner of ARO, "When and why vision-language models behave like bags-of-words, and what to do about it?"
(arXiv 2210.01936).
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from dejavu.data.benchmarks import Benchmark, read_values
from dejavu.measurement.resampling import Resampling
from dejavu.utility.encode import Encoder, left_out, result, results


def compositional(encoder: Encoder, benchmark: Benchmark, resampling: Resampling) -> list[dict]:
    """For every kind, the share of the images to which the true caption is the most similar, and chance beside it.

    A true caption that is only as similar as a false one does not count. Chance is the mean of 1 / number of captions.

    Returns:
        Rows of the utility table.

    Raises:
        InputError: when an image has no caption, no false caption or no kind, or no image can be used.
    """
    captions, negatives, kinds = (read_values(benchmark, "data", use) for use in ("caption", "negatives", "kind"))
    images, used = encoder.images(benchmark, "data")
    choices = [[caption, *false] for caption, false, there in zip(captions, negatives, used, strict=True) if there]
    right = _prefers_the_first(encoder, images, choices)
    chance = np.array([1 / len(choice) for choice in choices])
    kind_of = np.array(kinds)[used]
    there = {kind: kind_of == kind for kind in sorted(set(kind_of.tolist()))}
    hits = {f"{kind}_accuracy": np.where(here, right, np.nan) for kind, here in there.items()}
    rows = results(benchmark, hits, resampling)
    rows += [result(benchmark, f"{kind}_chance", chance[here].mean(), here.sum()) for kind, here in there.items()]
    return [*rows, left_out(benchmark, used)]


def _prefers_the_first(encoder: Encoder, images: np.ndarray, choices: list[list[str]]) -> np.ndarray:
    """Whether the first caption of every choice is more similar to its image than each other one; bool (images,)."""
    texts = [text for choice in choices for text in choice]
    embedded = encoder.texts(texts)
    ends = list(accumulate(len(choice) for choice in choices))
    right = []
    for image, choice, end in zip(images, choices, ends, strict=True):
        similarity = embedded[end - len(choice) : end] @ image
        right.append(bool(similarity[0] > similarity[1:].max()))
    return np.array(right)
