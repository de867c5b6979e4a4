"""WebDataset tars: what stands under which key, and where in the file."""

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

MAX_NOTE_BYTES = 2**20

# ending, in lower case -> (offset, size) in bytes
Members = Mapping[str, tuple[int, int]]


def tar_beside(raw: str | Path) -> Path:
    """The WebDataset tar of a raw file: of the same name."""
    return Path(raw).with_suffix(TAR)


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
            member = index.setdefault(stem, Member())
            member.image = member.image or place
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


def read_keys(tar: Path) -> dict[str, Members]:
    """What a shard has under each key, in the order in which they come; of one name and ending the first counts.

    A key is what stands before the first dot of a name, as in WebDataset. Where no image stands under such a key
    alone, and images stand under longer names, as ``img.1.jpg`` and ``img.2.jpg``, keys end at the last dot.

    Raises:
        InputError: when the tar is missing, compressed or damaged.
    """
    groups: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    for name, place in read_members(tar):
        folder, base = os.path.split(as_utf8(name))
        groups.setdefault(os.path.join(folder, base.partition(".")[0]), []).append((base, place))
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for key, named in groups.items():
        endings = [f".{base.partition('.')[2].lower()}" for base, _ in named]
        is_plain = any(ending in SUFFIXES for ending in endings) or not any(map(_ends_in_image, endings))
        for ending, (base, place) in zip(endings, named, strict=True):
            if is_plain:
                found.setdefault(key, {}).setdefault(ending, place)
            else:
                stem, last = os.path.splitext(base)
                longer = os.path.join(os.path.dirname(key), stem)
                found.setdefault(longer, {}).setdefault(last.lower(), place)
    return dict(found)


def _ends_in_image(ending: str) -> bool:
    return ending.endswith(SUFFIXES)


def image_of(members: Members) -> tuple[int, int] | None:
    """The place of the image under a key, if there is one."""
    return next((place for ending, place in members.items() if ending in SUFFIXES), None)
