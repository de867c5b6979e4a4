"""Raw parquet as users bring it: which files there are, and what their columns hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dejavu.data.downloads import NOTED, STATUS
from dejavu.data.footers import column_chunks, rows_per_batch
from dejavu.data.sources import Place
from dejavu.errors import InputError, closest
from dejavu.files import first_line


@dataclass(frozen=True)
class Columns:
    """Which columns of the raw files hold what; any may be absent (None).

    Attributes:
        image: bytes, structs ``{bytes, path}``, or paths; None where the images are in a tar beside the raw file.
        caption: a text, or a list of texts; None for images that are searched only.
        key: the user's identifier, a text or a whole number; with a tar, the name of the member without its ending.
        objects: what is in the image.
        status: a text; a row where it is not ``success`` is set aside.
        error: why ``status`` is not ``success``.
    """

    image: str | None
    caption: str | None
    key: str | None = None
    objects: str | None = None
    status: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Columns:
        """From the ``columns`` section of a dataset's configuration."""
        return cls(**names)

    def named(self) -> dict[str, str]:
        """What is mapped: use -> column name."""
        return {use: name for use, name in vars(self).items() if name is not None}

    def found_in(self, schema: pa.Schema) -> dict[str, str]:
        """As :meth:`named`, with what a file of img2dataset has besides."""
        has_status = set(STATUS.values()) <= set(schema.names)
        more = STATUS | NOTED if self.image is None else STATUS if has_status else {}
        fitting = {use: name for use, name in more.items() if name in schema.names and _notes(use, schema.field(name))}
        return fitting | self.named()

    def place(self, raw: Path, image_root: str, image_links: Sequence[str] = ()) -> Place:
        """Where the images of a raw file are."""
        column = self.key if self.image is None else self.image
        if column is None:
            raise ValueError("images in a tar are found by key")
        return Place(str(raw), column, self.image is None, image_root, tuple(image_links))


def file_id(path: str) -> int:
    """31-bit hash of a raw file's path relative to the dataset's root; the upper half of its samples' ``row``."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest(), "big") >> 1


def file_ids(paths: Sequence[str], dataset: str) -> dict[str, int]:
    """The ids of all raw files of a dataset.

    Raises:
        InputError: when two paths share an id, which one in two thousand sets of a thousand files does.
    """
    ids: dict[int, str] = {}
    for path in paths:
        other = ids.setdefault(file_id(path), path)
        if other != path:
            raise InputError(
                f"dataset {dataset!r}: the raw files {other!r} and {path!r} have the same hash; rename one of them."
            )
    return {path: number for number, path in ids.items()}


def batch_name(first_file: str) -> str:
    """Eight hexadecimal digits."""
    return f"{file_id(first_file):08x}"


def table_name(raw_name: str) -> str:
    """File name of a table that belongs to one raw file."""
    return f"{file_id(raw_name):08x}.parquet"


def open_raw(path: str | Path, columns: Columns) -> pq.ParquetFile:
    """Opens a raw file and checks that it has the columns that the configuration names.

    Raises:
        InputError: when it is missing, is no parquet file or is damaged, or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: correct datasets.*.raw in the configuration.") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is not a whole parquet file ({first_line(error)}): replace it, or take it out of datasets.*.raw."
        ) from None
    present = file.schema_arrow.names
    for use, name in columns.named().items():
        if present.count(name) > 1:
            raise InputError(
                f"{path} has {present.count(name)} columns {name!r}, so it cannot be known which one columns.{use} "
                "means: write the file anew with different names."
            )
        if name not in present:
            raise InputError(
                f"{path} has no column {name!r}{closest(name, present)}, which columns.{use} names; "
                f"it has {', '.join(present)}. Correct datasets.*.columns.{use}."
            )
        if use in _KINDS and not _fits(use, file.schema_arrow.field(name).type):
            raise InputError(
                f"{path}: column {name!r} is {file.schema_arrow.field(name).type}, but columns.{use} needs "
                f"{_KINDS[use]}: convert the column, or name another in datasets.*.columns.{use}."
            )
    return file


_KINDS = {
    "image": "encoded images (binary), structs with bytes or path, or paths (string)",
    "caption": "texts (string), or lists of texts",
    "key": "texts (string) or whole numbers",
    "status": "texts (string)",
}


def _fits(use: str, kind: pa.DataType) -> bool:
    """Whether a column of a type can be put to a use; a column of nulls alone always can."""
    kind = plain_type(kind)
    if pt.is_null(kind):
        return True
    if use == "image" and pt.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        held, named = fields.get("bytes", pa.null()), fields.get("path", pa.null())
        return ("bytes" in fields or "path" in fields) and (
            (is_bytes(held) or pt.is_null(held)) and (is_text(named) or pt.is_null(named))
        )
    if use == "image":
        return is_bytes(kind) or is_text(kind)
    if use == "caption" and is_list(kind):
        return is_text(plain_type(kind.value_type)) or pt.is_null(kind.value_type)
    return is_text(kind) or (use == "key" and pt.is_integer(kind))


def _notes(use: str, column: pa.Field) -> bool:
    """Whether a column of img2dataset's name has its type."""
    kind = plain_type(column.type)
    return pt.is_integer(kind) or pt.is_floating(kind) if use in ("width", "height") else is_text(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values, also of those that are written as categories."""
    return kind.value_type if pt.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes."""
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists."""
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def python_values(array: pa.Array) -> list:
    """The values of an array as Python objects; a text that is not UTF-8 comes as its bytes."""
    try:
        return array.to_pylist()
    except UnicodeDecodeError:
        return [_python_value(scalar) for scalar in array]


def _python_value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        if pt.is_dictionary(scalar.type):
            return _python_value(scalar.value)
        if pt.is_struct(scalar.type):
            return {name: _python_value(scalar[name]) for name in scalar}
        if is_list(scalar.type):
            return python_values(scalar.values)
        return scalar.as_buffer().to_pybytes()


def read_raw(path: str | Path, columns: Columns, uses: Sequence[str]) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Yields (number of the first row, {use: array}) for batches of a raw file, reading only the columns asked for.

    Raises:
        InputError: as :func:`open_raw`, and when a page in the middle of the file is damaged.
    """
    file = open_raw(path, columns)
    wanted = {use: name for use, name in columns.found_in(file.schema_arrow).items() if use in uses}
    names = sorted(set(wanted.values()))
    start = 0
    try:
        for batch in file.iter_batches(batch_size=rows_per_batch(file, names), columns=names):
            yield start, {use: batch.column(name) for use, name in wanted.items()}
            start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is damaged after row {start:,} ({first_line(error)}): replace it, "
            "or take it out of datasets.*.raw."
        ) from None


def take_inventory(paths: Mapping[str, str], columns: Columns, every_caption: bool = False) -> dict[str, int]:
    """Counts the pairs of every raw file from its footer.

    Args:
        paths: name relative to the root -> path.
        columns: the column mapping, checked against every file.
        every_caption: whether each caption of a list makes a pair; else each row does. A list without any counts as
            one pair, which is then set aside.

    Returns:
        Name -> number of pairs.

    Raises:
        InputError: as :func:`open_raw`.
    """
    counts = {}
    for name, path in paths.items():
        with open_raw(path, columns) as file:
            # for a list column the footer counts elements, plus one per empty or null list
            chunks = column_chunks(file, columns.caption) if every_caption and columns.caption else []
            counts[name] = sum(chunk.num_values for chunk in chunks) if chunks else file.metadata.num_rows
    return counts
