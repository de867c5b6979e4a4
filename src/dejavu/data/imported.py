"""Imported objects, matched with the samples of a dataset.

:mod:`dejavu.data.import_files` makes one table of all imported files. :func:`match_import` compares this table with the
samples of the whole dataset. :func:`import_objects` writes the objects of one batch of samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.samples import scan_file
from dejavu.errors import InputError
from dejavu.files import read_table, write_json, write_table
from dejavu.progress import Progress, say
from dejavu.tables.data import IMPORTED, OBJECTS


def image_names(uid: str, image_id: str | None) -> set[str]:
    """Return the uids that samples of an imported image may have.

    Args:
        uid: for parquet, the uid of the row, which is the image's only name; for COCO, the path of the image.
        image_id: for COCO, the id of the image; None for parquet.
    """
    if image_id is None:
        return {uid}
    path = PurePosixPath(uid)
    return {uid, str(path.with_suffix("")) if path.name else uid, path.name, path.stem, image_id} - {""}


_SAMPLES = """
    CREATE TEMP TABLE samples AS
    SELECT image AS uid, image IN (SELECT name FROM names) AS named
    FROM (SELECT CASE WHEN $every_caption THEN regexp_replace(uid, '#[0-9]+$', '') ELSE uid END AS image
          FROM read_parquet($samples))
"""
_COUNTS = """
    SELECT
        (SELECT count(DISTINCT image) FROM names),
        (SELECT count(DISTINCT image) FROM names SEMI JOIN samples ON name = samples.uid),
        (SELECT count(*) FROM samples),
        (SELECT count(*) FROM samples WHERE named)
"""
_AMBIGUOUS = """
    SELECT name, min(image), max(image) FROM names SEMI JOIN samples ON name = samples.uid
    GROUP BY name HAVING count(DISTINCT image) > 1 ORDER BY name LIMIT 1
"""


def match_import(
    imported: Path, samples: Sequence[str], report: Path, dataset: str, every_caption: bool = False
) -> None:
    """Compare imported images with the samples of a whole dataset, and write the counts of matches as JSON.

    An image of a COCO file matches the samples whose uid is its path, with or without folder and ending, or its id.

    Args:
        imported: table of :func:`dejavu.data.import_files.read_imports`.
        samples: batch folders of the samples table.
        report: JSON file to write, with images, images_matched, samples and samples_matched.
        dataset: name of the dataset, for messages.
        every_caption: whether every caption of an image is a sample, whose uid is the image's with ``#`` and a number.

    Raises:
        InputError: when no sample matches, or a uid matches several images.
    """
    files = [str(file) for folder in samples for file in sorted(Path(folder).glob("*.parquet"))]
    with duckdb.connect() as database:
        images = database.execute("SELECT DISTINCT uid, image_id FROM read_parquet(?)", [str(imported)]).fetchall()
        pairs = [(name, uid) for uid, image_id in images for name in image_names(uid, image_id)]
        # DuckDB finds this table by the name of the variable.
        names = pa.table({"name": [name for name, _ in pairs], "image": [uid for _, uid in pairs]})  # noqa: F841
        database.execute("CREATE TEMP TABLE names AS SELECT * FROM names")
        database.execute(_SAMPLES, {"samples": files, "every_caption": every_caption})
        counts = database.execute(_COUNTS).fetchall()[0]
        ambiguous = database.execute(_AMBIGUOUS).fetchone()
        import_uid, sample_uid = database.execute(
            "SELECT (SELECT min(name) FROM names), (SELECT min(uid) FROM samples)"
        ).fetchall()[0]
    total = dict(zip(("images", "images_matched", "samples", "samples_matched"), counts, strict=True))
    if ambiguous:
        raise InputError(
            f"datasets.{dataset}.annotate: the uid {ambiguous[0]!r} may mean several imported images, by file name or "
            f"id ({ambiguous[1]!r} and {ambiguous[2]!r}): give the samples the whole path as key, or bring the objects "
            "as parquet, with the samples' uid."
        )
    if not total["samples_matched"]:
        raise InputError(
            f"datasets.{dataset}.annotate: none of the {total['images']:,} imported images is a sample: the import has "
            f"{import_uid!r} where the samples have {sample_uid!r} as uid. Name the column that holds the same keys in "
            f"datasets.{dataset}.columns.key, or write the samples' uids into the import."
        )
    say(
        f"{total['images_matched']:,} of {total['images']:,} imported images are samples, the others are left out; "
        f"{total['samples'] - total['samples_matched']:,} of {total['samples']:,} samples have no object in the "
        "import, and are not scored."
    )
    write_json(report, total)


def import_objects(
    imported: Path,
    samples: Sequence[Path],
    objects: Sequence[Path],
    progress: Progress,
    every_caption: bool = False,
) -> None:
    """Write the objects of the samples in some files, schema ``OBJECTS``; a sample without imported objects gets none.

    The table of imported objects is streamed once. Memory holds the objects of these samples.

    Args:
        imported: table of :func:`dejavu.data.import_files.read_imports`.
        samples: files of the samples table.
        objects: files to write, in the same order.
        progress: counts the samples.
        every_caption: whether every caption of an image is a sample, whose uid is the image's with ``#`` and a number.
    """
    tables = [read_table(file, ["row", "uid"]) for file in samples]
    names_of = [_image_names(table["uid"], every_caption) for table in tables]
    wanted = {name for names in names_of for name in names}
    objects_of: dict[str, list[dict]] = defaultdict(list)
    for part in scan_file(imported, IMPORTED.names):
        images = part.select(["uid", "image_id"]).group_by(["uid", "image_id"]).aggregate([]).to_pylist()
        # If several files are imported, each may give the same image an id of its own.
        named = {(i["uid"], i["image_id"]): image_names(i["uid"], i["image_id"]) & wanted for i in images}
        uids = pa.array({uid for (uid, _), names in named.items() if names}, pa.string())
        for record in part.filter(pc.is_in(part["uid"], value_set=uids)).to_pylist():
            for name in named[record["uid"], record["image_id"]]:
                objects_of[name].append({key: record[key] for key in ("label", "score", "box")})
    for table, names, file in zip(tables, names_of, objects, strict=True):
        pairs = zip(table["row"].to_pylist(), names, strict=True)
        records = [{"row": row, "objects": objects_of.get(name, [])} for row, name in pairs]
        write_table(file, pa.Table.from_pylist(records, schema=OBJECTS), OBJECTS)
        progress.advance(len(records))


def _image_names(uids: pa.ChunkedArray, every_caption: bool) -> list[str]:
    return (pc.replace_substring_regex(uids, "#[0-9]+$", "") if every_caption else uids).to_pylist()
