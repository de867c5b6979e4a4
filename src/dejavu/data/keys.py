"""Whether the user's keys name one image each: lists of members and imported objects find samples by them."""

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
# of 64 bits, in which perceptual hashes of one picture in two encodings may differ
SAME_LOOK = 10


def require_clear_keys(
    fingerprints: Sequence[str | Path], samples: Sequence[str | Path], beside: Path, dataset: str, allowed: float
) -> int:
    """Refuses keys that stand for several images, as those that begin anew in every file; returns their samples.

    Images of one key are the same where they look the same to the perceptual hash, however they are encoded.

    Args:
        fingerprints: batch folders of the fingerprints.
        samples: batch folders of the samples table, for an example.
        beside: keys are compared on the disk of this path.
        dataset: its name, for the sentence.
        allowed: share of the samples that have a key, in [0, 1], whose key may stand for several images.

    Raises:
        InputError: when the share is larger, with an example.
    """
    store = SampleStore(fingerprints)
    keyed = unclear = 0
    example: tuple[int, int] | None = None
    with folder_beside(beside) as folder:
        for part in spill_by_value(folder / "keys", _KEYED, _keyed(store), "key", parts_for(store.count())):
            keyed += part.num_rows
            found, pair = _unclear(part)
            unclear, example = unclear + found, example or pair
    if example is None:
        return 0
    one, other = (_told(samples, row) for row in example)
    told = (
        f"{unclear:,} of {keyed:,} samples ({unclear / keyed:.1%}) have a key that stands for several images: {one} "
        f"and {other} differ."
    )
    if unclear <= allowed * keyed:
        say(f"[duplicates {dataset}] {told} They are grouped as duplicates.")
        return unclear
    raise InputError(
        f"dataset {dataset!r}: {told} Lists of members and imported objects would mean all of them. Where keys begin "
        f"anew in every file, set datasets.{dataset}.key_unique_in: file; else name another column in "
        f"datasets.{dataset}.columns.key, or raise datasets.{dataset}.max_unclear_keys."
    )


def _keyed(store: SampleStore) -> Iterator[pa.Table]:
    for table in store.scan(_KEYED.names):
        yield table.filter(table["key"].is_valid())


def _unclear(part: pa.Table) -> tuple[int, tuple[int, int] | None]:
    """Number of samples whose key stands for several images; rows of two of a key that look different."""
    part = part.sort_by([("key", "ascending"), ("row", "ascending")])
    key, image = part["key"].to_numpy(), part["image"].fill_null(0).to_numpy()
    flat, near = part["near_image"].is_null().to_numpy(), part["near_image"].fill_null(0).to_numpy()
    # compare with the first of the key
    firsts, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)[1:]
    first = firsts[inverse]
    far = np.bitwise_count(near ^ near[first]) > SAME_LOOK
    differs = np.flatnonzero((image != image[first]) & (far | flat | flat[first]))
    if not len(differs):
        return 0, None
    rows = part["row"].to_numpy()
    number = counts[np.unique(inverse[differs])].sum()
    return int(number), (int(rows[first[differs[0]]]), int(rows[differs[0]]))


def _told(samples: Sequence[str | Path], row: int) -> str:
    (table,) = SampleStore(samples).read(np.array([row]), ["uid", "source", "source_row"])
    found = table.to_pylist()[0]
    return f"{found['uid']!r} ({found['source']} row {found['source_row']})"
