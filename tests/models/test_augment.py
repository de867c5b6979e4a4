"""Image augmentation: what is cut out and changed, how often, and that nothing else decides it than the generator."""

from __future__ import annotations

import colorsys
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from dejavu.data.images import to_square
from dejavu.training.augment import Augmentation, random_crop


def image(width: int = 60, height: int = 40) -> Image.Image:
    """Red tells how far right a pixel is, green how far down."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


def views(number: int, shown: Image.Image | None = None, size: int = 16, **options) -> np.ndarray:
    augmentation, shown = Augmentation(**options), shown or image()
    return np.stack([augmentation(shown, size, np.random.default_rng(i)) for i in range(number)])


def flat(color: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (20, 20), color)


def test_without_anything_asked_for_the_image_is_the_one_that_is_embedded():
    assert not Augmentation()
    assert Augmentation(flip=0.1)
    assert np.array_equal(views(1)[0], to_square(image(), 16))


def test_a_crop_has_the_area_and_the_ratio_asked_for_and_lies_in_the_image():
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(1500):
        left, top, width, height = random_crop((600, 400), (0.3, 0.5), rng)
        assert 0 <= left <= left + width <= 600
        assert 0 <= top <= top + height <= 400
        assert 0.295 < width * height / (600 * 400) < 0.505
        assert 0.74 < width / height < 1.345
        ratios.append(width / height)
    # wide crops are as likely as high crops
    assert np.log(ratios).mean() == pytest.approx(0, abs=0.015)


@pytest.mark.parametrize(("size", "scale"), [((60, 40), (0.2, 0.9)), ((64, 64), (0.9, 1.0)), ((300, 20), (0.5, 1.0))])
def test_crops_are_distributed_as_torchvision_s(size, scale):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    empty = Image.new("RGB", size)
    ours = np.array([random_crop(size, scale, rng) for _ in range(2000)])
    theirs = np.array([RandomResizedCrop.get_params(empty, scale, (3 / 4, 4 / 3)) for _ in range(2000)])
    theirs = theirs[:, [1, 0, 3, 2]]
    for mine, other in zip(ours.T, theirs.T, strict=True):
        assert mine.mean() == pytest.approx(other.mean(), abs=0.02 * max(size))
        assert mine.std() == pytest.approx(other.std(), abs=0.02 * max(size))


def test_what_is_shown_is_the_crop_scaled_and_crops_reach_beyond_the_central_square():
    found = views(200, crop_scale=(0.25, 0.25)).astype(float)
    # the ramps of colour tell how much of the image a crop shows
    width = (found[:, :, -1, 0] - found[:, :, 0, 0]).mean(1) / 255 * 16 / 15
    height = (found[:, -1, :, 1] - found[:, 0, :, 1]).mean(1) / 255 * 16 / 15
    assert width * height == pytest.approx(0.25, abs=0.04)
    assert np.ptp(width / height) > 0.3
    # the central square lies between a sixth and five sixths of the width
    assert found[..., 0].min() < 15
    assert found[..., 0].max() > 240


def test_images_are_flipped_as_often_as_asked():
    plain = to_square(image(), 16)
    found = views(400, flip=0.3)
    flipped = np.array([np.array_equal(view, plain[:, ::-1]) for view in found])
    assert all(np.array_equal(view, plain) for view in found[~flipped])
    assert flipped.mean() == pytest.approx(0.3, abs=0.07)


def test_colours_are_taken_away_as_often_as_asked():
    found = views(400, gray_scale=0.3)
    gray = np.ptp(found, axis=3).max(axis=(1, 2)) == 0
    assert gray.mean() == pytest.approx(0.3, abs=0.07)
    assert all(np.array_equal(view, to_square(image(), 16)) for view in found[~gray])


def test_brightness_changes_within_the_strength_four_times_in_five():
    # an image of one gray has no contrast, saturation or hue to change
    found = views(500, flat((100, 100, 100)), color_jitter=0.5)[:, 0, 0, 0]
    assert found.min() == pytest.approx(60, abs=3)
    assert found.max() == pytest.approx(140, abs=3)
    assert (found != 100).mean() == pytest.approx(0.8, abs=0.06)


def test_the_hue_shifts_within_the_strength():
    found = views(300, flat((40, 120, 120)), color_jitter=1.0)[:, 0, 0] / 255
    hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in found if np.ptp(pixel) > 0.1])
    assert hues.min() == pytest.approx(0.3, abs=0.03)
    assert hues.max() == pytest.approx(0.7, abs=0.03)


def test_contrast_and_saturation_change():
    found = views(100, color_jitter=0.5)
    contrast = found.astype(float).std(axis=(1, 2)).mean(axis=1)
    assert contrast.max() > 1.2 * contrast.min()
    spread = np.ptp(views(100, flat((100, 100, 60)), color_jitter=0.5)[:, 0, 0].astype(int), axis=1)
    assert spread.max() > 1.5 * spread.min()


def random_states() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_generator_alone_decides_and_global_random_states_are_left_alone():
    options = {"crop_scale": (0.3, 0.9), "flip": 0.5, "color_jitter": 1.0, "gray_scale": 0.2}
    one = views(20, **options)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random_states()
    assert np.array_equal(views(20, **options), one)
    assert random_states() == before
    assert len({view.tobytes() for view in one}) == 20
