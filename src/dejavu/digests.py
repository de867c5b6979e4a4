"""SHA-256 digests of files, read in pieces, so that a checkpoint of many gigabytes takes no memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dejavu.checkpoints import SUFFIXES


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_of(weights: Path) -> list[dict[str, str | int]]:
    """Return name, SHA-256 and size in bytes of a file of weights, or of every such file in a folder, by name.

    Args:
        weights: a file, or a folder, of whose files those with a suffix of weights count.
    """
    files = sorted(path for path in weights.iterdir() if path.suffix in SUFFIXES) if weights.is_dir() else [weights]
    return [{"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size} for file in files]
