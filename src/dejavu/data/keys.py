"""A check that each of the user's keys names one image. Lists and imported objects find samples by their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.data.spill import folder_beside, parts_for, spill_by_value
from dejavu.errors import InputError
from dejavu.progress import say

_KEYED = pa.schema([("row", pa.int64()), *((name, pa.uint64()) for name in ("key", "image", "near_image"))])
# Two encodings of one picture may differ in so many of the 64 bits of the perceptual hash.
SAME_LOOK = 10


def require_clear_keys(
    fingerprints: Sequence[str | Path], samples: Sequence[str | Path], beside: Path, dataset: str, allowed: float
) -> int:
    """Refuse a dataset if too many of its keys stand for several images, and return the number of their samples.

    Keys that begin again in every file are the usual cause. Images of one key count as the same if their perceptual
    hashes are near, however they are encoded.

    Args:
        fingerprints: batch folders of the fingerprints.
        samples: batch folders of the samples table, for an example.
        beside: the comparison spills to the disk of this path.
        dataset: name of the dataset, for messages.
        allowed: largest share, in [0, 1], of such samples among the samples with a key.

    Raises:
        InputError: when the share is larger, with an example.
    """
    store = SampleStore(fingerprints)
    keyed = unclear = 0
    example: tuple[int, int] | None = None
    with folder_beside(beside) as folder:
        for part in spill_by_value(folder / "keys", _KEYED, _keyed(store), "key", parts_for(store.count())):
            keyed += part.num_rows
            count, pair = _unclear(part)
            unclear, example = unclear + count, example or pair
    if example is None:
        return 0
    first, second = (_described(samples, row) for row in example)
    report = (
        f"{unclear:,} of {keyed:,} samples ({unclear / keyed:.1%}) have a key that stands for several images: {first} "
        f"and {second} differ."
    )
    if unclear <= allowed * keyed:
        say(f"[duplicates {dataset}] {report} They are grouped as duplicates.")
        return unclear
    raise InputError(
        f"dataset {dataset!r}: {report} Lists of members and imported objects would mean all of them. If keys begin "
        f"again in every file, set datasets.{dataset}.key_unique_in: file; otherwise name another column in "
        f"datasets.{dataset}.columns.key, or raise datasets.{dataset}.max_unclear_keys."
    )


def _keyed(store: SampleStore) -> Iterator[pa.Table]:
    for table in store.scan(_KEYED.names):
        yield table.filter(table["key"].is_valid())


def _unclear(part: pa.Table) -> tuple[int, tuple[int, int] | None]:
    """Return the number of samples whose key stands for several images, and the rows of an example pair, if any."""
    part = part.sort_by([("key", "ascending"), ("row", "ascending")])
    key, image = part["key"].to_numpy(), part["image"].fill_null(0).to_numpy()
    flat, near = part["near_image"].is_null().to_numpy(), part["near_image"].fill_null(0).to_numpy()
    # Each sample is compared with the first sample of its key.
    firsts, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)[1:]
    first = firsts[inverse]
    far = np.bitwise_count(near ^ near[first]) > SAME_LOOK
    differs = np.flatnonzero((image != image[first]) & (far | flat | flat[first]))
    if not len(differs):
        return 0, None
    rows = part["row"].to_numpy()
    number = counts[np.unique(inverse[differs])].sum()
    return int(number), (int(rows[first[differs[0]]]), int(rows[differs[0]]))


def _described(samples: Sequence[str | Path], row: int) -> str:
    """Return the uid of a sample and its place in the raw files, for a message."""
    (table,) = SampleStore(samples).read(np.array([row]), ["uid", "source", "source_row"])
    sample = table.to_pylist()[0]
    return f"{sample['uid']!r} ({sample['source']} row {sample['source_row']})"
