"""Objects that come from files of their own: COCO instances in JSON, or parquet with one object per row.

What is brought is first put into one table, then matched as a whole against the dataset's samples, and then each batch
of samples takes its objects from it.
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
    """What a sample of an imported image may have as uid.

    Args:
        uid: of a row in parquet, which is its only name; or the path of a COCO file's image.
        image_id: the id of that image, or None for parquet.
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
    """Compares what was imported with the samples of a whole dataset, and writes the counts as JSON.

    An image of a COCO file belongs to the samples whose uid is its path, with or without folder and ending, or its id.

    Args:
        imported: table of :func:`read_imports`.
        samples: batch folders of the samples table.
        report: JSON file to write: images, images_matched, samples, samples_matched.
        dataset: its name, for the sentences.
        every_caption: whether every caption of an image is a sample, whose uid is the image's and a number.

    Raises:
        InputError: when no sample is matched, or a uid means two images.
    """
    files = [str(file) for folder in samples for file in sorted(Path(folder).glob("*.parquet"))]
    with duckdb.connect() as database:
        images = database.execute("SELECT DISTINCT uid, image_id FROM read_parquet(?)", [str(imported)]).fetchall()
        named = [(name, uid) for uid, image_id in images for name in image_names(uid, image_id)]
        names = pa.table({"name": [name for name, _ in named], "image": [uid for _, uid in named]})  # noqa: F841
        database.execute("CREATE TEMP TABLE names AS SELECT * FROM names")
        database.execute(_SAMPLES, {"samples": files, "every_caption": every_caption})
        counts = database.execute(_COUNTS).fetchall()[0]
        ambiguous = database.execute(_AMBIGUOUS).fetchone()
        theirs, ours = database.execute(
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
            f"{theirs!r} where the samples have {ours!r} as uid. Name the column that holds the same keys in "
            f"datasets.{dataset}.columns.key, or write the samples' uids into the import."
        )
    say(
        f"{total['images_matched']:,} of {total['images']:,} imported images are samples, the others are left out; "
        f"{total['samples'] - total['samples_matched']:,} of {total['samples']:,} samples have no object there, and "
        "are not scored."
    )
    write_json(report, total)


def import_objects(
    imported: Path,
    samples: Sequence[Path],
    objects: Sequence[Path],
    progress: Progress,
    every_caption: bool = False,
) -> None:
    """Writes the objects of some files' samples, schema ``OBJECTS``; a sample that the import lacks has none.

    The import is streamed once; what is held are the objects of these samples.

    Args:
        imported: table of :func:`read_imports`.
        samples: files of the samples table.
        objects: files to write, in the same order.
        progress: counts samples.
        every_caption: whether every caption of an image is a sample, whose uid is the image's and a number.
    """
    known = [read_table(file, ["row", "uid"]) for file in samples]
    names_of = [_image_names(table["uid"], every_caption) for table in known]
    wanted = {name for names in names_of for name in names}
    found: dict[str, list[dict]] = defaultdict(list)
    for part in scan_file(imported, IMPORTED.names):
        images = part.select(["uid", "image_id"]).group_by(["uid", "image_id"]).aggregate([]).to_pylist()
        # one file name may have several ids, one in each of several imported files
        named = {(i["uid"], i["image_id"]): image_names(i["uid"], i["image_id"]) & wanted for i in images}
        uids = pa.array({uid for (uid, _), names in named.items() if names}, pa.string())
        for record in part.filter(pc.is_in(part["uid"], value_set=uids)).to_pylist():
            for name in named[record["uid"], record["image_id"]]:
                found[name].append({key: record[key] for key in ("label", "score", "box")})
    for table, images_named, file in zip(known, names_of, objects, strict=True):
        pairs = zip(table["row"].to_pylist(), images_named, strict=True)
        records = [{"row": row, "objects": found.get(name, [])} for row, name in pairs]
        write_table(file, pa.Table.from_pylist(records, schema=OBJECTS), OBJECTS)
        progress.advance(len(records))


def _image_names(uids: pa.ChunkedArray, every_caption: bool) -> list[str]:
    return (pc.replace_substring_regex(uids, "#[0-9]+$", "") if every_caption else uids).to_pylist()
