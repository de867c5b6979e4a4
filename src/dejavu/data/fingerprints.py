"""Fingerprints of samples: hashes, one for each criterion of duplicates."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.images import BadImage, decode_rgb
from dejavu.data.near import perceptual_hashes, thumbnail
from dejavu.data.samples import gathered, scan_file
from dejavu.files import NUMBERS_PER_GROUP, write_table
from dejavu.progress import Progress
from dejavu.tables.data import FINGERPRINTS


def fingerprint_file(samples: Path, fingerprints: Path, progress: Progress) -> None:
    """Write the fingerprints of the samples in one file, for all criteria, even those that are not configured.

    Args:
        samples: file of the samples table.
        fingerprints: parquet file to write.
        progress: counts the samples.

    Raises:
        InputError: when the file is damaged, or an image that it only refers to no longer exists.
    """

    def parts() -> Iterator[pa.Table]:
        for table in scan_file(samples, _READ):
            yield _fingerprints(table)
            progress.advance(table.num_rows)

    # Large images make small parts, so the parts are gathered into row groups of a useful size.
    write_table(fingerprints, gathered(parts(), NUMBERS_PER_GROUP), FINGERPRINTS, NUMBERS_PER_GROUP)


_READ = ["row", "uid", "caption", "image", "source", "source_row"]


def _fingerprints(table: pa.Table) -> pa.Table:
    records: list[dict] = []
    thumbnails: list[np.ndarray] = []
    places: list[int] = []
    for row, uid, caption, image, source, source_row in zip(*(table[c].to_pylist() for c in _READ), strict=True):
        pixels, small = _pixel_hash_and_thumbnail(image)
        if small is not None:
            places.append(len(records))
            thumbnails.append(small)
        records.append(
            {
                "row": row,
                "copy": _hash(_bytes(uid), _bytes(caption), image or b""),
                "origin": _hash(_bytes(source or ""), str(row if source_row is None else source_row).encode()),
                "key": None if _is_content(uid, caption, image) else _hash(_bytes(uid)),
                "image": pixels,
                "caption": _hash(normal) if (normal := _normal(caption)) else None,
                "near_image": None,
            }
        )
    if thumbnails:
        hashes, has_detail = map(np.ndarray.tolist, perceptual_hashes(np.stack(thumbnails)))
        for place, value, is_usable in zip(places, hashes, has_detail, strict=True):
            records[place]["near_image"] = value if is_usable else None
    return pa.Table.from_pylist(records, schema=FINGERPRINTS)


def _hash(*parts: bytes) -> int:
    """Return a hash of 64 bits.

    Among a hundred million different samples, the probability that any two have the same hash is 1 in 3,700.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "big")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _normal(caption: str) -> bytes:
    return _bytes(" ".join(unicodedata.normalize("NFKC", caption).casefold().split()))


def _is_content(uid: str, caption: str, image: bytes | None) -> bool:
    """Return whether a uid is the hash of content that ingest gives a sample without a key.

    If ingest shrank the image, this is not recognized, and the uid counts as a key. That does no harm, since only
    equal content has an equal hash.
    """
    digest = hashlib.blake2b((image or b"") + _bytes(caption), digest_size=16).hexdigest()
    return uid.partition("#")[0] == digest


def _pixel_hash_and_thumbnail(image: bytes | None) -> tuple[int | None, np.ndarray | None]:
    """Return the hash of an image's pixels, and the thumbnail for its perceptual hash.

    Decoding takes as long as in ingest, and the hashes take as long again. Therefore this runs once for all criteria,
    and no change of the criteria repeats it.
    """
    if not image:
        return None, None
    try:
        pixels = decode_rgb(image)
    except BadImage:  # Ingest decoded every image, so a referenced image has changed since.
        return _hash(image), None
    return _hash(pixels.width.to_bytes(4, "big"), pixels.tobytes()), thumbnail(pixels)
