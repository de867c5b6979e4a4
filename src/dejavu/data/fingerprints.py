"""Fingerprints of samples: one for each criterion by which two samples can be the same thing."""

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
    """Writes the fingerprints of every sample of one file, for all criteria, whichever are configured.

    Args:
        samples: file of the samples table.
        fingerprints: parquet file to write.
        progress: counts the samples.

    Raises:
        InputError: when the file is damaged, or an image that it refers to is not there any more.
    """

    def parts() -> Iterator[pa.Table]:
        for table in scan_file(samples, _READ):
            yield _fingerprints(table)
            progress.advance(table.num_rows)

    # parts are small where images are large
    write_table(fingerprints, gathered(parts(), NUMBERS_PER_GROUP), FINGERPRINTS, NUMBERS_PER_GROUP)


_READ = ["row", "uid", "caption", "image", "source", "source_row"]


def _fingerprints(table: pa.Table) -> pa.Table:
    records: list[dict] = []
    looks: list[np.ndarray] = []
    seen: list[int] = []
    for row, uid, caption, image, source, source_row in zip(*(table[c].to_pylist() for c in _READ), strict=True):
        pixels, look = _look(image)
        if look is not None:
            seen.append(len(records))
            looks.append(look)
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
    if looks:
        for place, value, known in zip(seen, *map(np.ndarray.tolist, perceptual_hashes(np.stack(looks))), strict=True):
            records[place]["near_image"] = value if known else None
    return pa.Table.from_pylist(records, schema=FINGERPRINTS)


def _hash(*parts: bytes) -> int:
    """64 bits: among a hundred million samples, two that differ agree with a probability of 1 : 3,700."""
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
    """Whether a uid is no key of the user's but the content hash that ingest gives where there is none.

    Where it cannot be told, because images were made smaller, it counts as a key: it is equal for equal content only.
    """
    digest = hashlib.blake2b((image or b"") + _bytes(caption), digest_size=16).hexdigest()
    return uid.partition("#")[0] == digest


def _look(image: bytes | None) -> tuple[int | None, np.ndarray | None]:
    """The hash of an image's pixels, and the thumbnail of its perceptual hash.

    Decoding costs as much as it does in ingest, and the hashes as much again; no change of the criteria repeats it.
    """
    if not image:
        return None, None
    try:
        pixels = decode_rgb(image)
    except BadImage:  # which ingest lets through only where the image is fetched anew and has changed since
        return _hash(image), None
    return _hash(pixels.width.to_bytes(4, "big"), pixels.tobytes()), thumbnail(pixels)
