"""A small training set."""

from __future__ import annotations

from pathlib import Path

import pytest

from dejavu.tables import SAMPLES


@pytest.fixture
def pairs(tmp_path, write_batch, picture) -> tuple[Path, list[dict]]:
    """Return the samples folder and the records of 14 samples in three files of 5, 5 and 4."""
    rows = [(1 + i // 5) << 32 | i % 5 for i in range(14)]
    words = ["red", "blue", "dog", "cat", "star", "ring", "sea"]
    records = [
        {
            "row": row,
            "uid": str(row),
            "caption": f"{words[i % 7]} {words[i % 5]} {words[i % 3]} {i}",
            "image": picture(i),
            "other_captions": [f"{words[i % 7]}, said otherwise", f"{i} in other words"][: i % 3],
        }
        for i, row in enumerate(rows)
    ]
    return Path(write_batch(tmp_path / "samples", SAMPLES, records)), records
