"""Imported files of objects: COCO instances in JSON, or parquet with one object per row; both become one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dejavu.data.coco import annotation_score, identifier, load_annotations
from dejavu.data.objects import corners, is_number, require_score
from dejavu.data.raw import is_list, is_text
from dejavu.data.texts import as_utf8
from dejavu.errors import InputError, closest, words
from dejavu.files import NUMBERS_PER_GROUP, first_line, matching_files, write_table
from dejavu.progress import Progress
from dejavu.tables.data import BOX, IMPORTED

SUFFIXES = (".json", ".parquet")
REMEDY = words(
    "bring COCO instances (images, annotations, categories), or parquet with the columns uid, label, score, box"
)


def find_imports(where: str, patterns: Sequence[str]) -> list[str]:
    """Return the files that patterns match, sorted.

    Raises:
        InputError: when a pattern matches no file, or a file is neither JSON nor parquet.
    """
    files = matching_files(where, patterns)
    for file in files:
        if Path(file).suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{where}: {file} is neither .json (COCO instances) nor .parquet (columns uid, label, and if known "
                "score, box): convert it, or narrow the pattern."
            )
    return files


def read_imports(files: Sequence[str], imported: Path, progress: Progress) -> None:
    """Write the objects of all files as one table, schema ``IMPORTED``.

    Parquet files are streamed. A JSON file is read whole, without its outlines; COCO's 450 MB take about 1 GB of
    memory.

    Raises:
        InputError: when a file is damaged, or is neither COCO instances nor parquet with the columns of objects.
    """

    def parts() -> Iterator[pa.Table]:
        for file in files:
            for part in (_read_coco if Path(file).suffix.lower() == ".json" else _read_parquet)(file):
                progress.advance(part.num_rows)
                yield part

    if not write_table(imported, parts(), IMPORTED, NUMBERS_PER_GROUP):
        raise InputError(f"{', '.join(files)}: there is no object in them: name other files in annotate.files.")


def _read_parquet(path: str) -> Iterator[pa.Table]:
    start = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow)
            present = [name for name in _KINDS if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=NUMBERS_PER_GROUP, columns=present):
                yield _objects_of(path, start, batch)
                start += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a whole parquet file ({first_line(error)}): replace it.") from None


# column -> (its types in words, whether a type is one of them)
_KINDS: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {
    "uid": ("text or whole numbers", lambda kind: is_text(kind) or pt.is_integer(kind)),
    "label": ("text", is_text),
    "score": ("numbers", lambda kind: is_number(kind) or pt.is_null(kind)),
    "box": (
        "lists of four numbers",
        lambda kind: pt.is_null(kind) or (is_list(kind) and is_number(kind.value_type)),
    ),
}


def _check_columns(path: str, schema: pa.Schema) -> None:
    for name, (types, fits) in _KINDS.items():
        if schema.names.count(name) > 1:
            raise InputError(f"{path} has several columns {name!r}: write it again with different names.")
        if name in schema.names and not fits(schema.field(name).type):
            raise InputError(f"{path}: column {name!r} is {schema.field(name).type}, but it holds {types}: convert it.")
        if name in ("uid", "label") and name not in schema.names:
            raise InputError(
                f"{path} has no column {name!r}{closest(name, schema.names)}: objects to import have uid, label and, "
                f"if known, score and box (left, top, right, bottom in pixels); it has {', '.join(schema.names)}."
            )


def _objects_of(path: str, start: int, batch: pa.RecordBatch) -> pa.Table:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in ("uid", "label"):
        if columns[name].null_count:
            row = start + pc.index(columns[name].is_null(), True).as_py()
            raise InputError(f"{path} row {row:,}: {name} is empty: fill it in, or leave the row out.")
    size = batch.num_rows
    scores = columns.get("score", pa.nulls(size))
    if not pt.is_null(scores.type):
        usable = pc.fill_null(pc.and_(pc.greater_equal(scores, 0), pc.less_equal(scores, 1)), False)
        if not pc.all(usable).as_py():
            row = pc.index(usable, False).as_py()
            require_score(words(f"{path} row {start + row:,}"), scores[row].as_py())
    score = scores.cast(pa.float32())
    return pa.table(
        {
            "uid": columns["uid"].cast(pa.string()),
            "image_id": pa.nulls(size, pa.string()),
            "label": columns["label"].cast(pa.string()),
            "score": score.fill_null(1.0),
            "box": _boxes(columns.get("box", pa.nulls(size))),
        },
        schema=IMPORTED,
    )


def _boxes(boxes: pa.Array) -> pa.Array:
    """Return boxes as lists of four numbers; null for a list of another length."""
    if pt.is_null(boxes.type):
        return boxes.cast(BOX)
    usable = pc.fill_null(pc.equal(pc.list_value_length(boxes), 4), False)
    values = boxes.filter(usable).flatten().cast(pa.float32())
    places = pc.if_else(usable, pc.subtract(pc.cumulative_sum(usable.cast(pa.int64())), 1), None)
    return pa.FixedSizeListArray.from_arrays(values, 4).cast(BOX).take(places)


def _read_coco(path: str) -> Iterator[pa.Table]:
    content = load_annotations(Path(path), ("images", "annotations", "categories"), REMEDY)
    labels = _names(path, content["categories"], "categories", lambda category: category.get("name"))
    files = _names(path, content["images"], "images", _file)
    annotations = content["annotations"]
    for start in range(0, len(annotations), NUMBERS_PER_GROUP):
        records = []
        for number, annotation in enumerate(annotations[start : start + NUMBERS_PER_GROUP], start=start):
            records.append(_coco_object(words(f"{path}: annotations[{number}]"), annotation, labels, files))
        yield pa.Table.from_pylist(records, schema=IMPORTED)


def _names(path: str, sections: list[dict], key: str, name_of) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, section in enumerate(sections):
        name, entry_id = name_of(section), identifier(section.get("id"))
        if entry_id is None or not isinstance(name, str) or not name:
            raise InputError(f"{path}: {key}[{number}] has no id, or no name: mend it.")
        if names.setdefault(entry_id, as_utf8(name)) != as_utf8(name):
            raise InputError(
                f"{path}: the id {entry_id} in {key} stands for {names[entry_id]!r} and {name!r}: take one out."
            )
    return names


def _file(image: Mapping) -> str | None:
    """Return the path of an image's file. LVIS gives only the image's address, so that stands in for it."""
    file = image.get("file_name") or image.get("coco_url") or image.get("id")
    return str(file).replace("\\", "/").removeprefix("./")


def _coco_object(where: str, annotation: Mapping, labels: Mapping[str, str], files: Mapping[str, str]) -> dict:
    """Return the object of an annotation. A crowd (``iscrowd``) is kept, since the image does show its label."""
    image, category = (identifier(annotation.get(key)) for key in ("image_id", "category_id"))
    for key, value, known in (("image_id", image, files), ("category_id", category, labels)):
        if value is None or value not in known:
            raise InputError(f"{where} has {key} {annotation.get(key)!r}, which the file does not list: mend the file.")
    assert image is not None and category is not None
    return {
        "uid": files[image],
        "image_id": image,
        "label": labels[category],
        "score": annotation_score(where, annotation),
        "box": corners(annotation.get("bbox")),
    }
