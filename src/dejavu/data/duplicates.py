"""Which samples are the same thing. For now a sample is the same only as its exact copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from dejavu.data.samples import SampleStore, scan_file
from dejavu.files import write_table
from dejavu.progress import Progress
from dejavu.tables import FINGERPRINTS, GROUPS


def fingerprint_file(samples: Path, fingerprints: Path, progress: Progress) -> None:
    """Writes a hash of the content (uid, caption, image) of every sample of one file."""

    def parts() -> Iterator[pa.Table]:
        for table in scan_file(samples, ["row", "uid", "caption", "image"]):
            members = [
                _member(uid, caption, image)
                for uid, caption, image in zip(
                    *(table[c].to_pylist() for c in ("uid", "caption", "image")), strict=True
                )
            ]
            progress.advance(len(members))
            yield pa.table({"row": table["row"], "member": members}, schema=FINGERPRINTS)

    write_table(fingerprints, parts(), FINGERPRINTS)


def _member(uid: str, caption: str, image: bytes | None) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in (uid.encode("utf-8", "surrogatepass"), caption.encode("utf-8", "surrogatepass"), image or b""):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def group_duplicates(folders: Sequence[str | Path], groups: Path) -> int:
    """Writes the group of every sample: the smallest hash among its members; returns the number of samples.

    Samples with the same content share their hash and so their group.
    """

    def parts() -> Iterator[pa.Table]:
        for table in SampleStore(folders).scan(["row", "member"]):
            yield pa.table({"row": table["row"], "group_id": table["member"]}, schema=GROUPS)

    return write_table(groups, parts(), GROUPS)
