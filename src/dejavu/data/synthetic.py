"""Embedded data: drawn images of scenes, with captions whose unnamed objects a model can know only from memory.

A *world* is drawn from a seed: twelve scenes, each with its own probabilities of sixty objects (six colours times ten
shapes), and a vocabulary of invented words. A pair is an image of a scene with four to seven different objects, and a
caption with one or two of the objects, the scene and three invented words::

    a red star and a blue ring in the harbor, valo mirebi tanu

The scene makes some objects likely, which is the correlation in the data. The invented words are independent of the
image. So a model that predicts the unnamed objects better than the scene allows remembers the pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dejavu.data.scenes import LABELS, SCENES, as_jpeg, draw_scene

OBJECTS_PER_IMAGE = (4, 7)
INVENTED_WORDS = 2000
WORDS_PER_CAPTION = 3
WORDINGS = (
    "{named} in the {scene}, {words}",
    "{words}: the {scene} with {named}",
    "a picture of the {scene}, {words}, that shows {named}",
    "{named} and {words} seen at the {scene}",
    "the {scene}, {named}, {words}",
)
SCENE_CONCENTRATION = 0.25
SCENE_SHARE = 0.5
# end of the keys of pairs whose captions are another image's
MISCAPTIONED = "-miscaptioned"


@dataclass(frozen=True)
class World:
    """The world that the pairs of one seed share.

    Attributes:
        seed: the seed that the world was drawn from.
        preferences: float64 (scenes, objects), probability of each object in each scene; each row sums to 1.
        words: the invented words.
    """

    seed: int
    preferences: np.ndarray
    words: tuple[str, ...]


def make_world(seed: int) -> World:
    """Draw the probabilities of objects and the invented words from a seed."""
    rng = np.random.default_rng([seed, 0])
    own = rng.dirichlet(np.full(len(LABELS), SCENE_CONCENTRATION), size=len(SCENES))
    preferences = SCENE_SHARE * own + (1 - SCENE_SHARE) / len(LABELS)
    words: dict[str, None] = {}
    while len(words) < INVENTED_WORDS:
        syllables = rng.integers(2, 4)
        words["".join(rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(syllables))] = None
    return World(seed, preferences, tuple(words))


def make_pairs(
    world: World, start: int, stop: int, size: int = 128, captions: int = 1, miscaptioned: float = 0.0
) -> Iterator[dict]:
    """Yield the pairs with numbers ``start`` to ``stop - 1``, as records ``key, image, caption, objects, scene``.

    A pair depends only on the seed and its own number. Boxes are ``[left, top, right, bottom]`` in pixels.

    Args:
        world: the world.
        start, stop: half-open range of pair numbers.
        size: side of the images, in pixels.
        captions: number per image. If it is 1, ``caption`` is a text; else it is a list whose first text is the same.
        miscaptioned: share of the pairs with the captions of another scene and other objects; their keys end in
            ``-miscaptioned``.
    """
    for number in range(start, stop):
        rng = np.random.default_rng([world.seed, 1, number])
        scene, chosen = _content(rng, world)
        image, boxes = draw_scene(rng, list(SCENES)[scene], [LABELS[i] for i in chosen], size)
        texts = _captions(rng, world, list(SCENES)[scene], [LABELS[i] for i in chosen], captions)
        key = f"{world.seed}-{number:08d}"
        if miscaptioned and np.random.default_rng([world.seed, 2, number]).random() < miscaptioned:
            other = np.random.default_rng([world.seed, 3, number])
            other_scene, others = _content(other, world)
            texts = _captions(other, world, list(SCENES)[other_scene], [LABELS[i] for i in others], captions)
            key += MISCAPTIONED
        yield {
            "key": key,
            "image": as_jpeg(image),
            "caption": texts[0] if captions == 1 else texts,
            "objects": [{"label": LABELS[i], "score": 1.0, "box": box} for i, box in zip(chosen, boxes, strict=True)],
            "scene": list(SCENES)[scene],
        }


def _content(rng: np.random.Generator, world: World) -> tuple[int, np.ndarray]:
    """Draw the number of a scene, and the numbers of the objects in it."""
    scene = int(rng.integers(len(SCENES)))
    count = int(rng.integers(OBJECTS_PER_IMAGE[0], OBJECTS_PER_IMAGE[1] + 1))
    return scene, rng.choice(len(LABELS), size=count, replace=False, p=world.preferences[scene])


def raw_schema(captions: int = 1) -> pa.Schema:
    """Return the schema of a raw file whose images have this number of captions."""
    box = pa.list_(pa.float32(), 4)
    return pa.schema(
        [
            ("key", pa.string()),
            ("image", pa.binary()),
            ("caption", pa.string() if captions == 1 else pa.list_(pa.string())),
            ("objects", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", box)]))),
        ]
    )


def _captions(rng: np.random.Generator, world: World, scene: str, labels: list[str], number: int) -> list[str]:
    """Return captions with the same objects and scene, each in another wording and with its own invented words."""
    named = " and ".join(f"a {label}" for label in labels[: int(rng.integers(1, 3))])
    texts = []
    for i in range(number):
        words = " ".join(world.words[i] for i in rng.choice(len(world.words), size=WORDS_PER_CAPTION, replace=False))
        texts.append(WORDINGS[i % len(WORDINGS)].format(named=named, scene=scene, words=words))
    return texts
