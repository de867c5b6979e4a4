"""WebDataset shards alone: tars that hold, under one key, an image, its caption, and what else is known as JSON.

Of each a table is made that says what a parquet file beside the tar would say; the images stay in the tar.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from dejavu.data.coco import as_utf8
from dejavu.data.tars import MAX_NOTE_BYTES, SUFFIXES, read_members
from dejavu.errors import InputError, words
from dejavu.files import first_line, write_table
from dejavu.progress import say

SHARD = ".tar"
COLUMNS = {"image": None, "caption": "caption", "key": "key", "objects": "objects"}
# what makes a key a row, besides an image: without one it is set aside
TOLD = (".txt", ".json")

# ending, in lower case -> (offset, size) in bytes
Members = Mapping[str, tuple[int, int]]


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


def write_shard(tar: Path, table: Path, caption: str | None, objects: str | None) -> int:
    """Writes a row for every key of a shard that has an image, a text or JSON: ``key``, and what is wanted of the rest.

    The caption is the member ``.txt`` or, where there is none, a field of the member ``.json``, a text or a list of
    texts. Objects are a field of the JSON, in any form that a column of objects has.

    Args:
        tar: the shard.
        table: parquet file to write.
        caption, objects: fields of the JSON; None where they are not wanted.

    Returns:
        The number of rows.

    Raises:
        InputError: when the tar is missing, compressed or damaged, has members but no image, or its objects have
            several forms.
    """
    samples = read_keys(tar)
    if samples and not any(map(image_of, samples.values())):
        raise InputError(
            f"{tar} has no image ({', '.join(SUFFIXES)}) under any key: name other files in datasets.*.raw."
        )
    with open(tar, "rb") as file:
        read = _Reader(file.fileno(), caption)
        rows = [read.row(key, members) for key, members in samples.items() if image_of(members) or {*TOLD} & {*members}]
    columns: dict[str, pa.Array] = {"key": pa.array([row["key"] for row in rows], pa.string())}
    if caption:
        columns["caption"] = pa.array([row["caption"] for row in rows], pa.list_(pa.string()))
    if objects:
        columns["objects"] = _objects(tar, objects, [row["note"] for row in rows])
    made = pa.table(columns)
    return write_table(table, made, made.schema)


class _Reader:
    def __init__(self, handle: int, caption: str | None) -> None:
        self.handle, self.caption = handle, caption

    def row(self, key: str, members: Members) -> dict[str, Any]:
        small = {ending: place for ending, place in members.items() if place[1] <= MAX_NOTE_BYTES}
        note = self._note(small.get(".json"))
        text = self._read(small[".txt"]) if ".txt" in small else note.get(self.caption) if self.caption else None
        captions = text if isinstance(text, list) else [text]
        told = [as_utf8(one) if isinstance(one, str) else None for one in captions]
        return {"key": key, "caption": told, "note": note}

    def _read(self, place: tuple[int, int]) -> str:
        offset, size = place
        return os.pread(self.handle, size, offset).decode("utf-8-sig", "replace")

    def _note(self, place: tuple[int, int] | None) -> dict[str, Any]:
        try:
            found = json.loads(self._read(place)) if place else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _objects(tar: Path, field: str, notes: list[dict]) -> pa.Array:
    """The values of a field of JSON, in the type that they have."""
    values = [note.get(field) for note in notes]
    if all(value is None for value in values):
        if fields := sorted({name for note in notes for name in note}):
            say(f"{tar}: no JSON has a field {field!r}, which columns.objects names; they have {', '.join(fields)}")
        return pa.nulls(len(values), pa.list_(pa.string()))
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        told = words(first_line(error))
        raise InputError(
            f"{tar}: the field {field!r} of its JSON, which columns.objects names, has several forms ({told}): write "
            "them alike."
        ) from None


def link_tar(tar: Path, link: Path) -> None:
    """Puts a link to a shard beside its table, where images are looked for; relative where the path is."""
    link.unlink(missing_ok=True)
    link.symlink_to(tar if tar.is_absolute() else os.path.relpath(tar, link.parent))


def table_of(dataset: str, number: int) -> str:
    """The path of a shard's table, by the hash of its name."""
    return str(PurePosixPath("results") / dataset / "raw" / f"{number:08x}.parquet")
