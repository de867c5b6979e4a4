"""Near images: perceptual hashes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.harness.raw_forms import encoded

from dejavu.data import near
from dejavu.data.images import decode_rgb
from dejavu.data.near import near_pairs, perceptual_hashes, thumbnail
from dejavu.data.synthetic import make_pairs, make_world


@pytest.fixture(scope="module")
def scenes() -> list[dict]:
    """Drawn pairs; there are twelve kinds of background, so many share one."""
    return list(make_pairs(make_world(0), 0, 600))


def test_pairs_of_near_hashes_are_those_of_comparing_all(monkeypatch):
    monkeypatch.setattr(near, "PAIRS_AT_ONCE", 50)
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 2**64, 30, dtype=np.uint64)
    flips = rng.random((30, 20, 64)) < rng.uniform(0, 0.12, (30, 20, 1))
    masks = np.packbits(flips, axis=2).view(np.uint64)[:, :, 0]
    hashes = np.unique(centers[:, None] ^ masks)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    for distance in (0, 1, 2, 4, 7, 12):
        expected = {(i, j) for i, j in np.argwhere(apart <= distance).tolist() if i < j}
        found: set[tuple[int, int]] = set()
        for one, other in near_pairs(hashes, distance):
            assert len(one) <= 50 + len(hashes)
            found |= {(min(p), max(p)) for p in zip(one.tolist(), other.tolist(), strict=True)}
        assert found == expected, distance


def test_an_image_scaled_brightened_or_encoded_with_loss_has_a_near_hash(scenes):
    for pair in scenes[:40]:
        image = decode_rgb(pair["image"])
        versions = [
            image,
            image.resize((96, 96), Image.Resampling.BICUBIC),
            ImageEnhance.Brightness(image).enhance(0.85),
            decode_rgb(encoded(image, "JPEG", quality=60)),
        ]
        hashes, known = perceptual_hashes(np.stack([thumbnail(version) for version in versions]))
        assert known.all()
        assert np.bitwise_count(hashes ^ hashes[0]).max() <= 4
