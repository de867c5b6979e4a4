"""A few rows of a dataset, made into samples with objects by the very code of the workflow's steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dejavu.data.annotate import annotate_file
from dejavu.data.detector import Detector
from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.forms.base import RawExcerpt, spread
from dejavu.data.images import decode_rgb
from dejavu.data.import_files import find_imports, read_imports
from dejavu.data.imported import import_objects, match_import
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.members import plain
from dejavu.data.quarantine import FAILED
from dejavu.data.raw import Columns, python_values, read_raw, table_name
from dejavu.data.samples import SampleStore
from dejavu.files import read_table, write_table
from dejavu.plan.datasets import Dataset
from dejavu.progress import Progress
from dejavu.tables.data import OBJECTS, QUARANTINE
from dejavu.tables.fields import ROW, UID

# pairs that models are tried on, the first of which are shown and detected in
PAIRS, SHOWN = 64, 8
# files that captions of members and of others are looked for in
SEARCHED = 64
# a large detector takes as long for an image, where there is no GPU, as all the rest
SECONDS_OF_DETECTION = 30
_NAMES = pa.schema([ROW, UID])


@dataclass(frozen=True)
class Excerpt:
    """The first rows of some raw files of a dataset.

    Attributes:
        dataset: the dataset.
        folder: of the tables that are made of the rows.
        raw: the rows.
    """

    dataset: Dataset
    folder: Path
    raw: RawExcerpt

    @property
    def columns(self) -> Columns:
        """What the raw columns hold."""
        return Columns.of(self.dataset.columns)

    def files(self, kind: str) -> list[Path]:
        """The files of a table, one for each raw file."""
        return [self.folder / kind / table_name(name) for name in self.raw.paths]

    def records(self, kind: str, columns: Sequence[str]) -> list[dict]:
        """The rows of a table."""
        return [
            record for table in SampleStore([self.folder / kind]).scan(list(columns)) for record in table.to_pylist()
        ]

    def groups(self) -> list[dict]:
        """Row and group of every sample, by the dataset's criteria of duplicates."""
        progress, groups = Progress(self.dataset.name, 0, "samples"), self.folder / "groups.parquet"
        for samples, fingerprints in zip(self.files("samples"), self.files("fingerprints"), strict=True):
            fingerprint_file(samples, fingerprints, progress)
        criteria = Criteria.of(self.dataset.section["duplicates"])
        group_duplicates([self.folder / "fingerprints"], groups, self.folder / "duplicates.parquet", criteria)
        return read_table(groups).to_pylist()

    def refused(self) -> pa.Table:
        """The quarantine, without downloads that had failed."""
        found = pa.concat_tables([QUARANTINE.empty_table(), *map(pq.read_table, self.files("quarantine"))])
        return found.filter(pa.array([reason != FAILED for reason in found["reason"].to_pylist()], pa.bool_()))


def take_excerpt(dataset: Dataset, folder: Path) -> Excerpt:
    """Opens every raw file of a dataset, and ingests the first rows of some that are spread over it.

    Args:
        dataset: of the configuration; what is drawn here, or comes from COCO's annotations, is made for this.
        folder: to work in.

    Raises:
        InputError: as the steps that make samples.
    """
    taken = Excerpt(dataset, folder, dataset.form.excerpt(dataset.paths, folder, dataset.every_caption))
    progress = Progress(dataset.name, 0, "pairs")
    outputs = zip(taken.raw.paths.items(), taken.files("samples"), taken.files("quarantine"), strict=True)
    for (name, path), samples, quarantine in outputs:
        how = Ingestion(**dataset.ingestion)  # type: ignore[arg-type]
        ingest_file(RawFile(path, name, taken.columns), Ingested(samples, quarantine), progress, how)
    return taken


def write_names(excerpt: Excerpt) -> Path | None:
    """Writes the uids of all rows of the dataset, as a folder of tables with row and uid.

    None where there are no keys, whose uids are hashes of content, the dataset is not drawn yet, or it has more shards
    than are read. Where every caption is a sample, an image's uid stands for all of them.
    """
    folder = excerpt.folder / "names"
    columns = excerpt.columns
    if columns.key is None or not excerpt.raw.is_complete:
        return None
    for name in excerpt.raw.whole:
        parts = (
            pa.table({"row": pa.array(range(start, start + len(uids))), "uid": uids}, schema=_NAMES).drop_null()
            for start, uids, _ in _keyed(excerpt, name)
        )
        write_table(folder / table_name(name), parts, _NAMES)
    return folder


def captions_by_kind(excerpt: Excerpt, members: set[str], most: int) -> tuple[list[str], list[str]]:
    """Captions of members of a list and of other samples, at most so many of each, from files that are spread.

    Args:
        excerpt: of a dataset with keys and captions.
        members: uids in their plain form.
        most: number.
    """
    kinds: tuple[list[str], list[str]] = ([], [])
    for name in spread(sorted(excerpt.raw.whole), SEARCHED):
        for _, uids, batch in _keyed(excerpt, name):
            for uid, caption in zip(uids.to_pylist(), python_values(batch["caption"]), strict=True):
                text = caption[0] if isinstance(caption, list) and caption else caption
                if uid is not None and isinstance(text, str) and text.strip():
                    kinds[plain(uid) not in members].append(text.strip())
            if min(map(len, kinds)) >= most:
                return kinds
    return kinds


def _keyed(excerpt: Excerpt, name: str) -> Iterator[tuple[int, pa.Array, dict[str, pa.Array]]]:
    """Number of the first row, uids and what else is read of a raw file, part by part."""
    before = f"{PurePosixPath(name).with_suffix('')}/" if excerpt.dataset.section["key_unique_in"] == "file" else ""
    for start, batch in read_raw(excerpt.raw.whole[name], excerpt.columns, ("key", "caption")):
        yield start, _named(batch["key"], before), batch


def _named(keys: pa.Array, before: str) -> pa.Array:
    texts = keys.cast(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        # what is no UTF-8 is set aside as a sample, too
        texts = pa.array([text if isinstance(text, str) else None for text in python_values(texts)], pa.string())
    return pc.binary_join_element_wise(before, texts, "")


def take_objects(excerpt: Excerpt, names: Path | None, detector: Detector | None) -> list[dict]:
    """The objects of the excerpt's samples, as records ``{row, objects}``; a detector looks at eight of them, or fewer
    where it takes long.

    Args:
        excerpt: of the dataset.
        names: of :func:`write_names`, for objects that are imported.
        detector: where the dataset's objects come from one.

    Raises:
        InputError: as the steps that make objects.
    """
    dataset, samples, objects = excerpt.dataset, excerpt.files("samples"), excerpt.files("objects")
    progress = Progress(dataset.name, 0, "objects")
    if detector is not None:
        return list(_detected(excerpt, detector))
    if dataset.section["annotate"]["from"] == "import":
        imported = excerpt.folder / "imported.parquet"
        files = find_imports(f"datasets.{dataset.name}.annotate.files", dataset.section["annotate"]["files"])
        read_imports(files, imported, progress)
        whole = [str(names)] if names is not None else [str(excerpt.folder / "samples")]
        match_import(imported, whole, excerpt.folder / "matched.json", dataset.name, dataset.every_caption)
        import_objects(imported, samples, objects, progress, dataset.every_caption)
    elif excerpt.columns.objects is None:
        return []
    else:
        for path, sample, file in zip(excerpt.raw.paths.values(), samples, objects, strict=True):
            annotate_file(path, excerpt.columns, sample, file, progress)
    return excerpt.records("objects", OBJECTS.names)


def _detected(excerpt: Excerpt, detector: Detector) -> Iterator[dict]:
    start = time.monotonic()
    for record in chosen_pairs(excerpt)[:SHOWN]:
        if time.monotonic() - start < SECONDS_OF_DETECTION:
            yield {"row": record["row"], "objects": detector([decode_rgb(record["image"])])[0]}


def chosen_pairs(excerpt: Excerpt) -> list[dict]:
    """Some samples with row, uid, caption and image, no two of one caption; the first few are spread as well."""
    records = excerpt.records("samples", ["row", "uid", "caption", "image"])
    distinct = list({record["caption"] or record["uid"]: record for record in reversed(records)}.values())
    pairs = spread(sorted(distinct, key=lambda record: record["row"]), PAIRS)
    shown = spread(pairs, SHOWN)
    return [*shown, *(pair for pair in pairs if pair not in shown)]
