"""Raw parquet files: the uses of their columns, ids of files and rows, checked reading, and the number of pairs."""

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
    """The names of the raw files' columns by use; None for a use without a column.

    Attributes:
        image: bytes, structs ``{bytes, path}``, or paths; None where the images are in a tar beside the raw file.
        caption: texts, or lists of texts; None for images that are only searched.
        key: the user's identifiers, texts or whole numbers; with a tar, the members' names without ending.
        objects: the objects of the image.
        status: texts; a row whose status is not ``success`` goes to the quarantine.
        error: texts; the reasons of a status other than ``success``.
    """

    image: str | None
    caption: str | None
    key: str | None = None
    objects: str | None = None
    status: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Columns:
        """Return the columns in the section ``columns`` of a dataset's configuration."""
        return cls(**names)

    def named(self) -> dict[str, str]:
        """Return use -> column name, for the uses that have a column."""
        return {use: name for use, name in vars(self).items() if name is not None}

    def found_in(self, schema: pa.Schema) -> dict[str, str]:
        """Return use -> column name as :meth:`named` does, with the further columns of a file of img2dataset."""
        has_status = set(STATUS.values()) <= set(schema.names)
        further = STATUS | NOTED if self.image is None else STATUS if has_status else {}
        present = {use: name for use, name in further.items() if name in schema.names}
        fitting = {use: name for use, name in present.items() if _is_noted_type(use, schema.field(name))}
        return fitting | self.named()

    def place(self, raw: Path, image_root: str, image_links: Sequence[str] = ()) -> Place:
        """Return the place of a raw file's images."""
        column = self.key if self.image is None else self.image
        if column is None:
            raise ValueError("images in a tar are found by key")
        return Place(str(raw), column, self.image is None, image_root, tuple(image_links))


def file_id(path: str) -> int:
    """Return the 31-bit hash of a raw file's path relative to the dataset's root: the upper half of ``row``."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest(), "big") >> 1


def file_ids(paths: Sequence[str], dataset: str) -> dict[str, int]:
    """Return path -> id, for all raw files of a dataset.

    Raises:
        InputError: when two paths share an id, which has a probability of 1 in 4,300 for a thousand files.
    """
    ids: dict[int, str] = {}
    for path in paths:
        earlier = ids.setdefault(file_id(path), path)
        if earlier != path:
            raise InputError(
                f"dataset {dataset!r}: the raw files {earlier!r} and {path!r} have the same hash; rename one of them."
            )
    return {path: number for number, path in ids.items()}


def batch_name(first_file: str) -> str:
    """Return the name of a batch of files, the id of its first raw file in eight hexadecimal digits."""
    return f"{file_id(first_file):08x}"


def table_name(raw_name: str) -> str:
    """Return the file name of a table that belongs to one raw file."""
    return f"{file_id(raw_name):08x}.parquet"


def open_raw(path: str | Path, columns: Columns) -> pq.ParquetFile:
    """Open a raw file, and check that it has the columns that the configuration names.

    Raises:
        InputError: when the file is missing, is no parquet file, is damaged, or lacks a column.
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
                f"{path} has {present.count(name)} columns {name!r}, so columns.{use} is ambiguous: write the "
                "file again with different names."
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


# use -> types of the column, in words
_KINDS = {
    "image": "encoded images (binary), structs with bytes or path, or paths (string)",
    "caption": "texts (string), or lists of texts",
    "key": "texts (string) or whole numbers",
    "status": "texts (string)",
}


def _fits(use: str, kind: pa.DataType) -> bool:
    """Return whether a column of this type fits a use; a column of nulls fits every use."""
    kind = plain_type(kind)
    if pt.is_null(kind):
        return True
    if use == "image" and pt.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        data, path = fields.get("bytes", pa.null()), fields.get("path", pa.null())
        return ("bytes" in fields or "path" in fields) and (
            (is_bytes(data) or pt.is_null(data)) and (is_text(path) or pt.is_null(path))
        )
    if use == "image":
        return is_bytes(kind) or is_text(kind)
    if use == "caption" and is_list(kind):
        return is_text(plain_type(kind.value_type)) or pt.is_null(kind.value_type)
    return is_text(kind) or (use == "key" and pt.is_integer(kind))


def _is_noted_type(use: str, column: pa.Field) -> bool:
    """Return whether a column with a name of img2dataset's also has the type that img2dataset writes."""
    kind = plain_type(column.type)
    return pt.is_integer(kind) or pt.is_floating(kind) if use in ("width", "height") else is_text(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values; for a dictionary (categories), the type of its entries."""
    return kind.value_type if pt.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds texts."""
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds bytes."""
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds lists."""
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def python_values(array: pa.Array) -> list:
    """Return the values of an array as Python objects; a text that is not UTF-8 becomes bytes."""
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
    """Yield (number of the first row, {use: array}) for each batch of a raw file, with only the columns of ``uses``.

    Raises:
        InputError: for the same faults as :func:`open_raw`, and when a page within the file is damaged.
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
    """Count the pairs of every raw file from its footer.

    Args:
        paths: name relative to the root -> path.
        columns: names of the columns by use, which are checked in every file.
        every_caption: whether each caption of a list makes a pair, or else each row does. An empty list counts as one
            pair, which goes to the quarantine later.

    Returns:
        Name -> number of pairs.

    Raises:
        InputError: for the same faults as :func:`open_raw`.
    """
    counts = {}
    for name, path in paths.items():
        with open_raw(path, columns) as file:
            # For a column of lists, the footer counts the elements, and one for each empty or null list.
            chunks = column_chunks(file, columns.caption) if every_caption and columns.caption else []
            counts[name] = sum(chunk.num_values for chunk in chunks) if chunks else file.metadata.num_rows
    return counts
