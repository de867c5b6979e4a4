"""Small things that several unit tests need: pictures, tables in batch folders, and a tiny architecture."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


@pytest.fixture
def repository() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """An encoded image of random pixels, the same for the same number."""

    def make(number: int = 0, width: int = 32, height: int = 32, kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def write_batch() -> Callable[..., str]:
    """Writes records with ``row`` into a batch folder, one file for each upper half of the row; returns the folder."""

    def write(folder: Path, schema: pa.Schema, records: Iterable[dict]) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        by_file: dict[int, list[dict]] = {}
        for record in sorted(records, key=lambda r: r["row"]):
            by_file.setdefault(record["row"] >> 32, []).append(record)
        for upper, found in by_file.items():
            pq.write_table(pa.Table.from_pylist(found, schema=schema), folder / f"{upper:08x}.parquet")
        return str(folder)

    return write


@pytest.fixture
def tiny_architecture(tmp_path: Path) -> Callable[..., str]:
    """The path of an architecture of one layer for images of 32 pixels."""

    def write(name: str = "tiny-for-tests", width: int = 32, **vision: float) -> str:
        path = tmp_path / "architectures" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        content = {
            "embed_dim": width,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": width, "head_width": 16, "patch_size": 16} | vision,
            "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": width, "heads": 2, "layers": 1},
        }
        path.write_text(json.dumps(content))
        return str(path)

    return write
