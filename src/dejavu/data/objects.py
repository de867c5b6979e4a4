"""Columns of objects, of several types: lists of labels or of structs, structs of lists, class numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dejavu.data.raw import is_list, is_text, plain_type
from dejavu.errors import InputError, words

# Names of the fields of an object. The first name that a column has counts.
LABELS = ("label", "category", "category_name", "class", "name", "category_id", "class_id", "labels", "categories")
SCORES = ("score", "scores", "confidence")
BOXES = ("box", "boxes")
FORMS = words(
    "a list of labels (texts), or of structs with a field 'label' and, if known, 'score' (from 0 to 1) and 'box' (four "
    "numbers), or a struct of such lists; labels may be class numbers where the file has their names, as `datasets` "
    "writes them"
)


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds numbers."""
    return pt.is_floating(kind) or pt.is_integer(kind)


class ObjectsColumn:
    """Reads the values of one column of objects.

    Args:
        where: file and column, for messages.
        schema: schema of the file.
        name: name of the column.

    Raises:
        InputError: when the column has no type of objects, or has class numbers without names.
    """

    def __init__(self, where: str, schema: pa.Schema, name: str) -> None:
        self._where = where
        kind = schema.field(name).type
        self._names: Sequence[str] | None = None
        item = _item(kind)
        if item is None:
            raise InputError(
                f"{where} is {kind}, but objects are {FORMS}: convert the column, or name another in columns.objects."
            )
        self._fields = _Fields.of(item)
        label = self._fields.kinds["label"]
        if pt.is_integer(label):
            self._names = class_names(schema, name)
            if self._names is None:
                raise InputError(
                    f"{where} has class numbers, but the file does not say which names they stand for: write it with "
                    "`datasets` and a ClassLabel, put the names there, or name another column in columns.objects."
                )

    def read(self, row: int, value: Any) -> list[dict]:
        """Return the objects of a row with label, score (1 if missing) and box (left, top, right, bottom, or None).

        Args:
            row: number of the row, for errors.
            value: value of the column.

        Raises:
            InputError: when a score is no number from 0 to 1, or a class number has no name.
        """
        return [labelled for item in self._items(value) if (labelled := self._object(row, item)) is not None]

    def _items(self, value: Any) -> Iterator[Any]:
        if not isinstance(value, dict):
            yield from value or ()
            return
        lists = {name: value[name] for name in self._fields.names.values() if value.get(name) is not None}
        for place in range(max(map(len, lists.values()), default=0)):
            yield {name: values[place] if place < len(values) else None for name, values in lists.items()}

    def _object(self, row: int, item: Any) -> dict | None:
        if item is None:
            return None
        names = self._fields.names
        if not isinstance(item, dict):
            return {"label": self._label(row, item), "score": 1.0, "box": None}
        score = item.get(names["score"]) if "score" in names else 1.0
        return {
            "label": self._label(row, item.get(names["label"])),
            "score": require_score(f"{self._where}, row {row:,}", score),
            "box": usable_box(item.get(names["box"])) if "box" in names else None,
        }

    def _label(self, row: int, label: Any) -> str | None:
        if self._names is None or label is None:
            # A label that is not UTF-8 comes as bytes. It is kept, with marks in place of what cannot be decoded.
            return label.decode("utf-8", "replace") if isinstance(label, bytes) else label
        if 0 <= label < len(self._names):
            return self._names[label]
        if label == -1:  # `datasets` writes -1 for an unknown class.
            return None
        raise InputError(
            f"{self._where}, row {row:,}: the class number {label} has no name among the {len(self._names):,} of the "
            "file: mend the column."
        )


class _Fields:
    """The names of an object's fields by use, and their types; an object that is a bare label has no names."""

    def __init__(self, names: Mapping[str, str], kinds: Mapping[str, pa.DataType]) -> None:
        self.names, self.kinds = names, kinds

    @classmethod
    def of(cls, item: pa.DataType | Mapping[str, pa.DataType]) -> _Fields:
        if isinstance(item, pa.DataType):
            return cls({}, {"label": plain_type(item)})
        names = {use: name for use in _USES if (name := _name(item, use)) is not None}
        # A field of scores or boxes that holds nulls only counts as missing.
        names = {use: name for use, name in names.items() if use == "label" or not pt.is_null(item[name])}
        return cls(names, {use: plain_type(item[name]) for use, name in names.items()})


_USES = {"label": LABELS, "score": SCORES, "box": BOXES}


def _name(fields: Mapping[str, pa.DataType], use: str) -> str | None:
    """Return the name of the field for a use, or None; among labels, fields of texts come before fields of numbers."""
    present = [name for name in _USES[use] if name in fields]
    texts = [name for name in present if use == "label" and is_text(plain_type(fields[name]))]
    return next(iter(texts + present), None)


def _item(kind: pa.DataType) -> pa.DataType | dict[str, pa.DataType] | None:
    """Return the type of a bare label, or the types of an object's fields; None where the column has no objects."""
    if is_list(kind):
        value = kind.value_type
        if not pt.is_struct(value):
            return value if _is_label(value) or pt.is_null(value) else None
        fields = {field.name: field.type for field in value}
    elif pt.is_struct(kind):
        fields = {field.name: field.type.value_type for field in kind if is_list(field.type)}
    else:
        return None
    return fields if _fits(fields) else None


def _is_label(kind: pa.DataType) -> bool:
    return is_text(plain_type(kind)) or pt.is_integer(plain_type(kind))


def _fits(fields: Mapping[str, pa.DataType]) -> bool:
    names = [_name(fields, use) for use in _USES]
    label, score, box = (None if name is None else fields[name] for name in names)
    return (
        label is not None
        and _is_label(label)
        and (score is None or pt.is_null(score) or is_number(score))
        and (box is None or pt.is_null(box) or (is_list(box) and is_number(box.value_type)))
    )


def class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Return the names of a column's class numbers, which `datasets` writes into a file's metadata, or None.

    Args:
        schema: schema of the file.
        column: name of the column, whose values are numbers or contain them.
    """
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = noted["info"]["features"][column]
    except (ValueError, KeyError, TypeError):
        return None
    lists = list(_class_labels(feature))
    return lists[0] if len(lists) == 1 else None


def _class_labels(feature: Any) -> Iterator[list[str]]:
    """Yield the names of every ``ClassLabel`` in the description of a feature."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            yield names
        return
    below = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else ()
    for part in below:
        yield from _class_labels(part)


def require_score(where: str, score: Any) -> float:
    """Return a confidence as a float.

    Raises:
        InputError: when it is no number from 0 to 1, since it would then always or never reach the threshold.
    """
    if isinstance(score, (int, float)) and not isinstance(score, bool) and 0 <= score <= 1:
        return float(score)
    raise InputError(
        f"{where}: the score {score!r} is no number from 0 to 1: mend it (percent are divided by 100), or leave the "
        "scores out where they are not known."
    )


def usable_box(box: Any) -> list[float] | None:
    """Return a box of four finite numbers as floats; None for any other value."""
    return _numbers(box, list)


def _numbers(box: Any, convert: Callable[[list[float]], list[float]]) -> list[float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in box):
        return None
    try:
        values = convert([float(value) for value in box])
    except OverflowError:
        return None
    return values if all(map(math.isfinite, values)) else None


def corners(box: Any) -> list[float] | None:
    """Return left, top, right, bottom of a box with left, top, width, height; None for all but four finite numbers."""
    return _numbers(box, lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
