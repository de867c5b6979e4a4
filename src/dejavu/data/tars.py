"""WebDataset tars: what stands under which key, and where in the file."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dejavu.errors import InputError
from dejavu.files import first_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

MAX_NOTE_BYTES = 2**20


def tar_beside(raw: str | Path) -> Path:
    """The WebDataset tar of a raw file: of the same name."""
    return Path(raw).with_suffix(".tar")


@dataclass
class Member:
    """What a tar has under a key: the places of the image and of a JSON, each (offset, size) in bytes."""

    image: tuple[int, int] | None = None
    note: tuple[int, int] | None = None


def index_tar(path: Path) -> dict[str, Member]:
    """Reads the headers of a tar once: key, the name without ending -> what there is.

    Only plain files count: what a link points to is not read. Of two images of a key the first counts.

    Raises:
        InputError: when it is missing, compressed, or damaged.
    """
    index: dict[str, Member] = {}
    for name, place in read_members(path):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            found = index.setdefault(stem, Member())
            found.image = found.image or place
        elif suffix.lower() == ".json" and place[1] <= MAX_NOTE_BYTES:
            index.setdefault(stem, Member()).note = place
    return index


def read_members(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields name and place, (offset, size) in bytes, of every plain file of a tar; what a link points to is not read.

    Raises:
        InputError: when it is missing, compressed, or damaged.
    """
    last, length = -1, 0
    try:
        length = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.offset <= last or not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"member {member.name[:100]!r} does not lie in the file")
                last = member.offset
                if member.isreg() and not member.issparse():
                    yield member.name.removeprefix("./"), (member.offset_data, member.size)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist, but images: tar looks for it beside the parquet file of the same name: "
            "bring it, or take the parquet file out of datasets.*.raw."
        ) from None
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is not a whole, uncompressed tar ({first_line(error)}): replace it, or take it, and a parquet "
            "file beside it, out of datasets.*.raw."
        ) from None
