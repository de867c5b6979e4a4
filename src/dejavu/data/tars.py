"""WebDataset tars: the members of each key, and their places in the file."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dejavu.data.texts import as_utf8
from dejavu.errors import InputError
from dejavu.files import first_line

TAR = ".tar"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

# Texts and JSON members that are larger are ignored.
MAX_NOTE_BYTES = 2**20

# ending in lower case -> (offset, size), in bytes, of a member
Members = Mapping[str, tuple[int, int]]


def tar_beside(raw: str | Path) -> Path:
    """Return the path of the tar beside a raw file, which has the same name with the ending ``.tar``."""
    return Path(raw).with_suffix(TAR)


@dataclass
class Member:
    """The places of a key's image and JSON in a tar, each (offset, size) in bytes."""

    image: tuple[int, int] | None = None
    note: tuple[int, int] | None = None


def index_tar(path: Path) -> dict[str, Member]:
    """Read the headers of a tar once, and return key -> its image and JSON. A key is a name without ending.

    Only plain files count; links are not followed. Of two images with the same key, the first counts.

    Raises:
        InputError: when the tar is missing, compressed or damaged.
    """
    index: dict[str, Member] = {}
    for name, place in read_members(path):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            member = index.setdefault(stem, Member())
            member.image = member.image or place
        elif suffix.lower() == ".json" and place[1] <= MAX_NOTE_BYTES:
            index.setdefault(stem, Member()).note = place
    return index


def read_members(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield name and place, (offset, size) in bytes, of every plain file in a tar. Links are not followed.

    Raises:
        InputError: when the tar is missing, compressed or damaged.
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


def read_keys(tar: Path) -> dict[str, Members]:
    """Return key -> the members of a shard, in the order of the tar; of equal names, the first counts.

    As in WebDataset, a key is the part of a name before its first dot. But if such a key has no image of its own and
    there are images with longer names, such as ``img.1.jpg`` and ``img.2.jpg``, the key ends at the last dot.

    Raises:
        InputError: when the tar is missing, compressed or damaged.
    """
    groups: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    for name, place in read_members(tar):
        folder, base = os.path.split(as_utf8(name))
        groups.setdefault(os.path.join(folder, base.partition(".")[0]), []).append((base, place))
    keys: dict[str, dict[str, tuple[int, int]]] = {}
    for key, members in groups.items():
        endings = [f".{base.partition('.')[2].lower()}" for base, _ in members]
        is_plain = any(ending in SUFFIXES for ending in endings) or not any(map(_ends_in_image, endings))
        for ending, (base, place) in zip(endings, members, strict=True):
            if is_plain:
                keys.setdefault(key, {}).setdefault(ending, place)
            else:
                stem, last = os.path.splitext(base)
                longer = os.path.join(os.path.dirname(key), stem)
                keys.setdefault(longer, {}).setdefault(last.lower(), place)
    return dict(keys)


def _ends_in_image(ending: str) -> bool:
    return ending.endswith(SUFFIXES)


def image_of(members: Members) -> tuple[int, int] | None:
    """Return the place of the image among a key's members; None where there is no image."""
    return next((place for ending, place in members.items() if ending in SUFFIXES), None)
