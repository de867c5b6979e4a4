"""What img2dataset notes of every image, compared with what is there: a tar of another download fits by its name."""

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

# img2dataset's parquet columns, read if present; a file with both STATUS columns comes from img2dataset
STATUS = {"status": "status", "error": "error_message"}
NOTED = {name: name for name in ("width", "height", "sha256", "url")}
# so many images of a file are hashed to see whether images are stored as they were downloaded
HASHED = 64


class Notes:
    """Compares images in a tar with what the parquet file beside it says of them.

    The address and the hash in the tar's own JSON must be those of the row, and the size of the image that of the row.
    The hash is of the file as it was downloaded: where at least one of some images has it, all must; where none does,
    they were encoded anew, as img2dataset does unless told otherwise, and the hash says nothing.

    Args:
        raw: the parquet file.
        key: its column of keys.
        source: of the images.
    """

    def __init__(self, raw: Path, key: str, source: ImageSource) -> None:
        self._source = source
        with pq.ParquetFile(raw) as file:
            names = file.schema_arrow.names
            noted = file.read([key, "sha256"]).to_pydict() if {key, "sha256"} <= set(names) else {key: [], "sha256": []}
        places = np.unique(np.linspace(0, max(0, len(noted[key]) - 1), HASHED).astype(int))
        some = [(noted[key][place], noted["sha256"][place]) for place in places if noted[key]]
        self._as_downloaded = any(self._has_hash(*pair) for pair in some)
        tells = self._as_downloaded or {"width", "height"} <= set(names) or source.has_notes
        if not tells:
            say(f"{raw}: nothing in it tells whether the images of the tar beside it are of the same download")

    def _has_hash(self, key: Any, sha256: Any) -> bool:
        try:
            return bool(sha256) and _digest(self._source.read(key)) == sha256
        except BadImage:
            return False

    def check(self, row: Mapping[str, Any], data: bytes, size: tuple[int, int]) -> None:
        """Compares one image with its row.

        Args:
            row: use -> value; of the uses those of :data:`NOTED` and ``key``.
            data: the encoded image.
            size: its width and height as they are stored.

        Raises:
            BadImage: when they do not belong together.
        """
        inside = self._inside(row.get("key"))
        for name in ("url", "sha256"):
            here, there = row.get(name), inside.get(name)
            if here and there and here != there:
                raise _other(f"{name} {str(here)[:200]!r}, but {str(there)[:200]!r} in the tar")
        width, height = row.get("width"), row.get("height")
        # turned by its EXIF orientation or not
        if width and height and sorted(size) != sorted((int(width), int(height))):
            raise _other(f"{int(width)} x {int(height)}, but {size[0]} x {size[1]} in the tar")
        if self._as_downloaded and row.get("sha256") and _digest(data) != row["sha256"]:
            raise _other(f"sha256 {row['sha256']}, but {_digest(data)} in the tar")

    def _inside(self, key: object) -> Mapping[str, Any]:
        """What the tar's own JSON says of a key; nothing where there is none."""
        try:
            found = json.loads(self._source.note(key) or b"{}")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _other(detail: str) -> BadImage:
    return BadImage("image is not the row's, but of another download", detail)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
