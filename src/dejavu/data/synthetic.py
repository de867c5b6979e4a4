"""The embedded data: drawn scenes whose captions can be linked to their other objects only by memory.

A *world* is drawn from the seed: twelve scenes, each with its own preferences among sixty objects (six colours times
ten shapes), and a vocabulary of invented words. A pair is an image of a scene with four to seven different objects,
and a caption that names one or two of them, the scene, and three invented words::

    a red star and a blue ring in the harbor, valo mirebi tanu

The scene makes some objects likely (that is what correlation gives away); the invented words say nothing about the
image, so a model that finds the remaining objects from them remembers the pair.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

COLORS = {
    "red": (214, 48, 49),
    "blue": (30, 96, 210),
    "yellow": (250, 204, 40),
    "purple": (140, 66, 176),
    "white": (248, 248, 244),
    "black": (34, 36, 42),
}
SHAPES = ("star", "ring", "square", "triangle", "heart", "cross", "moon", "arrow", "flower", "disc")
LABELS = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)

# scene: sky at the top, sky at the horizon, ground at the horizon, ground at the bottom, what grows on the horizon
SCENES = {
    "harbor": ((120, 170, 214), (222, 232, 236), (72, 128, 160), (38, 84, 120), "waves"),
    "meadow": ((130, 190, 240), (226, 240, 244), (150, 196, 92), (92, 150, 60), "hills"),
    "desert": ((240, 190, 120), (252, 228, 176), (226, 178, 110), (196, 140, 78), "dunes"),
    "forest": ((150, 196, 186), (206, 224, 204), (88, 122, 72), (52, 84, 52), "trees"),
    "city": ((160, 172, 196), (224, 220, 222), (142, 142, 150), (104, 104, 114), "towers"),
    "glacier": ((150, 186, 226), (232, 242, 250), (214, 230, 242), (170, 200, 224), "peaks"),
    "canyon": ((246, 206, 160), (250, 226, 196), (190, 106, 70), (144, 72, 52), "mesas"),
    "night": ((24, 28, 64), (78, 74, 124), (54, 60, 96), (34, 36, 66), "stars"),
    "orchard": ((178, 214, 230), (242, 240, 220), (170, 186, 96), (128, 146, 66), "bushes"),
    "sunset": ((238, 128, 100), (252, 206, 130), (128, 84, 110), (84, 54, 86), "sun"),
    "lagoon": ((140, 214, 222), (230, 248, 240), (92, 196, 186), (48, 148, 152), "waves"),
    "quarry": ((200, 200, 196), (232, 230, 222), (168, 160, 146), (124, 116, 106), "mesas"),
}

GRID = 4
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
SUPERSAMPLING = 2
# end of the keys of pairs whose captions are another image's
MISCAPTIONED = "-miscaptioned"


@dataclass(frozen=True)
class World:
    """What the pairs of one seed share.

    Attributes:
        seed: the seed it was drawn from.
        preferences: float64 (scenes, objects), the probability of each object in each scene; rows sum to 1.
        words: the invented words.
    """

    seed: int
    preferences: np.ndarray
    words: tuple[str, ...]


def make_world(seed: int) -> World:
    """Draws the scenes' preferences and the invented words of a seed."""
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
    """Yields raw records ``key, image, caption, objects`` of the pairs ``start`` to ``stop - 1``, and their ``scene``.

    A pair depends on the seed and its own number alone. Boxes are ``[left, top, right, bottom]`` in pixels. Of several
    captions the first is the one that there would be alone, and ``caption`` is their list. A share ``miscaptioned`` of
    the pairs has the captions of another scene with other objects; their keys end in ``-miscaptioned``.
    """
    for number in range(start, stop):
        rng = np.random.default_rng([world.seed, 1, number])
        scene, chosen = _content(rng, world)
        image, boxes = _draw(rng, list(SCENES)[scene], [LABELS[i] for i in chosen], size)
        texts = _captions(rng, world, list(SCENES)[scene], [LABELS[i] for i in chosen], captions)
        key = f"{world.seed}-{number:08d}"
        if miscaptioned and np.random.default_rng([world.seed, 2, number]).random() < miscaptioned:
            other = np.random.default_rng([world.seed, 3, number])
            other_scene, others = _content(other, world)
            texts = _captions(other, world, list(SCENES)[other_scene], [LABELS[i] for i in others], captions)
            key += MISCAPTIONED
        yield {
            "key": key,
            "image": _jpeg(image),
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
    """The columns of a raw file whose images have so many captions."""
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
    """Captions that name the same objects and the scene, each in another way and with invented words of its own."""
    named = " and ".join(f"a {label}" for label in labels[: int(rng.integers(1, 3))])
    texts = []
    for i in range(number):
        words = " ".join(world.words[i] for i in rng.choice(len(world.words), size=WORDS_PER_CAPTION, replace=False))
        texts.append(WORDINGS[i % len(WORDINGS)].format(named=named, scene=scene, words=words))
    return texts


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()


def _draw(rng: np.random.Generator, scene: str, labels: list[str], size: int) -> tuple[Image.Image, list[list[float]]]:
    canvas = size * SUPERSAMPLING
    image = _background(rng, scene, canvas)
    cell = canvas / GRID
    boxes = []
    for label, place in zip(labels, rng.choice(GRID * GRID, size=len(labels), replace=False), strict=True):
        radius = cell * rng.uniform(0.36, 0.46)
        slack = cell / 2 - radius
        x = (place % GRID + 0.5) * cell + rng.uniform(-slack, slack)
        y = (place // GRID + 0.5) * cell + rng.uniform(-slack, slack)
        color, shape = label.split()
        _draw_shape(image, shape, COLORS[color], x, y, radius)
        boxes.append([round(float(v) / SUPERSAMPLING, 2) for v in (x - radius, y - radius, x + radius, y + radius)])
    return image.resize((size, size), Image.Resampling.BOX), boxes


def _gradient(top: tuple, bottom: tuple, height: int) -> np.ndarray:
    share = np.linspace(0, 1, max(height, 1))[:, None]
    return (1 - share) * np.array(top) + share * np.array(bottom)


def _background(rng: np.random.Generator, scene: str, canvas: int) -> Image.Image:
    sky_top, sky_low, ground_high, ground_low, motif = SCENES[scene]
    horizon = int(canvas * rng.uniform(0.42, 0.6))
    column = np.concatenate(
        [_gradient(sky_top, sky_low, horizon), _gradient(ground_high, ground_low, canvas - horizon)]
    )
    image = Image.fromarray(np.repeat(column[:, None].astype(np.uint8), canvas, axis=1))
    draw = ImageDraw.Draw(image)
    shade = tuple(int(0.8 * a + 0.2 * b) for a, b in zip(ground_high, sky_low, strict=True))
    light = tuple(int(0.6 * a + 0.4 * 255) for a in ground_high)
    _MOTIFS[motif](draw, rng, canvas, horizon, shade, light)
    return image


def _ridge(draw, rng, canvas, horizon, shade, _light, height=0.12, steps=5, flat=False):
    xs = np.linspace(0, canvas, steps + 1)
    tops = horizon - canvas * rng.uniform(0.2, 1.0, size=steps + 1) * height
    points = [(0.0, float(horizon))]
    for i, (x, y) in enumerate(zip(xs, tops, strict=True)):
        if flat and i:
            points.append((float(x), float(tops[i - 1])))
        points.append((float(x), float(y)))
    draw.polygon([*points, (canvas, horizon)], fill=shade)


def _bumps(draw, rng, canvas, horizon, shade, _light, radius=0.1, count=9, trunk=False):
    for x in np.linspace(0, canvas, count):
        r = canvas * radius * rng.uniform(0.6, 1.1)
        x = x + rng.uniform(-r, r) / 2
        if trunk:
            draw.polygon([(x - r * 0.7, horizon + 2), (x + r * 0.7, horizon + 2), (x, horizon - 2.4 * r)], fill=shade)
        else:
            draw.pieslice((x - r, horizon - r, x + r, horizon + r), 180, 360, fill=shade)


def _waves(draw, rng, canvas, horizon, _shade, light):
    for _ in range(14):
        y = horizon + (canvas - horizon) * rng.uniform(0.05, 0.95)
        x, length = canvas * rng.uniform(0, 0.9), canvas * rng.uniform(0.06, 0.16)
        draw.line((x, y, x + length, y), fill=light, width=max(1, canvas // 128))


def _stars(draw, rng, canvas, horizon, shade, light):
    for _ in range(30):
        x, y, r = canvas * rng.uniform(), horizon * rng.uniform(), canvas / 220
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(235, 235, 220))
    _ridge(draw, rng, canvas, horizon, shade, light, height=0.08, steps=7)


def _sun(draw, rng, canvas, horizon, shade, light):
    x, r = canvas * rng.uniform(0.2, 0.8), canvas * 0.12
    draw.pieslice((x - r, horizon - r, x + r, horizon + r), 180, 360, fill=(255, 236, 170))
    _waves(draw, rng, canvas, horizon, shade, light)


_MOTIFS: dict[str, Callable[..., None]] = {
    "waves": _waves,
    "hills": partial(_bumps, radius=0.16, count=5),
    "dunes": partial(_ridge, height=0.08, steps=4),
    "trees": partial(_bumps, radius=0.06, count=12, trunk=True),
    "towers": partial(_ridge, height=0.22, steps=11, flat=True),
    "peaks": partial(_ridge, height=0.28, steps=6),
    "mesas": partial(_ridge, height=0.16, steps=6, flat=True),
    "stars": _stars,
    "bushes": partial(_bumps, radius=0.06, count=10),
    "sun": _sun,
}


def _polygon(x: float, y: float, radius: float, corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x + radius * u, y + radius * v) for u, v in corners]


def _star_corners(points: int, inner: float) -> list[tuple[float, float]]:
    corners = []
    for i in range(2 * points):
        r, angle = (1.0 if i % 2 == 0 else inner), math.pi * i / points - math.pi / 2
        corners.append((r * math.cos(angle), r * math.sin(angle)))
    return corners


def _heart_corners() -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * math.pi, 40)
    xs = np.sin(angles) ** 3
    ys = -(13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)) / 16
    return [(float(u), float(v)) for u, v in zip(xs, ys, strict=True)]


_CORNERS = {
    "star": _star_corners(5, 0.42),
    "square": [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)],
    "triangle": [(0, -0.95), (0.95, 0.8), (-0.95, 0.8)],
    "heart": _heart_corners(),
    "cross": [
        (-0.32, -0.95), (0.32, -0.95), (0.32, -0.32), (0.95, -0.32), (0.95, 0.32), (0.32, 0.32),
        (0.32, 0.95), (-0.32, 0.95), (-0.32, 0.32), (-0.95, 0.32), (-0.95, -0.32), (-0.32, -0.32),
    ],
    "arrow": [(-0.95, -0.3), (0.1, -0.3), (0.1, -0.85), (0.95, 0), (0.1, 0.85), (0.1, 0.3), (-0.95, 0.3)],
}  # fmt: skip


def _draw_shape(image: Image.Image, shape: str, color: tuple, x: float, y: float, radius: float) -> None:
    """Draws one object through a mask, with a dark outline so that it stands out on every background."""
    box_size = int(2 * radius) + 6
    mask = Image.new("L", (box_size, box_size), 0)
    draw = ImageDraw.Draw(mask)
    c = box_size / 2
    if shape in _CORNERS:
        draw.polygon(_polygon(c, c, radius, _CORNERS[shape]), fill=255)
    elif shape == "flower":
        for i in range(5):
            px, py, pr = (
                c + 0.55 * radius * math.cos(i * 1.2566),
                c + 0.55 * radius * math.sin(i * 1.2566),
                0.42 * radius,
            )
            draw.ellipse((px - pr, py - pr, px + pr, py + pr), fill=255)
        draw.ellipse((c - 0.25 * radius, c - 0.25 * radius, c + 0.25 * radius, c + 0.25 * radius), fill=0)
    else:
        draw.ellipse((c - radius, c - radius, c + radius, c + radius), fill=255)
        if shape == "ring":
            draw.ellipse((c - 0.5 * radius, c - 0.5 * radius, c + 0.5 * radius, c + 0.5 * radius), fill=0)
        elif shape == "moon":
            draw.ellipse((c - 0.3 * radius, c - 1.0 * radius, c + 1.4 * radius, c + 0.7 * radius), fill=0)
    edge = (60, 60, 66) if sum(color) > 200 else (226, 226, 230)
    left, top = int(x - c), int(y - c)
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        image.paste(edge, (left + dx, top + dy), mask)
    image.paste(color, (left, top), mask)
