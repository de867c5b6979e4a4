"""The objects that are truly in each image, taken from a column of the raw files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from dejavu.data.raw import Columns, is_list, is_text, open_raw, python_values, read_raw
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.progress import Progress
from dejavu.tables.data import OBJECTS


def annotate_file(raw: Path, columns: Columns, samples: Path, objects: Path, progress: Progress) -> None:
    """Writes the objects of one file's samples, from the raw column that ``columns.objects`` names.

    The column holds a list per image: of labels (strings), or of structs with ``label`` and, where known, ``score``
    and ``box`` (left, top, right, bottom in pixels). A missing score counts as 1; a null list as no objects.

    Raises:
        InputError: when the column has another type.
    """
    _check_type(raw, columns)
    known = read_table(samples, ["row", "source_row"])
    rows_of = defaultdict(list)  # several where every caption of an image is a sample
    for row, source_row in zip(known["row"].to_pylist(), known["source_row"].to_pylist(), strict=True):
        rows_of[source_row].append(row)

    def parts():
        for start, batch in read_raw(raw, columns, ("objects",)):
            records = []
            for number, found in enumerate(python_values(batch["objects"]), start):
                objects = [_as_object(item) for item in found or [] if item] if number in rows_of else []
                records += [{"row": row, "objects": objects} for row in rows_of.get(number, ())]
            progress.advance(len(batch["objects"]))
            yield pa.Table.from_pylist(records, schema=OBJECTS)

    written = write_table(objects, parts(), OBJECTS)
    if written != known.num_rows:
        raise InputError(
            f"{samples} holds {known.num_rows:,} samples, but {raw} has {written:,} of them: the raw file has changed "
            "since it was ingested. Delete the samples folder of the dataset and run again."
        )


def _check_type(raw: Path, columns: Columns) -> None:
    kind = open_raw(raw, columns).schema_arrow.field(columns.objects).type
    if not (is_list(kind) and (is_text(kind.value_type) or _is_object(kind.value_type))):
        raise InputError(
            f"{raw}: column {columns.objects!r} is {kind}, but objects are a list of strings, or of structs with a "
            "field 'label' (string) and, if known, 'score' (number) and 'box' (four numbers): convert the column, or "
            "name another in columns.objects."
        )


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers."""
    return pt.is_floating(kind) or pt.is_integer(kind)


def _is_object(kind: pa.DataType) -> bool:
    if not pt.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    score, box = fields.get("score", pa.null()), fields.get("box", pa.null())
    return (
        is_text(fields.get("label", pa.null()))
        and (pt.is_null(score) or is_number(score))
        and (pt.is_null(box) or is_list(box) and is_number(box.value_type))
    )


def _as_object(item: str | bytes | dict) -> dict:
    if not isinstance(item, dict):
        return {"label": _as_text(item), "score": 1.0, "box": None}
    score, box = item.get("score"), item.get("box")
    usable = isinstance(box, list) and len(box) == 4 and all(isinstance(v, (int, float)) for v in box)
    return {
        "label": _as_text(item["label"]),
        "score": 1.0 if score is None else score,
        "box": box if usable else None,
    }


def _as_text(label: str | bytes | None) -> str | None:
    """A label that is not UTF-8 is kept as far as it can be read."""
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else label
