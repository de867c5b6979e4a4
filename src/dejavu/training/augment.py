"""Image augmentation: another view of a training image every time it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torchvision.transforms import functional

from dejavu.data.images import to_square
from dejavu.training.recipe import Recipe

RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10
COLOR_PROBABILITY = 0.8


@dataclass(frozen=True)
class Augmentation:
    """What is changed, in this order; the defaults change nothing.

    Attributes:
        crop_scale: share of the image's area that a random crop has, from lowest to highest, its ratio of sides
            between 3/4 and 4/3, as in OpenCLIP's training transform (torchvision's ``RandomResizedCrop``); None: the
            central square.
        flip: probability that left and right change places.
        color_jitter: strength s in [0, 1] of a random change of brightness, contrast and saturation (factors within
            0.8 s of 1) and hue (a shift of at most 0.2 s of the circle), in random order, with probability 0.8, as in
            SimCLR (arXiv 2002.05709).
        gray_scale: probability that the colours are taken away.
    """

    crop_scale: Sequence[float] | None = None
    flip: float = 0.0
    color_jitter: float = 0.0
    gray_scale: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe) -> Augmentation:
        """Return what a recipe says."""
        scale = None if recipe.crop_scale is None else (recipe.crop_scale[0], recipe.crop_scale[1])
        return cls(scale, recipe.flip, recipe.color_jitter, recipe.gray_scale)

    def __bool__(self) -> bool:
        return self != Augmentation()

    def __call__(self, image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
        """A view of an RGB image as uint8 (size, size, 3); all that is random comes from ``rng``."""
        view = self._square(image, size, rng)
        if rng.random() < self.flip:
            view = functional.hflip(view)
        if self.color_jitter and rng.random() < COLOR_PROBABILITY:
            view = _jitter(view, self.color_jitter, rng)
        if rng.random() < self.gray_scale:
            view = functional.to_grayscale(view, num_output_channels=3)
        return np.asarray(view)

    def _square(self, image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
        if self.crop_scale is None:
            return Image.fromarray(to_square(image, size))
        left, top, width, height = random_crop(image.size, self.crop_scale, rng)
        bicubic = functional.InterpolationMode.BICUBIC
        return functional.resized_crop(image, top, left, height, width, [size, size], bicubic)


def random_crop(size: tuple[int, int], scale: Sequence[float], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draws a crop as torchvision's ``RandomResizedCrop`` does, which itself cannot be given a generator.

    Args:
        size: width and height of the image.
        scale: lowest and highest share of its area.
        rng: where the draws come from.

    Returns:
        Left, top, width and height of a random place, area and ratio of sides; of ten that are drawn the first that
        fits in, or, when none does, the largest central crop with a ratio that is allowed.
    """
    width, height = size
    for _ in range(ATTEMPTS):
        area = width * height * rng.uniform(scale[0], scale[1])
        ratio = math.exp(rng.uniform(*np.log(RATIO)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
    ratio = min(max(width / height, RATIO[0]), RATIO[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (width - w) // 2, (height - h) // 2, max(1, w), max(1, h)


def _jitter(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    changes = [(change, rng.uniform(1 - 0.8 * strength, 1 + 0.8 * strength)) for change in _FACTORS]
    changes.append((functional.adjust_hue, rng.uniform(-0.2 * strength, 0.2 * strength)))
    for step in rng.permutation(len(changes)):
        change, amount = changes[step]
        image = change(image, amount)
    return image


_FACTORS = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
