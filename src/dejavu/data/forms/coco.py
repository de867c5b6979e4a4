"""The form ``coco``: raw files from COCO's captions and instances in JSON, beside a folder of images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.coco import annotation_score, identifier, in_order, load_annotations
from dejavu.data.forms.base import (
    FILES,
    ROWS,
    Form,
    Making,
    RawExcerpt,
    Step,
    file_bounds,
    part_paths,
    spread,
    write_excerpt,
)
from dejavu.data.objects import corners
from dejavu.data.texts import as_utf8
from dejavu.errors import InputError, words
from dejavu.files import write_table
from dejavu.progress import say
from dejavu.tables.data import OBJECT

T = TypeVar("T")

# use -> column of the raw files that are made of COCO's annotations
COLUMNS = {"image": "path", "caption": "captions", "key": "key", "objects": "objects"}
RAW_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("path", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("objects", pa.list_(OBJECT)),
    ]
)
IMAGES_PER_PART = 10_000

REMEDY = words("correct datasets.*.coco, or replace the file")


def write_coco(captions: Path, instances: Path | None, table: Path) -> int:
    """Join captions and instances by image; write one row per image, in order of image id; return the number of rows.

    ``key`` is the image's id, ``path`` its ``file_name``; ``captions`` and ``objects`` are in order of annotation id.
    Boxes are converted from left, top, width, height to left, top, right, bottom, in pixels. A box that is not four
    numbers becomes null. If the file of captions does not list an image, its annotations are left out, and the log
    says how many such images there are.

    Args:
        captions: JSON with ``images`` and ``annotations``.
        instances: JSON with ``annotations`` and ``categories``, or None where there are no objects.
        table: parquet file to write.

    Raises:
        InputError: when a file is no such JSON, or an annotation names a category that does not exist.
    """
    content = load_annotations(captions, ("images", "annotations"), REMEDY)
    images = _images(captions, content["images"])
    texts = _by_image(captions, content["annotations"], _caption)
    objects: Mapping[str, list[dict]] = {} if instances is None else _objects(instances)
    for path, annotated in ((captions, texts), (instances, objects)):
        if unlisted := len(annotated.keys() - images.keys()):
            say(f"{path}: annotations of {unlisted:,} images are left out, which {captions} does not list")
    rows = [
        {"key": number, "path": images[number], "captions": texts.get(number, []), "objects": objects.get(number, [])}
        for number in in_order(images)
    ]
    parts = (
        pa.Table.from_pylist(rows[i : i + IMAGES_PER_PART], schema=RAW_SCHEMA)
        for i in range(0, len(rows), IMAGES_PER_PART)
    )
    return write_table(table, parts, RAW_SCHEMA)


def write_coco_file(table: Path, files: int, index: int, raw: Path) -> int:
    """Write raw file ``index`` of ``files``, a share of the images in order of image id; return the number of rows."""
    whole = pq.read_table(table, partitioning=None)
    start, stop = file_bounds(whole.num_rows, files, index)
    return write_table(raw, whole.slice(start, stop - start), RAW_SCHEMA)


def _images(path: Path, entries: list[dict]) -> dict[str, str]:
    """Return image id -> file name."""
    images: dict[str, str] = {}
    for position, entry in enumerate(entries):
        number, name = _identifier(path, "images", position, entry, "id"), entry.get("file_name")
        if not isinstance(name, str):
            raise InputError(f"{path}: images[{position}] has no file_name: add it, or take the image out.")
        if images.setdefault(number, as_utf8(name)) != as_utf8(name):
            raise InputError(f"{path}: the image id {number} stands for {images[number]!r} and {name!r}: take one out.")
    return images


def _by_image(path: Path, entries: list[dict], read: Callable[[int, dict], T]) -> dict[str, list[T]]:
    """Return image id -> what ``read`` makes of its annotations, by annotation id, then in the file's order."""
    values_of: dict[str, list[tuple[int, T]]] = defaultdict(list)
    for position, entry in enumerate(entries):
        number = _identifier(path, "annotations", position, entry, "image_id")
        order = identifier(entry.get("id")) or ""
        values_of[number].append((int(order) if order.isdecimal() else 0, read(position, entry)))
    return {
        number: [value for _, value in sorted(values, key=lambda value: value[0])]
        for number, values in values_of.items()
    }


def _caption(position: int, entry: dict) -> str | None:
    caption = entry.get("caption")
    return as_utf8(caption) if isinstance(caption, str) else None


def _objects(path: Path) -> dict[str, list[dict]]:
    """Return image id -> its objects."""
    content = load_annotations(path, ("annotations", "categories"), REMEDY)
    names = {identifier(entry.get("id")): entry.get("name") for entry in content["categories"]}

    def read(position: int, entry: dict) -> dict:
        label = names.get(_identifier(path, "annotations", position, entry, "category_id"))
        if not isinstance(label, str):
            raise InputError(
                f"{path}: annotations[{position}] has the category_id {entry['category_id']}, which categories does "
                "not name: add it there, or take the annotation out."
            )
        score = annotation_score(words(f"{path}: annotations[{position}]"), entry)
        return {"label": as_utf8(label), "score": score, "box": corners(entry.get("bbox"))}

    return _by_image(path, content["annotations"], read)


def _identifier(path: Path, section: str, position: int, entry: dict, key: str) -> str:
    identity = identifier(entry.get(key))
    if identity is None:
        raise InputError(
            f"{path}: {section}[{position}].{key} is {str(entry.get(key))[:60]!r}, but it must be a whole number, or a "
            "text: mend the file."
        )
    return identity


def join_annotations(job: Making) -> None:
    """Join the captions and the objects of COCO's annotations by image."""
    images = write_coco(job.inputs["captions"], job.inputs.get("instances"), job.outputs["images"])
    say(f"[{job.title}] {images:,} images")


def write_raw_file(job: Making) -> None:
    """Write one raw file: a share of the images of COCO's annotations, in order of image id."""
    write_coco_file(job.inputs["images"], job.values["files"], int(job.wildcards["index"]), job.outputs["raw"])


class Coco(Form):
    """A dataset in COCO's format."""

    key = "coco"
    steps = (
        Step(
            "coco",
            join_annotations,
            {"images": "coco.parquet"},
            inputs=lambda form, wildcards: form.annotations(),
            # The job reads the whole JSON into memory, without the outlines (segmentations).
            memory_per_gb=4000,
            minutes_per_gb=30,
        ),
        Step(
            "coco_file",
            write_raw_file,
            {"raw": "raw/part-{index}.parquet"},
            inputs=lambda form, wildcards: {"images": f"results/{form.name}/coco.parquet"},
            values={"files": lambda form: form.section["coco"]["files"]},
            each="index",
        ),
    )

    def check(self) -> None:
        if self.section["coco"]["instances"] is None and self.section["annotate"]["from"] == "column":
            raise InputError(
                f"configuration key 'datasets.{self.name}.coco.instances' is missing: add it, or say in annotate "
                "where the objects come from."
            )

    def paths(self) -> dict[str, str]:
        self._require_files()
        return part_paths(self.name, self.section["coco"]["files"])

    def columns(self) -> dict[str, str | None]:
        return dict(COLUMNS)

    @property
    def image_root(self) -> str:
        return str(Path(self.section["root"]) / self.section["coco"]["images"])

    def annotations(self) -> dict[str, str]:
        """Return the paths of the JSON files: ``captions`` and, if configured, ``instances``."""
        files: dict[str, Any] = {key: self.section["coco"][key] for key in ("captions", "instances")}
        return {key: str(Path(self.section["root"]) / file) for key, file in files.items() if file is not None}

    def _require_files(self) -> None:
        for key, exists in (("captions", Path.is_file), ("instances", Path.is_file), ("images", Path.is_dir)):
            named = self.section["coco"][key]
            path = Path(self.section["root"]) / (named or "")
            if named is not None and not exists(path):
                kind = "folder" if key == "images" else "file"
                raise InputError(
                    f"datasets.{self.name}.coco.{key}: there is no {kind} {path}: correct the path, which is relative "
                    "to root."
                )

    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        files = {key: Path(file) for key, file in self.annotations().items()}
        images = folder / "raw" / "coco.parquet"
        write_coco(files["captions"], files.get("instances"), images)
        whole = pq.read_table(images, partitioning=None)
        pairs = sum(max(1, len(texts)) for texts in whole["captions"].to_pylist()) if every_caption else len(whole)
        rows = whole.take(spread(range(len(whole)), FILES * ROWS)).cast(RAW_SCHEMA)
        # One table with all images stands for the raw files that the workflow will make.
        return RawExcerpt(
            write_excerpt(paths, folder / "raw", rows), pairs, {min(paths): str(images)}, is_complete=True
        )


FORM = Coco
