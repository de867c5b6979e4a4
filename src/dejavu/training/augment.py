"""Image augmentation: a new random view of a training image at every epoch."""

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
    """The random changes to an image, in the order of the attributes; the defaults change nothing.

    Attributes:
        crop_scale: lowest and highest share of the image's area in a random crop. The crop's aspect ratio is between
            3/4 and 4/3, as in OpenCLIP's training transform (torchvision's ``RandomResizedCrop``). None: the central
            square.
        flip: probability of a horizontal flip.
        color_jitter: strength s in [0, 1] of a random change of brightness, contrast and saturation (factors within
            0.8 s of 1) and hue (a shift of at most 0.2 s of the colour circle), in random order, with probability 0.8,
            as in SimCLR (arXiv 2002.05709).
        gray_scale: probability that the image becomes grey.
    """

    crop_scale: Sequence[float] | None = None
    flip: float = 0.0
    color_jitter: float = 0.0
    gray_scale: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe) -> Augmentation:
        """Return the augmentation of a recipe."""
        scale = None if recipe.crop_scale is None else (recipe.crop_scale[0], recipe.crop_scale[1])
        return cls(scale, recipe.flip, recipe.color_jitter, recipe.gray_scale)

    def __bool__(self) -> bool:
        return self != Augmentation()

    def __call__(self, image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return a view of an RGB image, uint8 (size, size, 3); ``rng`` is the only source of randomness."""
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
    """Draw a crop as torchvision's ``RandomResizedCrop`` does; that class takes no random generator.

    Args:
        size: width and height of the image.
        scale: lowest and highest share of the image's area.
        rng: source of the draws.

    Returns:
        Left, top, width and height of a crop with random place, area and aspect ratio: the first of ten draws that fits
        into the image, or the largest central crop with an allowed aspect ratio when none fits.
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
