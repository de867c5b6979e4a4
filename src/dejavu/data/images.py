"""Decoding of untrusted images: format and size are checked before any pixel is decoded."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
JPEG_QUALITY = 95
# pixels; libjpeg refuses a longer side than 65,500
LONGEST_JPEG = 65_500


class Unusable(Exception):
    """A pair cannot be used. Equal causes have equal texts in ``reason``; ``detail`` describes this case."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class BadImage(Unusable):
    """An image cannot be used."""


def open_image(data: bytes) -> Image.Image:
    """Read the header of an encoded image, and check its format and size without decoding any pixel.

    Raises:
        BadImage: when the image has none of :data:`FORMATS`, or more than :data:`MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and raises an error for very large ones. MAX_PIXELS is checked below.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImage("image has too many pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise BadImage("image cannot be decoded", f"not an image in {', '.join(FORMATS)}") from error
    except Exception as error:
        if (bare := without_texts(data)) is not None:
            return open_image(bare)
        raise BadImage("image cannot be decoded", str(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImage("image has too many pixels", f"{image.width} x {image.height}")
    return image


# Chunks of a PNG with texts and colour profiles. If one of them is too large, Pillow refuses the whole file.
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_PNG = b"\x89PNG\r\n\x1a\n"


def without_texts(data: bytes) -> bytes | None:
    """Return a PNG without its texts and colour profile; None for another format, or if nothing is to be removed."""
    if not data.startswith(_PNG):
        return None
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in _TEXTS:
            kept.append(data[at:end])
        at = end
    bare = b"".join(kept)
    return bare if len(bare) < len(data) else None


def decode_rgb(data: bytes) -> Image.Image:
    """Decode an encoded image to RGB, rotated upright by its EXIF orientation, on a white background.

    Only the first frame of an animation is used, and only the upper eight of 16 bits. The result has pixels only, no
    profile, text or comment. If those are damaged, the pixels are decoded all the same.

    Raises:
        BadImage: for the same reasons as :func:`open_image`, and when the pixels cannot be decoded.
    """
    image = open_image(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            image = _rgb(_upright(image))
    except Exception as error:
        # Pillow also reads the texts that follow the pixels, and one of these may be the reason of the error.
        if (bare := without_texts(data)) is not None:
            return decode_rgb(bare)
        raise BadImage("image cannot be decoded", str(error)) from error
    image.info = {}
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises many kinds of exceptions for damaged metadata; the image then stays as it is.
        turn = None
    return image if turn is None else image.transpose(turn)


# EXIF orientation -> the transformation that makes the image upright
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _upper_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _upper_bits(image: Image.Image) -> Image.Image:
    """Convert grey of 16 bits to grey of 8 bits. Pillow's own conversion would turn every value above 255 white."""
    return Image.fromarray((np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8))


def shrink(image: Image.Image, short_side: int) -> tuple[bytes, tuple[int, int]]:
    """Scale an image down so that its short side has ``short_side`` pixels.

    Returns:
        The scaled image as JPEG without metadata, the same bytes for the same pixels; and its (width, height).

    Raises:
        BadImage: when the long side of the scaled image exceeds :data:`LONGEST_JPEG` pixels.
    """
    scale = short_side / min(image.size)
    size = (max(short_side, round(image.width * scale)), max(short_side, round(image.height * scale)))
    if max(size) > LONGEST_JPEG:
        raise BadImage("image is too long", f"{image.width} x {image.height}")
    buffer = io.BytesIO()
    small = image.resize(size, Image.Resampling.BICUBIC)
    small.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue(), size


def to_square(image: Image.Image, size: int) -> np.ndarray:
    """Return the central square of an RGB image, scaled to a side of ``size`` pixels; uint8 (size, size, 3)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box), dtype=np.uint8)
