"""Evaluation sets from the world of an embedded dataset, of images that belong to nobody's training.

Their pairs are drawn as the dataset's own are, with numbers that no dataset reaches: the same scenes and objects, other
images. The files have the form of any other benchmark, see :mod:`dejavu.data.benchmarks`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dejavu.data.synthetic import LABELS, World, make_pairs

# the first pair number of each set
FIRST = {"train": 1 << 40, "test": 2 << 40, "compositional": 3 << 40}
KINDS = ("attribute", "relation", "order")
SHUFFLES = 4

# in the style of the captions; over all objects, so that a class is what they have in common, the scene
TEMPLATES = tuple(f"a {label} in the {{}}" for label in LABELS)


def draw_labelled(world: World, name: str, count: int) -> Iterator[dict]:
    """Yields ``count`` images of a set, ``train`` or ``test``, with two labels, schema ``LABELLED``.

    The label is the scene, which a linear probe reads out of random features; the colour of the lowest object is not
    so easily told.
    """
    for pair in make_pairs(world, FIRST[name], FIRST[name] + count):
        lowest = max(pair["objects"], key=lambda found: found["box"][3])
        yield {"image": pair["image"], "label": pair["scene"], "color": lowest["label"].split()[0]}


def draw_compositional(world: World, count: int) -> Iterator[dict]:
    """Yields ``count`` images with a true caption and false ones, schema ``COMPOSITIONAL``, of the kinds in turn.

    The false captions hold the same words as the true one, in the manner of ARO (arXiv 2210.01936):

    - attribute: the colours of two objects are exchanged; the image shows neither object of the false caption.
    - relation: two objects change places in "above", "below", "left of" or "right of", which their boxes decide.
    - order: the words of the pair's own caption are shuffled, in :data:`SHUFFLES` ways.

    An image that has no such objects is passed over for the next.
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
    shown = [found["label"] for found in pair["objects"]]
    found = []
    for one, other in ((a, b) for a in shown for b in shown):
        (color, shape), (other_color, other_shape) = one.split(), other.split()
        swapped = f"{other_color} {shape}", f"{color} {other_shape}"
        if not set(swapped) & set(shown):
            found.append([f"a {a} and a {b} in the {pair['scene']}" for a, b in ((one, other), swapped)])
    return _one_of(rng, found)


def _relation(rng: np.random.Generator, pair: dict) -> list[str]:
    found = []
    for one, other in ((a, b) for a in pair["objects"] for b in pair["objects"]):
        for relation in _relations(one["box"], other["box"]):
            places = (one["label"], other["label"]), (other["label"], one["label"])
            found.append([f"a {a} {relation} a {b} in the {pair['scene']}" for a, b in places])
    return _one_of(rng, found)


def _relations(one: list[float], other: list[float]) -> list[str]:
    """How one box lies to another, where they do not overlap along an axis."""
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = one, other
    holds = {
        "above": bottom <= other_top,
        "below": top >= other_bottom,
        "left of": right <= other_left,
        "right of": left >= other_right,
    }
    return [relation for relation, true in holds.items() if true]


def _order(rng: np.random.Generator, pair: dict) -> list[str]:
    words = pair["caption"].split()
    captions = {pair["caption"]: None}
    while len(captions) < 1 + SHUFFLES:
        captions[" ".join(words[i] for i in rng.permutation(len(words)))] = None
    return list(captions)


def _one_of(rng: np.random.Generator, found: list[list[str]]) -> list[str]:
    return found[int(rng.integers(len(found)))] if found else []


_CAPTIONS = {"attribute": _attribute, "relation": _relation, "order": _order}
