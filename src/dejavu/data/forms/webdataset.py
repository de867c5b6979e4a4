"""The form ``raw`` with WebDataset shards: tars that have, under each key, an image, a caption, and perhaps JSON.

The workflow writes a table of keys and captions for each shard, like the parquet file that img2dataset puts beside a
tar. The images stay in the tar.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.forms.base import FILES, ROWS, Form, Making, RawExcerpt, Step, spread
from dejavu.data.forms.parquet import are_shards, matched_files
from dejavu.data.raw import file_id
from dejavu.data.tars import MAX_NOTE_BYTES, SUFFIXES, Members, image_of, read_keys, tar_beside
from dejavu.data.texts import as_utf8
from dejavu.errors import InputError, words
from dejavu.files import first_line, write_table
from dejavu.paths import RAW, at
from dejavu.progress import say

COLUMNS = {"image": None, "caption": "caption", "key": "key", "objects": "objects"}
# A key with one of these members becomes a row even without an image, so that the quarantine counts the missing image.
DESCRIBED = (".txt", ".json")


def write_shard(tar: Path, table: Path, caption: str | None, objects: str | None) -> int:
    """Write a row for every key of a shard with an image, a text or JSON: ``key``, ``caption`` and ``objects``.

    The caption is the member ``.txt``; if there is none, it is a field of the member ``.json``, a text or a list of
    texts. Objects are a field of the JSON, of any type that a column of objects may have.

    Args:
        tar: the shard.
        table: parquet file to write.
        caption, objects: fields of the JSON; None leaves the column out.

    Returns:
        The number of rows.

    Raises:
        InputError: when the tar is missing, compressed or damaged, has members but no image, or has objects of
            different types.
    """
    samples = read_keys(tar)
    if samples and not any(map(image_of, samples.values())):
        raise InputError(
            f"{tar} has no image ({', '.join(SUFFIXES)}) under any key: name other files in datasets.*.raw."
        )
    with open(tar, "rb") as file:
        read = _Reader(file.fileno(), caption)
        rows = [
            read.row(key, members) for key, members in samples.items() if image_of(members) or {*DESCRIBED} & {*members}
        ]
    columns: dict[str, pa.Array] = {"key": pa.array([row["key"] for row in rows], pa.string())}
    if caption:
        columns["caption"] = pa.array([row["caption"] for row in rows], pa.list_(pa.string()))
    if objects:
        columns["objects"] = _objects(tar, objects, [row["note"] for row in rows])
    rows_table = pa.table(columns)
    return write_table(table, rows_table, rows_table.schema)


class _Reader:
    """Reads the texts and the JSON of keys from the open file of a shard."""

    def __init__(self, handle: int, caption: str | None) -> None:
        self.handle, self.caption = handle, caption

    def row(self, key: str, members: Members) -> dict[str, Any]:
        small = {ending: place for ending, place in members.items() if place[1] <= MAX_NOTE_BYTES}
        note = self._note(small.get(".json"))
        text = self._read(small[".txt"]) if ".txt" in small else note.get(self.caption) if self.caption else None
        captions = text if isinstance(text, list) else [text]
        texts = [as_utf8(caption) if isinstance(caption, str) else None for caption in captions]
        return {"key": key, "caption": texts, "note": note}

    def _read(self, place: tuple[int, int]) -> str:
        offset, size = place
        return os.pread(self.handle, size, offset).decode("utf-8-sig", "replace")

    def _note(self, place: tuple[int, int] | None) -> dict[str, Any]:
        try:
            note = json.loads(self._read(place)) if place else {}
        except (ValueError, RecursionError):
            return {}
        return note if isinstance(note, dict) else {}


def _objects(tar: Path, field: str, notes: list[dict]) -> pa.Array:
    """Return the values of a field of the JSON as an array, whose type follows from the values."""
    values = [note.get(field) for note in notes]
    if all(value is None for value in values):
        if fields := sorted({name for note in notes for name in note}):
            say(f"{tar}: no JSON has a field {field!r}, which columns.objects names; they have {', '.join(fields)}")
        return pa.nulls(len(values), pa.list_(pa.string()))
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        cause = words(first_line(error))
        raise InputError(
            f"{tar}: the field {field!r} of its JSON, which columns.objects names, has several forms ({cause}): write "
            "them alike."
        ) from None


def link_tar(tar: Path, link: Path) -> None:
    """Link to a shard from the place beside its table, where images are read; a relative path gives a relative link."""
    link.unlink(missing_ok=True)
    link.symlink_to(tar if tar.is_absolute() else os.path.relpath(tar, link.parent))


def write_table_of_shard(job: Making) -> None:
    """Write the keys and captions of a shard to a raw file, beside a link to the shard, which has the images."""
    tar = job.inputs["shard"]
    link_tar(tar, job.outputs["tar"])
    number = write_shard(tar, job.outputs["table"], job.values["caption"], job.values["objects"])
    say(f"[{job.title} {tar.name}] {number:,} keys")


class Shards(Form):
    """A dataset of WebDataset shards."""

    key = "raw"
    steps = (
        Step(
            "shard",
            write_table_of_shard,
            {"table": "raw/{shard}.parquet", "tar": "raw/{shard}.tar"},
            inputs=lambda form, wildcards: {"shard": form.shards[wildcards.shard]},
            values={
                "caption": lambda form: form.section["columns"]["caption"],
                "objects": lambda form: form.section["columns"]["objects"],
            },
            each="shard",
            minutes_per_gb=10,
            minutes=20,
        ),
    )

    @classmethod
    def gives(cls, section: Mapping[str, Any]) -> bool:
        return are_shards(section)

    @property
    def images_are_in_tars(self) -> bool:
        return True

    def paths(self) -> dict[str, str]:
        names = matched_files(self.name, self.section)
        return {name: at(RAW, dataset=self.name, file=f"{file_id(name):08x}.parquet") for name in names}

    @cached_property
    def shards(self) -> dict[str, str]:
        """Name of the table without ending -> path of the shard."""
        return {Path(table).stem: str(Path(self.section["root"]) / name) for name, table in self.paths().items()}

    def columns(self) -> dict[str, str | None]:
        named = self.section["columns"]
        return {use: column if named[use] or use == "key" else None for use, column in COLUMNS.items()}

    def _subjects(self, paths: Mapping[str, str]) -> dict[str, list[str]]:
        return {"shard": list(self.shards)}

    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        columns, excerpts, whole, pairs = self.section["columns"], {}, {}, 0
        for name in spread(sorted(paths), FILES):
            stem = Path(paths[name]).stem
            table, excerpt = folder / "whole" / name, folder / "raw" / f"{stem}.parquet"
            for path in (table, excerpt):
                path.parent.mkdir(parents=True, exist_ok=True)
            pairs += write_shard(Path(self.shards[stem]), table, columns["caption"], columns["objects"])
            pq.write_table(pq.read_table(table, partitioning=None).slice(0, ROWS), excerpt)
            link_tar(Path(self.shards[stem]).resolve(), tar_beside(excerpt))
            excerpts[name], whole[name] = excerpt, str(table)
        # The estimate assumes that the other shards have as many rows as those that were read.
        pairs = pairs * len(paths) // len(excerpts)
        return RawExcerpt(excerpts, pairs, whole, is_complete=len(whole) == len(paths))


FORM = Shards
