"""Objects of the images, from a column of the raw files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa

from dejavu.data.objects import ObjectsColumn
from dejavu.data.raw import Columns, open_raw, python_values, read_raw
from dejavu.errors import InputError, words
from dejavu.files import read_table, write_table
from dejavu.progress import Progress
from dejavu.tables.data import OBJECTS


def annotate_file(raw: Path, columns: Columns, samples: Path, objects: Path, progress: Progress) -> None:
    """Write the objects of one file's samples, from the raw column that ``columns.objects`` names.

    :mod:`dejavu.data.objects` describes the types that the column may have. A null means no objects.

    Args:
        raw: the raw file.
        columns: columns of the raw file by use.
        samples: file of the samples table that was made from the raw file.
        objects: parquet file to write.
        progress: counts the rows of the raw file.

    Raises:
        InputError: when the column has another type, a score is no number from 0 to 1, or the raw file has changed.
    """
    assert columns.objects is not None
    column = ObjectsColumn(words(f"{raw}: column {columns.objects!r}"), _schema(raw, columns), columns.objects)
    ingested = read_table(samples, ["row", "source_row"])
    # A raw row has several samples where every caption of an image is a sample.
    rows_of = defaultdict(list)
    for row, source_row in zip(ingested["row"].to_pylist(), ingested["source_row"].to_pylist(), strict=True):
        rows_of[source_row].append(row)

    def parts():
        for start, batch in read_raw(raw, columns, ("objects",)):
            records = []
            for number, value in enumerate(python_values(batch["objects"]), start):
                objects = column.read(number, value) if number in rows_of else []
                records += [{"row": row, "objects": objects} for row in rows_of.get(number, ())]
            progress.advance(len(batch["objects"]))
            yield pa.Table.from_pylist(records, schema=OBJECTS)

    written = write_table(objects, parts(), OBJECTS)
    if written != ingested.num_rows:
        raise InputError(
            f"{samples} has {ingested.num_rows:,} samples, but {raw} has {written:,} of them: the raw file has changed "
            "since it was ingested. Delete the samples folder of the dataset and run again."
        )


def _schema(raw: Path, columns: Columns) -> pa.Schema:
    with open_raw(raw, columns) as file:
        return file.schema_arrow
