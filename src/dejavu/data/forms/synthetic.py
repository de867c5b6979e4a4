"""The form ``synthetic``: the workflow draws the raw files from the world of :mod:`dejavu.data.synthetic`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dejavu.data.forms.base import ROWS, Form, Making, RawExcerpt, Step, file_bounds, part_paths, write_excerpt
from dejavu.data.synthetic import make_pairs, make_world, raw_schema
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.progress import Progress

PAIRS_PER_PART = 256
IMAGE_SIZE = 128


def as_parameter(section: Mapping[str, Any]) -> str:
    """Return what the raw files depend on as JSON, without what came later and stands at its default.

    So a finished dataset is not drawn again for a key that changes nothing.
    """
    later = {"image_size": IMAGE_SIZE, "miscaptioned": 0}
    written = {key: value for key, value in section.items() if key not in later or value != later[key]}
    return json.dumps(written, sort_keys=True)


def synthesize(job: Making) -> None:
    """Draw one raw file of the embedded data."""
    section = json.loads(job.values["synthetic"])
    start, stop = file_bounds(section["pairs"], section["files"], int(job.wildcards["index"]))
    world, captions = make_world(section["seed"]), section["captions"]
    size = section.get("image_size", IMAGE_SIZE)
    schema = raw_schema(captions)
    progress = Progress(job.title, stop - start, "pairs")

    def parts() -> Iterator[pa.Table]:
        for first in range(start, stop, PAIRS_PER_PART):
            last = min(first + PAIRS_PER_PART, stop)
            pairs = make_pairs(world, first, last, size, captions, section.get("miscaptioned", 0.0))
            yield pa.Table.from_pylist(list(pairs), schema=schema)
            progress.advance(last - first)

    write_table(job.outputs["raw"], parts(), schema)
    progress.finish()


class Synthetic(Form):
    """A dataset whose raw files the workflow draws."""

    key = "synthetic"
    steps = (
        Step(
            "synthesize",
            synthesize,
            {"raw": "raw/part-{index}.parquet"},
            values={"synthetic": lambda form: as_parameter(form.section["synthetic"])},
            each="index",
        ),
    )

    def check(self) -> None:
        if self.section["synthetic"]["files"] > self.section["synthetic"]["pairs"]:
            raise InputError(f"datasets.{self.name}.synthetic.files is larger than its number of pairs: lower it.")

    def paths(self) -> dict[str, str]:
        return part_paths(self.name, self.section["synthetic"]["files"])

    def columns(self) -> dict[str, str | None]:
        return {"image": "image", "caption": "caption", "key": "key", "objects": "objects"}

    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        section = self.section["synthetic"]
        number, captions = min(ROWS, section["pairs"]), section["captions"]
        world, share = make_world(section["seed"]), section["miscaptioned"]
        pairs = list(make_pairs(world, 0, number, section["image_size"], captions, share))
        table = pa.Table.from_pylist(pairs, schema=raw_schema(captions))
        return RawExcerpt(write_excerpt(paths, folder / "raw", table), int(section["pairs"]), {}, is_complete=False)

    @property
    def supply(self) -> tuple[int, int] | None:
        return self.section["synthetic"]["pairs"], self.section["synthetic"]["captions"]

    @property
    def world(self) -> int | None:
        return int(self.section["synthetic"]["seed"])


FORM = Synthetic
