"""Images: every mode and size, metadata that is not the picture, limits that hold before anything is decoded."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.harness.pictures import png_header
from tests.harness.raw_forms import Form, encoded, ingest

from dejavu.data.images import BadImage, decode_rgb, open_image, to_square
from dejavu.data.ingest import Ingestion
from dejavu.data.raw import Columns


def one_image(folder: Path, data: bytes, **how: object) -> tuple[dict | None, str | None]:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"image": [data], "caption": ["a dog"]}), folder / "raw.parquet")
    samples, quarantine = ingest(Form(folder / "raw.parquet", Columns("image", "caption"), Ingestion(**how)), folder)
    return (samples or [None])[0], (quarantine or [{"reason": None}])[0]["reason"]


GREY_16 = np.full((6, 8), 0x8000, dtype=np.uint16)
MODES = {
    "grey": (Image.new("L", (8, 6), 128), "PNG", (128, 128, 128)),
    "grey with alpha": (Image.new("LA", (8, 6), (0, 0)), "PNG", (255, 255, 255)),
    "palette": (Image.new("RGB", (8, 6), (255, 0, 0)).quantize(4), "PNG", (255, 0, 0)),
    "alpha": (Image.new("RGBA", (8, 6), (0, 0, 255, 0)), "WEBP", (255, 255, 255)),
    "black and white": (Image.new("1", (8, 6), 1), "PNG", (255, 255, 255)),
    "cmyk": (Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
    "16 bits": (Image.fromarray(GREY_16), "PNG", (128, 128, 128)),
}


@pytest.mark.parametrize("name", MODES)
def test_images_of_every_mode_become_rgb(tmp_path, name):
    image, kind, color = MODES[name]
    sample, _ = one_image(tmp_path, encoded(image, kind))
    assert sample is not None
    assert (sample["width"], sample["height"]) == (8, 6)
    assert np.abs(np.asarray(decode_rgb(sample["image"])).astype(int) - color).max() <= 3


def test_an_image_is_shrunk_only_when_its_short_side_is_larger(tmp_path, picture):
    large, small = picture(1, 90, 60), picture(2, 200, 30)
    sample, _ = one_image(tmp_path / "large", large, store="shrink", short_side=30)
    assert (sample["width"], sample["height"]) == (45, 30)
    assert decode_rgb(sample["image"]).size == (45, 30)
    again, _ = one_image(tmp_path / "again", large, store="shrink", short_side=30)
    assert again["image"] == sample["image"]
    kept, _ = one_image(tmp_path / "small", small, store="shrink", short_side=30)
    assert kept["image"] == small
    copied, _ = one_image(tmp_path / "copy", large)
    assert copied["uid"] == sample["uid"]


def test_a_shrunk_image_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)
    sample, _ = one_image(tmp_path, data, store="shrink", short_side=20)
    assert (sample["width"], sample["height"]) == (20, 30)
    assert Image.open(io.BytesIO(sample["image"])).size == (20, 30)


def test_an_image_below_the_smallest_side_is_set_aside(tmp_path, picture):
    assert one_image(tmp_path / "a", picture(0, 40, 15), min_side=16)[1] == "image is too small"
    assert one_image(tmp_path / "b", picture(0, 40, 16), min_side=16)[0] is not None


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8))


def png_texts(*texts: str, zip_: bool = True) -> PngInfo:
    info = PngInfo()
    for number, text in enumerate(texts):
        info.add_itxt(f"text {number}", text, zip=zip_)
    return info


def with_exif(exif: bytes) -> bytes:
    return encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + exif)


METADATA = {
    "a large colour profile": lambda: encoded(PICTURE, "PNG", icc_profile=b"\0" * 1_500_000),
    "a large text": lambda: encoded(PICTURE, "PNG", pnginfo=png_texts("<x/>" * 300_000)),
    "many texts": lambda: encoded(PICTURE, "PNG", pnginfo=png_texts(*["y" * 1_000_000] * 70)),
    "a large text behind the pixels": lambda: text_behind(encoded(PICTURE, "PNG")),
    "EXIF that is cut": lambda: with_exif(b"MM\0*\0\0\0\x08\0\xff\x01\x12"),
    "EXIF that is nonsense": lambda: with_exif(b"nonsense"),
    "EXIF of a text where a number is expected": lambda: with_exif(
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0"
    ),
    "a comment": lambda: encoded(PICTURE, "JPEG", comment="taken by somebody"),
    "a damaged profile": lambda: encoded(PICTURE, "JPEG", icc_profile=b"nonsense"),
}


def text_behind(data: bytes) -> bytes:
    chunk = b"zTXt" + b"k\0\0" + zlib.compress(b"y" * 3_000_000)
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    end = data.index(b"IEND") - 4
    return data[:end] + (len(chunk) - 4).to_bytes(4, "big") + chunk + crc + data[end:]


@pytest.mark.parametrize("kind", METADATA)
def test_a_picture_is_not_lost_for_what_is_not_the_picture(tmp_path, kind):
    data = METADATA[kind]()
    sample, reason = one_image(tmp_path, data)
    assert sample is not None, reason
    pixels = np.asarray(decode_rgb(sample["image"]))
    lossless = data.startswith(b"\x89PNG")
    assert np.array_equal(pixels, np.asarray(PICTURE if lossless else Image.open(io.BytesIO(encoded(PICTURE, "JPEG")))))


def test_a_shrunken_image_carries_pixels_and_nothing_else(tmp_path):
    plain, _ = one_image(tmp_path / "plain", encoded(PICTURE, "JPEG"), store="shrink", short_side=8)
    icc, exif = b"\0" * 128, Image.Exif()
    exif[0x010E] = "taken by somebody"
    for name, more in {"comment": {"comment": "x"}, "exif": {"exif": exif}, "icc": {"icc_profile": icc},
                       "dpi": {"dpi": (300, 300)}, "xmp": {"xmp": b"<x/>"}}.items():  # fmt: skip
        sample, _ = one_image(tmp_path / name, encoded(PICTURE, "JPEG", **more), store="shrink", short_side=8)
        assert sample["image"] == plain["image"], name


def test_an_image_within_the_pixel_limit_is_opened():
    assert open_image(png_header(9_500, 10_000)).size == (9_500, 10_000)


def test_a_very_long_image_is_never_enlarged_beyond_the_pixel_limit(monkeypatch):
    asked = []
    whole = Image.Image.resize

    def resize(self, size, *args, **kwargs):
        asked.append(size[0] * size[1])
        assert asked[-1] <= 100_000_000, "would need gigabytes"
        return whole(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", resize)
    image = Image.new("RGB", (65_000, 1))
    try:
        assert to_square(image, 224).shape == (224, 224, 3)
    except BadImage:
        assert not asked


def test_transparency_is_laid_on_white(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(path)
    assert decode_rgb(path.read_bytes()).getpixel((0, 0)) == (255, 255, 255)


def test_an_image_is_turned_upright_by_its_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "x.jpg"
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert decode_rgb(path.read_bytes()).size == (20, 30)


@pytest.mark.parametrize("upright", [False, True])
def test_a_square_is_the_middle_of_the_image(upright):
    pixels = np.zeros((32, 96, 3), dtype=np.uint8)
    pixels[:, 32:64] = 200
    image = Image.fromarray(pixels.transpose(1, 0, 2) if upright else pixels)
    assert (to_square(image, 32) == 200).all()


@pytest.mark.parametrize("size", [(100, 50), (33, 32), (7, 9), (1, 3), (31, 31)])
def test_a_square_has_the_size_asked_for(size):
    square = to_square(Image.new("RGB", size, (10, 20, 30)), 32)
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.uint8
    assert (square == (10, 20, 30)).all()
