"""Drawings of the embedded data: twelve scenes, and sixty objects on a grid."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial

import numpy as np
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

# scene -> colours of the sky at the top and at the horizon, of the ground at the horizon and at the bottom, and a motif
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
SUPERSAMPLING = 2


def as_jpeg(image: Image.Image) -> bytes:
    """Return an image as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()


def draw_scene(
    rng: np.random.Generator, scene: str, labels: list[str], size: int
) -> tuple[Image.Image, list[list[float]]]:
    """Draw a scene with objects.

    Args:
        rng: source of the places and sizes.
        scene: its name.
        labels: of the objects, each a colour and a shape; at most 16.
        size: side of the image, in pixels.

    Returns:
        The image, and the box of every object: ``[left, top, right, bottom]`` in pixels.
    """
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
    """Draw one object through a mask. A light or dark outline makes the object visible on every background."""
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
