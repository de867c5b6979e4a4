"""JSON in COCO's format: sections of annotations, ids and scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dejavu.data.objects import require_score
from dejavu.data.texts import as_utf8
from dejavu.errors import InputError
from dejavu.files import first_line

# The parser keeps only these keys. It drops the outlines (segmentations), which are most of COCO's JSON.
_KEYS = {"images", "annotations", "categories", "id", "name", "file_name", "coco_url"} | {
    "image_id", "category_id", "caption", "bbox", "score",
}  # fmt: skip


def load_annotations(path: Path, sections: Sequence[str], remedy: str) -> dict[str, list[dict]]:
    """Return the sections of a JSON file in COCO's format, without outlines. The whole file is read into memory.

    Args:
        path: the file.
        sections: keys of the lists of objects that the file must have.
        remedy: what the user should do, for the error.

    Raises:
        InputError: when the file is no JSON file, or lacks a section.
    """
    try:
        # Given bytes, json detects the encoding and accepts a byte order mark.
        content = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k in _KEYS})
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a whole JSON file ({first_line(error)}): {remedy}.") from None
    for section in sections:
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{path} has no list {section!r} of objects, which COCO's annotations have: {remedy}.")
    return content


def identifier(value: object) -> str | None:
    """Return an id as a text, which is the same for 7, 7.0 and "7"; None for a value that is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return as_utf8(str(value)).strip() or None


def in_order(identifiers: Iterable[str]) -> list[str]:
    """Return ids in ascending order, numbers before texts."""
    return sorted(identifiers, key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))


def annotation_score(where: str, annotation: Mapping) -> float:
    """Return the confidence of an annotation; 1 where it has none, since people made it.

    Raises:
        InputError: when the confidence is no number from 0 to 1.
    """
    return require_score(where, annotation["score"]) if "score" in annotation else 1.0
