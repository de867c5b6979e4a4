"""Synthetic labels of images, and synthetic neighbours, with proportions like those of real data."""

from __future__ import annotations

import numpy as np

from dejavu.memorization.labels import LabelSets

LABELS = 600
LABELS_OF_A_TOPIC = 30
TOPICS = 200
TOPICAL = 0.7
# Mean number of labels drawn for an image; about 8 of them are distinct.
LABELS_DRAWN = 9.7


def images(number: int, rng: np.random.Generator) -> tuple[LabelSets, np.ndarray]:
    """Draw images with about eight distinct labels each, at least one, with Zipf-like frequencies.

    Returns:
        The label sets of the images ``0`` to ``number - 1``; and int64 (number,), the topic of each image, from which
        most of its labels come.
    """
    names = tuple(f"object{i:03d}" for i in range(LABELS))
    popular = np.random.default_rng(7).permutation(LABELS)
    topic = rng.integers(TOPICS, size=number)
    owner = np.repeat(np.arange(number), np.maximum(1, rng.poisson(LABELS_DRAWN, size=number)))
    of_topic = (topic[owner] * 37 + 11 * _zipf(len(owner), LABELS_OF_A_TOPIC, rng)) % LABELS
    label = np.where(rng.random(len(owner)) < TOPICAL, of_topic, popular[_zipf(len(owner), LABELS, rng)])
    owner, label = np.divmod(np.unique(owner * LABELS + label), LABELS)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=number))])
    return LabelSets(np.arange(number), starts, label.astype(np.int32), names), topic


def _zipf(size: int, values: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``size`` integers i below ``values``, with a probability proportional to 1 / (i + 1)."""
    edges = np.cumsum(1 / np.arange(1, values + 1))
    return np.searchsorted(edges / edges[-1], rng.random(size))


def topical_neighbors(asked: np.ndarray, public: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k distinct public images for each query, most of them of the query's topic.

    Args:
        asked: int64 (n,), the topics of the queries.
        public: int64 (m,), the topics of the public images.
        k: number of neighbours.

    Returns:
        int64 (n, k), indices in ``public``.
    """
    by_topic = np.argsort(public, kind="stable")
    size = np.bincount(public, minlength=TOPICS)
    first = np.cumsum(size) - size
    near = int(TOPICAL * k)
    neighbors = np.empty((len(asked), k), dtype=np.int64)
    for i, topic in enumerate(asked):
        of_topic = rng.choice(by_topic[first[topic] : first[topic] + size[topic]], near, replace=False)
        others = np.setdiff1d(rng.integers(len(public), size=2 * k), of_topic)
        neighbors[i] = rng.permutation(np.concatenate([of_topic, rng.permutation(others)[: k - near]]))
    return neighbors
