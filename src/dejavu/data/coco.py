"""From the annotations of COCO, captions and instances in JSON beside a folder of images, to raw files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.objects import corners, require_score
from dejavu.data.synthetic import file_bounds
from dejavu.errors import InputError, words
from dejavu.files import first_line, write_table
from dejavu.progress import say
from dejavu.tables.data import OBJECT

T = TypeVar("T")

# a file that COCO's annotations become has these columns
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

# all that is read of the JSON; the outlines, which are most of it, are dropped while it is parsed
_KEYS = {"images", "annotations", "categories", "id", "name", "file_name", "coco_url"} | {
    "image_id", "category_id", "caption", "bbox", "score",
}  # fmt: skip
REMEDY = words("correct datasets.*.coco, or replace the file")


def write_coco(captions: Path, instances: Path | None, table: Path) -> int:
    """Joins captions and instances by image: one row per image, in order of image id; returns their number.

    ``key`` is the image's id, ``path`` its ``file_name``, ``captions`` and ``objects`` are in order of annotation id.
    A box is converted from left, top, width, height to left, top, right, bottom, in pixels; one that is not four
    numbers becomes null. Captions and instances of images that the captions' file does not list are counted in the log.

    Args:
        captions: JSON with ``images`` and ``annotations``.
        instances: JSON with ``annotations`` and ``categories``, or None where there are no objects.
        table: parquet file to write.

    Raises:
        InputError: when a file is no such JSON, or an annotation names a category that is not there.
    """
    told = load_annotations(captions, ("images", "annotations"), REMEDY)
    images = _images(captions, told["images"])
    texts = _by_image(captions, told["annotations"], _caption)
    objects: Mapping[str, list[dict]] = {} if instances is None else _objects(instances)
    for path, found in ((captions, texts), (instances, objects)):
        if strangers := len(found.keys() - images.keys()):
            say(f"{path}: annotations of {strangers:,} images are left out, which {captions} does not list")
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
    """Writes raw file ``index`` of ``files``: a share of the images, in order of image id; returns their number."""
    whole = pq.read_table(table, partitioning=None)
    start, stop = file_bounds(whole.num_rows, files, index)
    return write_table(raw, whole.slice(start, stop - start), RAW_SCHEMA)


def load_annotations(path: Path, sections: Sequence[str], remedy: str) -> dict[str, list[dict]]:
    """The sections of a JSON file in the form of COCO; it is read whole, without the outlines, which are most of it.

    Args:
        path: the file.
        sections: lists of objects that it must have.
        remedy: what to do, for the sentence.

    Raises:
        InputError: when it is no JSON file, or lacks a section.
    """
    try:
        # as bytes, of which JSON finds out the encoding, a mark in front included
        content = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k in _KEYS})
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a whole JSON file ({first_line(error)}): {remedy}.") from None
    for section in sections:
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{path} has no list {section!r} of objects, which COCO's annotations have: {remedy}.")
    return content


def identifier(value: object) -> str | None:
    """An id as text, the same whether a tool writes it as 7, 7.0 or "7"; None for what is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return as_utf8(str(value)).strip() or None


def in_order(identifiers: Iterable[str]) -> list[str]:
    """Ids ascending, numbers before texts."""
    return sorted(identifiers, key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))


def as_utf8(value: str) -> str:
    """A text of JSON, which may hold halves of characters, as UTF-8 can hold it."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _images(path: Path, entries: list[dict]) -> dict[str, str]:
    """Image id -> file name."""
    images: dict[str, str] = {}
    for position, entry in enumerate(entries):
        number, name = _identifier(path, "images", position, entry, "id"), entry.get("file_name")
        if not isinstance(name, str):
            raise InputError(f"{path}: images[{position}] has no file_name: add it, or take the image out.")
        if images.setdefault(number, as_utf8(name)) != as_utf8(name):
            raise InputError(f"{path}: the image id {number} stands for {images[number]!r} and {name!r}: take one out.")
    return images


def _by_image(path: Path, entries: list[dict], read: Callable[[int, dict], T]) -> dict[str, list[T]]:
    """Image id -> what is read of its annotations, in order of annotation id, then of the file."""
    found: dict[str, list[tuple[int, T]]] = defaultdict(list)
    for position, entry in enumerate(entries):
        number = _identifier(path, "annotations", position, entry, "image_id")
        order = identifier(entry.get("id")) or ""
        found[number].append((int(order) if order.isdecimal() else 0, read(position, entry)))
    return {
        number: [value for _, value in sorted(values, key=lambda value: value[0])] for number, values in found.items()
    }


def _caption(position: int, entry: dict) -> str | None:
    caption = entry.get("caption")
    return as_utf8(caption) if isinstance(caption, str) else None


def _objects(path: Path) -> dict[str, list[dict]]:
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


def annotation_score(where: str, annotation: Mapping) -> float:
    """The confidence of an annotation; 1 where it has none, as those that people made.

    Raises:
        InputError: when it is no number from 0 to 1.
    """
    return require_score(where, annotation["score"]) if "score" in annotation else 1.0


def _identifier(path: Path, section: str, position: int, entry: dict, key: str) -> str:
    found = identifier(entry.get(key))
    if found is None:
        raise InputError(
            f"{path}: {section}[{position}].{key} is {str(entry.get(key))[:60]!r}, but it must be a whole number, or a "
            "text: mend the file."
        )
    return found
