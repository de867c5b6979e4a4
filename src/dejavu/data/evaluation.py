"""Synthetic benchmarks: images from the world of an embedded dataset that no model is trained on.

The pairs are drawn like the dataset's own, but with numbers that no dataset reaches. So they have the same scenes and
objects, but other images. The files have the format of all benchmarks (:mod:`dejavu.data.benchmarks`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dejavu.data.scenes import LABELS
from dejavu.data.synthetic import World, make_pairs

# the first pair number of each set
FIRST = {"train": 1 << 40, "test": 2 << 40, "compositional": 3 << 40}
KINDS = ("attribute", "relation", "order")
SHUFFLES = 4

# Prompts in the style of the captions, one with each object. Their mean over the objects stands for the scene alone.
TEMPLATES = tuple(f"a {label} in the {{}}" for label in LABELS)


def draw_labelled(world: World, name: str, count: int) -> Iterator[dict]:
    """Yield ``count`` images of a set, ``train`` or ``test``, with two labels, schema ``LABELLED``.

    ``label`` is the scene, which a linear probe can predict even from random features. ``color`` is the colour of the
    lowest object, which is harder to predict.
    """
    for pair in make_pairs(world, FIRST[name], FIRST[name] + count):
        lowest = max(pair["objects"], key=lambda drawn: drawn["box"][3])
        yield {"image": pair["image"], "label": pair["scene"], "color": lowest["label"].split()[0]}


def draw_compositional(world: World, count: int) -> Iterator[dict]:
    """Yield ``count`` images with a true caption and false ones, schema ``COMPOSITIONAL``, of the kinds in turn.

    A false caption has the same words as the true one, as in ARO (arXiv 2210.01936):

    - attribute: the colours of two objects are exchanged, and the image shows neither of the resulting objects.
    - relation: two objects are exchanged in "above", "below", "left of" or "right of"; their boxes decide the truth.
    - order: the words of the pair's own caption are shuffled, in :data:`SHUFFLES` ways.

    An image without such objects is skipped.
    """
    number, done = FIRST["compositional"], 0
    while done < count:
        kind = KINDS[done % len(KINDS)]
        pair = next(make_pairs(world, number, number + 1))
        rng = np.random.default_rng([world.seed, 2, number])
        captions = _CAPTIONS[kind](rng, pair)
        number += 1
        if captions:
            yield {"image": pair["image"], "caption": captions[0], "negatives": captions[1:], "kind": kind}
            done += 1


def _attribute(rng: np.random.Generator, pair: dict) -> list[str]:
    """Return a true and a false caption of the kind attribute; none where the image has no such objects."""
    shown = [drawn["label"] for drawn in pair["objects"]]
    choices = []
    for first, second in ((a, b) for a in shown for b in shown):
        (color, shape), (second_color, second_shape) = first.split(), second.split()
        swapped = f"{second_color} {shape}", f"{color} {second_shape}"
        if not set(swapped) & set(shown):
            choices.append([f"a {a} and a {b} in the {pair['scene']}" for a, b in ((first, second), swapped)])
    return _random_choice(rng, choices)


def _relation(rng: np.random.Generator, pair: dict) -> list[str]:
    """Return a true and a false caption of the kind relation; none where the boxes decide no relation."""
    choices = []
    for first, second in ((a, b) for a in pair["objects"] for b in pair["objects"]):
        for relation in _relations(first["box"], second["box"]):
            orders = (first["label"], second["label"]), (second["label"], first["label"])
            choices.append([f"a {a} {relation} a {b} in the {pair['scene']}" for a, b in orders])
    return _random_choice(rng, choices)


def _relations(box: list[float], other: list[float]) -> list[str]:
    """Return the relations of a box to another box, along each axis on which they do not overlap."""
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = box, other
    holds = {
        "above": bottom <= other_top,
        "below": top >= other_bottom,
        "left of": right <= other_left,
        "right of": left >= other_right,
    }
    return [relation for relation, true in holds.items() if true]


def _order(rng: np.random.Generator, pair: dict) -> list[str]:
    """Return the caption of a pair, and captions with its words in other orders."""
    words = pair["caption"].split()
    captions = {pair["caption"]: None}
    while len(captions) < 1 + SHUFFLES:
        captions[" ".join(words[i] for i in rng.permutation(len(words)))] = None
    return list(captions)


def _random_choice(rng: np.random.Generator, choices: list[list[str]]) -> list[str]:
    return choices[int(rng.integers(len(choices)))] if choices else []


_CAPTIONS = {"attribute": _attribute, "relation": _relation, "order": _order}
