"""Images for tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded_image(number: int = 0, width: int = 32, height: int = 32, kind: str = "PNG") -> bytes:
    """Return an encoded image of random pixels; the same number gives the same pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()
