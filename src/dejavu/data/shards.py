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

from dejavu.data.objects import require_score, usable_box
from dejavu.data.sources import MAX_NOTE_BYTES, SUFFIXES, read_members
from dejavu.errors import InputError, words
from dejavu.files import write_table
from dejavu.tables.data import OBJECT

SHARD = ".tar"
COLUMNS = {"image": None, "caption": "caption", "key": "key", "objects": "objects"}
_ROWS_PER_PART = 10_000


# ending, in lower case -> (offset, size) in bytes
Members = Mapping[str, tuple[int, int]]


def read_keys(tar: Path, most: int | None = None) -> dict[str, Members]:
    """What a shard has under each key, in the order in which they come; of one name and ending the first counts.

    A key is what stands before the first dot of a name, as in WebDataset.

    Args:
        tar: the shard.
        most: so many keys are read; None: all.

    Raises:
        InputError: when the tar is missing, compressed or damaged.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name, place in read_members(tar):
        folder, base = os.path.split(name)
        stem, _, ending = base.partition(".")
        key = os.path.join(folder, stem)
        if key not in found and len(found) == most:
            break
        found.setdefault(key, {}).setdefault(f".{ending.lower()}", place)
    return dict(found)


def image_of(members: Members) -> tuple[int, int] | None:
    """The place of the image under a key, if there is one."""
    return next((place for ending, place in members.items() if ending in SUFFIXES), None)


def write_shard(tar: Path, table: Path, caption: str | None, objects: str | None) -> int:
    """Writes a row for every key of a shard that has an image: ``key``, and what is wanted of caption and objects.

    The caption is the member ``.txt`` or, where there is none, a field of the member ``.json``, a text or a list of
    texts. Objects are a field of the JSON: a list of labels, or of ``{label, score, box}``.

    Args:
        tar: the shard.
        table: parquet file to write.
        caption, objects: fields of the JSON; None where they are not wanted.

    Returns:
        The number of rows.

    Raises:
        InputError: when the tar is missing, compressed or damaged, no key has an image, or a score is no number from 0
            to 1.
    """
    samples = read_keys(tar)
    rows = [key for key, members in samples.items() if image_of(members)]
    if not rows:
        raise InputError(
            f"{tar} has no image ({', '.join(SUFFIXES)}) under any key: name other files in datasets.*.raw."
        )
    schema = pa.schema(
        [
            ("key", pa.string()),
            *([("caption", pa.list_(pa.string()))] if caption else []),
            *([("objects", pa.list_(OBJECT))] if objects else []),
        ]
    )
    with open(tar, "rb") as file:
        read = _Reader(str(tar), file.fileno(), caption, objects)
        parts = (
            pa.Table.from_pylist(
                [read.row(key, samples[key]) for key in rows[start : start + _ROWS_PER_PART]], schema=schema
            )
            for start in range(0, len(rows), _ROWS_PER_PART)
        )
        return write_table(table, parts, schema)


class _Reader:
    def __init__(self, tar: str, handle: int, caption: str | None, objects: str | None) -> None:
        self.tar, self.handle, self.caption, self.objects = tar, handle, caption, objects

    def row(self, key: str, members: Members) -> dict[str, Any]:
        small = {ending: place for ending, place in members.items() if place[1] <= MAX_NOTE_BYTES}
        note = self._note(small.get(".json")) if self.objects or ".txt" not in small else {}
        row: dict[str, Any] = {"key": key}
        if self.caption:
            text = self._read(small[".txt"]) if ".txt" in small else note.get(self.caption)
            row["caption"] = text if isinstance(text, list) else [text]
            row["caption"] = [one if isinstance(one, str) else None for one in row["caption"]]
        if self.objects:
            row["objects"] = self._objects(key, note.get(self.objects))
        return row

    def _read(self, place: tuple[int, int]) -> str:
        offset, size = place
        return os.pread(self.handle, size, offset).decode("utf-8-sig", "replace")

    def _note(self, place: tuple[int, int] | None) -> dict[str, Any]:
        try:
            found = json.loads(self._read(place)) if place else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _objects(self, key: str, found: Any) -> list[dict] | None:
        if not isinstance(found, list):
            return None
        where = words(f"{self.tar}: {self.objects} of key {key!r}")
        return [
            {
                "label": one.get("label"),
                "score": require_score(where, one["score"]) if one.get("score") is not None else 1.0,
                "box": usable_box(one.get("box")),
            }
            if isinstance(one, dict)
            else {"label": one, "score": 1.0, "box": None}
            for one in found
            if isinstance(one.get("label") if isinstance(one, dict) else one, str)
        ]


def link_tar(tar: Path, link: Path) -> None:
    """Puts a link to a shard beside its table, where images are looked for; relative where the path is."""
    link.unlink(missing_ok=True)
    link.symlink_to(tar if tar.is_absolute() else os.path.relpath(tar, link.parent))


def table_of(dataset: str, number: int) -> str:
    """The path of a shard's table, by the hash of its name."""
    return str(PurePosixPath("results") / dataset / "raw" / f"{number:08x}.parquet")
