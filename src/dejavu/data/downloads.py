"""Check of images in tars against img2dataset's table: a tar of another download can have the same name and keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from dejavu.data.images import BadImage
from dejavu.data.sources import ImageSource
from dejavu.progress import say

# use -> column of img2dataset's parquet files, which is read if present. A file with both columns of STATUS comes from
# img2dataset.
STATUS = {"status": "status", "error": "error_message"}
NOTED = {name: name for name in ("width", "height", "sha256", "url")}
# number of images of a file that are hashed to find out whether img2dataset stored the downloaded bytes
HASHED = 64


class Notes:
    """Compares images in a tar with their rows in the parquet file beside the tar.

    The address, the hash and the size of an image must be those of the row; the tar's JSON has the address and the
    hash. The hash belongs to the downloaded bytes, and img2dataset encodes images again by default. So the images
    themselves are compared with the hash only if at least one of :data:`HASHED` images has its hash.

    Args:
        raw: the parquet file.
        key: name of its column of keys.
        source: reads the images of the tar.
    """

    def __init__(self, raw: Path, key: str, source: ImageSource) -> None:
        self._source = source
        with pq.ParquetFile(raw) as file:
            names = file.schema_arrow.names
            has_hashes = {key, "sha256"} <= set(names)
            columns = file.read([key, "sha256"]).to_pydict() if has_hashes else {key: [], "sha256": []}
        places = np.unique(np.linspace(0, max(0, len(columns[key]) - 1), HASHED).astype(int))
        examined = [(columns[key][place], columns["sha256"][place]) for place in places if columns[key]]
        self._as_downloaded = any(self._has_hash(*pair) for pair in examined)
        can_compare = self._as_downloaded or {"width", "height"} <= set(names) or source.has_notes
        if not can_compare:
            say(f"{raw} has no sizes and hashes, so it is unknown whether the tar beside it is of the same download")

    def _has_hash(self, key: Any, sha256: Any) -> bool:
        try:
            return bool(sha256) and _digest(self._source.read(key)) == sha256
        except BadImage:
            return False

    def check(self, row: Mapping[str, Any], data: bytes, size: tuple[int, int]) -> None:
        """Compare one image with its row.

        Args:
            row: use -> value, with ``key`` and those uses of :data:`NOTED` that the file has.
            data: the encoded image.
            size: width and height of the encoded image.

        Raises:
            BadImage: when the image does not belong to the row.
        """
        note = self._note(row.get("key"))
        for name in ("url", "sha256"):
            in_row, in_tar = row.get(name), note.get(name)
            if in_row and in_tar and in_row != in_tar:
                raise _mismatch(f"{name} {str(in_row)[:200]!r}, but {str(in_tar)[:200]!r} in the tar")
        width, height = row.get("width"), row.get("height")
        # The row may have the size before or after the rotation by EXIF, so width and height may be exchanged.
        if width and height and sorted(size) != sorted((int(width), int(height))):
            raise _mismatch(f"{int(width)} x {int(height)}, but {size[0]} x {size[1]} in the tar")
        if self._as_downloaded and row.get("sha256") and _digest(data) != row["sha256"]:
            raise _mismatch(f"sha256 {row['sha256']}, but {_digest(data)} in the tar")

    def _note(self, key: object) -> Mapping[str, Any]:
        """Return the fields of a key's JSON in the tar; none where the tar has no usable JSON for the key."""
        try:
            fields = json.loads(self._source.note(key) or b"{}")
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}


def _mismatch(detail: str) -> BadImage:
    return BadImage("image is not the row's, but of another download", detail)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
