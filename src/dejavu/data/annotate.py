"""The objects that are truly in each image, taken from a column of the raw files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from dejavu.data.raw import Columns, open_raw, read_raw
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.progress import Progress
from dejavu.tables import OBJECTS


def annotate_file(raw: Path, columns: Columns, samples: Path, objects: Path, progress: Progress) -> None:
    """Writes the objects of one file's samples, from the raw column that ``columns.objects`` names.

    The column holds a list per image: of labels (strings), or of structs with ``label`` and, where known, ``score``
    and ``box`` (left, top, right, bottom in pixels). A missing score counts as 1; a null list as no objects.

    Raises:
        InputError: when the column has another type.
    """
    _check_type(raw, columns)
    known = read_table(samples, ["row", "source_row"])
    row_of = dict(zip(known["source_row"].to_pylist(), known["row"].to_pylist(), strict=True))

    def parts():
        for start, batch in read_raw(raw, columns, ("objects",)):
            records = []
            for offset, found in enumerate(batch["objects"].to_pylist()):
                row = row_of.get(start + offset)
                if row is not None:
                    records.append({"row": row, "objects": [_as_object(item) for item in found or [] if item]})
            progress.advance(len(batch["objects"]))
            yield pa.Table.from_pylist(records, schema=OBJECTS)

    written = write_table(objects, parts(), OBJECTS)
    if written != len(row_of):
        raise InputError(
            f"{samples} holds {len(row_of):,} samples, but {raw} has {written:,} of them: the raw file has changed "
            "since it was ingested. Delete the samples folder of the dataset and run again."
        )


def _check_type(raw: Path, columns: Columns) -> None:
    kind = open_raw(raw, columns).schema_arrow.field(columns.objects).type
    if not (_is_list(kind) and (_is_text(kind.value_type) or _is_object(kind.value_type))):
        raise InputError(
            f"{raw}: column {columns.objects!r} is {kind}, but objects are a list of strings, or of structs with a "
            "field 'label' (string) and, if known, 'score' (number) and 'box' (four numbers): convert the column, or "
            "name another in columns.objects."
        )


def _is_list(kind: pa.DataType) -> bool:
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pt.is_floating(kind) or pt.is_integer(kind) or pt.is_null(kind)


def _is_object(kind: pa.DataType) -> bool:
    if not pt.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    box = fields.get("box", pa.null())
    return (
        _is_text(fields.get("label", pa.null()))
        and _is_number(fields.get("score", pa.null()))
        and (pt.is_null(box) or _is_list(box) and _is_number(box.value_type))
    )


def _as_object(item: str | dict) -> dict:
    if isinstance(item, str):
        return {"label": item, "score": 1.0, "box": None}
    score, box = item.get("score"), item.get("box")
    usable = isinstance(box, list) and len(box) == 4 and all(isinstance(v, (int, float)) for v in box)
    return {"label": item["label"], "score": 1.0 if score is None else score, "box": box if usable else None}
