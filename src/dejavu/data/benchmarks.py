"""Benchmarks of the utility tasks: parquet files or shards of labelled images, or of true and false captions.

For a synthetic benchmark, the workflow draws files in the same format from the world of an embedded dataset.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from PIL import Image

from dejavu.data.evaluation import TEMPLATES as DRAWN_TEMPLATES
from dejavu.data.footers import rows_per_batch
from dejavu.data.images import BadImage, decode_rgb
from dejavu.data.raw import is_bytes, is_list, is_text, python_values
from dejavu.data.sources import ImageSource, Place
from dejavu.data.tars import TAR, image_of, read_keys, read_members
from dejavu.errors import InputError, closest
from dejavu.files import NUMBERS_PER_GROUP, first_line, matching_files
from dejavu.paths import EVALUATION, at

# utility task -> set of files -> name of the file that is drawn for the set in a synthetic benchmark
TASKS = {
    "zero_shot": {"data": "test"},
    "linear_probe": {"train": "train", "test": "test"},
    "compositional": {"data": "compositional"},
}
# utility task -> the uses of a benchmark's columns
USES = {
    "zero_shot": ("image", "label"),
    "linear_probe": ("image", "label"),
    "compositional": ("image", "caption", "negatives", "kind"),
}

# Names of OpenCLIP's lists of classes, and of its lists of prompts.
CLASSES = ("imagenet",)
TEMPLATES = ("openai", "simple")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of the configuration's section ``utility``.

    Attributes:
        task: one of :data:`TASKS`.
        name: its name in the configuration.
        files: set (``data``, or ``train`` and ``test``) -> paths of its files.
        columns: use, from :data:`USES` -> name of the column.
        classes: a name in :data:`CLASSES`, or the class names; None means the distinct labels.
        templates: a name in :data:`TEMPLATES`, or prompts in which ``{}`` stands for the class.
        regularization: values of C that a linear probe tries.
        texts: paths of the files that classes and templates were read from.
    """

    task: str
    name: str
    files: Mapping[str, Sequence[str]]
    columns: Mapping[str, str]
    classes: str | Sequence[str] | None = None
    templates: str | Sequence[str] = "openai"
    regularization: Sequence[float] = ()
    texts: Sequence[str] = ()

    @property
    def inputs(self) -> list[str]:
        """The paths of all files that the benchmark reads."""
        return [*(file for files in self.files.values() for file in files), *self.texts]


def find_benchmarks(section: Mapping[str, Any]) -> list[Benchmark]:
    """Return the benchmarks of a checked section ``utility``, by task, then by name.

    Raises:
        InputError: when a pattern matches no file, the first file of a set lacks a column, or a list of classes or
            templates does not exist or is malformed.
    """
    return [
        _benchmark(task, name, section[task][name], f"utility.{task}.{name}")
        for task in TASKS
        for name in sorted(section[task])
    ]


def drawn_datasets(section: Mapping[str, Any]) -> list[str]:
    """Return the embedded datasets that the synthetic benchmarks of a section ``utility`` name."""
    return sorted({entry["synthetic"] for task in TASKS for entry in section[task].values()} - {None})


def drawn_folder(dataset: str) -> str:
    """Return the folder of the benchmark files that are drawn from the world of an embedded dataset."""
    return at(EVALUATION, dataset=dataset)


def _benchmark(task: str, name: str, entry: Mapping[str, Any], where: str) -> Benchmark:
    columns = {use: entry[use] for use in USES[task]}
    drawn = entry["synthetic"]
    if drawn is None:
        files = {part: matching_files(f"{where}.{part}", entry[part]) for part in TASKS[task]}
        for paths in files.values():
            # Every job runs this code, so it opens only the first file. The others are checked when they are read.
            _check_file(paths[0], where, columns)
    else:
        files = {part: [f"{drawn_folder(drawn)}/{file}.parquet"] for part, file in TASKS[task].items()}
    classes, class_file = _lines(f"{where}.classes", entry.get("classes"), CLASSES)
    default = "openai" if drawn is None else DRAWN_TEMPLATES
    templates, template_file = _lines(f"{where}.templates", entry.get("templates") or default, TEMPLATES)
    if isinstance(templates, list):
        # In the files of clip-benchmark, {c} stands for the class.
        templates = [template.replace("{c}", "{}") for template in templates]
    for template in templates if not isinstance(templates, str) else []:
        if "{}" not in template:
            raise InputError(
                f"{where}.templates: {template!r} has no {{}}, which stands for the class: write it where the class "
                "belongs."
            )
    return Benchmark(
        task,
        name,
        files,
        columns,
        classes,
        templates,
        tuple(entry.get("regularization", ())),
        (*class_file, *template_file),
    )


def _lines(where: str, named: Any, known: Sequence[str]) -> tuple[Any, list[str]]:
    """Return a list of texts and the files that it was read from.

    ``named`` may be the list itself, a name in ``known``, which is returned as it is, or the path of a file with one
    entry per line.
    """
    if not isinstance(named, str) or named in known:
        return named, []
    try:
        lines = Path(named).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"{where} names {named!r}, which is neither a file nor one of {', '.join(known)}{closest(named, known)}: "
            "correct the path."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: {named} is not UTF-8 text ({error.reason}): save it as UTF-8.") from None
    lines = [line.strip() for line in lines]
    if not all(lines):
        # The number of a class is the number of its line, so skipping an empty line would shift all later classes.
        raise InputError(
            f"{where}: line {lines.index('') + 1} of {named} is empty: write one entry per line, without gaps."
        )
    if not lines:
        raise InputError(f"{where}: {named} is empty: write one entry per line.")
    return lines, [named]


def _check_file(path: str, where: str, columns: Mapping[str, str]) -> None:
    if not path.endswith(TAR):
        _open(path, where, columns).close()
        return
    if not set(columns) <= {"image", "label"}:
        raise InputError(f"{where}: {path} is a tar, and those hold labelled images only: bring parquet files.")
    next(read_members(Path(path)), None)


def _open(path: str, where: str, columns: Mapping[str, str]) -> pq.ParquetFile:
    """Open a file of a benchmark and checks its columns."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{where}: {path} is not a whole parquet file ({first_line(error)}): replace it.") from None
    schema = file.schema_arrow
    for use, name in columns.items():
        if name not in schema.names:
            raise InputError(
                f"{path} has no column {name!r}{closest(name, schema.names)}, which {where}.{use} names; it has "
                f"{', '.join(schema.names)}. Correct {where}.{use}."
            )
        kind = schema.field(name).type
        types, fits = _KINDS[use]
        if not fits(kind.value_type if pt.is_dictionary(kind) else kind):
            raise InputError(
                f"{path}: column {name!r} is {kind}, but {where}.{use} needs {types}: convert the column, or name "
                "another."
            )
    return file


# use -> (types of the column in words, whether a type is one of them)
_KINDS: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {
    "image": (
        "encoded images (binary), structs with bytes or path, or paths (string)",
        lambda kind: is_bytes(kind) or is_text(kind) or pt.is_struct(kind),
    ),
    "label": ("class names (string) or whole numbers", lambda kind: is_text(kind) or pt.is_integer(kind)),
    "caption": ("texts (string)", is_text),
    "negatives": ("lists of texts (string)", lambda kind: is_list(kind) and is_text(kind.value_type)),
    "kind": ("texts (string)", is_text),
}


def read_values(benchmark: Benchmark, part: str, use: str) -> list[Any]:
    """Return the values of a column, other than that of the images, from all files of a set.

    Args:
        benchmark: the benchmark.
        part: name of the set: ``data``, ``train`` or ``test``.
        use: use of the column, from :data:`USES`.

    Returns:
        Texts, whole numbers, or lists of texts.

    Raises:
        InputError: when a value is missing or has another type, or the files have no rows.
    """
    values: list[Any] = []
    for path in benchmark.files[part]:
        start = 0
        for column in _columns(benchmark, path, use, NUMBERS_PER_GROUP):
            for place, value in enumerate(column, start=start):
                if not _is_usable(value):
                    raise InputError(f"{path} row {place:,}: {use} is {value!r}: fill it in, or leave the row out.")
            start += len(column)
            values += column
    if not values:
        raise InputError(
            f"utility.{benchmark.task}.{benchmark.name}.{part}: there is no row in {', '.join(benchmark.files[part])}: "
            "name other files."
        )
    return values


def _is_usable(value: Any) -> bool:
    """Return whether a value is a whole number, a text, or a list of texts, and not empty."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(text, str) and text for text in value)
    return isinstance(value, int) or (isinstance(value, str) and bool(value))


def read_images(benchmark: Benchmark, part: str, size: int) -> Iterator[list[Image.Image | None]]:
    """Yield the images of a set in RGB, at most ``size`` at a time, with None in place of an unusable image.

    Paths in the column are relative to the folder of the file, and may not lead out of it.
    """
    for path in benchmark.files[part]:
        source = ImageSource(Place(path, benchmark.columns["image"], False, str(Path(path).parent)))
        for column in _columns(benchmark, path, "image", size):
            yield [_decoded(source, value) for value in column]


def _decoded(source: ImageSource, value: object) -> Image.Image | None:
    try:
        return decode_rgb(source.read(value))
    except BadImage:
        return None


def _columns(benchmark: Benchmark, path: str, use: str, size: int) -> Iterator[list]:
    if path.endswith(TAR):
        yield from _of_shard(path, use, size)
        return
    where = f"utility.{benchmark.task}.{benchmark.name}"
    name = benchmark.columns[use]
    with _open(path, where, {use: name}) as file:
        try:
            for batch in file.iter_batches(batch_size=min(size, rows_per_batch(file, [name])), columns=[name]):
                yield python_values(batch.column(0))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{where}: {path} is damaged ({first_line(error)}): replace it.") from None


def _of_shard(path: str, use: str, size: int) -> Iterator[list]:
    """Yield the images, or the labels in the members ``.cls``, of those keys of a shard that have an image."""
    samples = [members for members in read_keys(Path(path)).values() if image_of(members)]
    with open(path, "rb") as file:
        for start in range(0, len(samples), size):
            part = samples[start : start + size]
            places = [image_of(members) if use == "image" else members.get(".cls") for members in part]
            contents = [None if place is None else os.pread(file.fileno(), place[1], place[0]) for place in places]
            yield contents if use == "image" else [None if data is None else _label(data) for data in contents]


def _label(data: bytes) -> int | str:
    """Return a label of a shard: the number of a class where the text is a number, else its name."""
    text = data.decode("utf-8-sig", "replace").strip()
    return int(text) if text.isdecimal() else text
