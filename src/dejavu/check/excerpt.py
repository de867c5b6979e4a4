"""An excerpt of a dataset: a few raw rows, made into samples with objects by the code of the workflow's steps."""

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

# Models are tried on PAIRS pairs. The page shows the first SHOWN of them, on which a detector is tried, too.
PAIRS, SHOWN = 64, 8
# number of raw files that are searched for captions of members and of others
SEARCHED = 64
# The detector gets no further image after so many seconds: without a GPU, a large one takes long for each image.
SECONDS_OF_DETECTION = 30
_NAMES = pa.schema([ROW, UID])


@dataclass(frozen=True)
class Excerpt:
    """The first rows of some raw files of a dataset.

    Attributes:
        dataset: the dataset.
        folder: folder of the tables that the steps' code makes from the rows.
        raw: the raw rows.
    """

    dataset: Dataset
    folder: Path
    raw: RawExcerpt

    @property
    def columns(self) -> Columns:
        """The columns of the raw files by their use."""
        return Columns.of(self.dataset.columns)

    def files(self, kind: str) -> list[Path]:
        """Return the files of a table, such as ``samples``, one for each raw file."""
        return [self.folder / kind / table_name(name) for name in self.raw.paths]

    def records(self, kind: str, columns: Sequence[str]) -> list[dict]:
        """Return some columns of the rows of a table, such as ``samples``."""
        return [
            record for table in SampleStore([self.folder / kind]).scan(list(columns)) for record in table.to_pylist()
        ]

    def groups(self) -> list[dict]:
        """Return the row and the duplicate group of every sample, by the dataset's criteria of duplicates."""
        progress, groups = Progress(self.dataset.name, 0, "samples"), self.folder / "groups.parquet"
        for samples, fingerprints in zip(self.files("samples"), self.files("fingerprints"), strict=True):
            fingerprint_file(samples, fingerprints, progress)
        criteria = Criteria.of(self.dataset.section["duplicates"])
        group_duplicates([self.folder / "fingerprints"], groups, self.folder / "duplicates.parquet", criteria)
        return read_table(groups).to_pylist()

    def refused(self) -> pa.Table:
        """Return the rows of the quarantine, except failed downloads, for which the user's data are not to blame."""
        refused = pa.concat_tables([QUARANTINE.empty_table(), *map(pq.read_table, self.files("quarantine"))])
        return refused.filter(pa.array([reason != FAILED for reason in refused["reason"].to_pylist()], pa.bool_()))


def take_excerpt(dataset: Dataset, folder: Path) -> Excerpt:
    """Open every raw file of a dataset, and ingest the first rows of a few files, evenly spaced.

    Raw files that the workflow makes itself, from the synthetic world or from COCO's annotations, are made here, too.

    Args:
        dataset: the dataset.
        folder: folder for the excerpt's files.

    Raises:
        InputError: for the same faults as the steps that make samples.
    """
    excerpt = Excerpt(dataset, folder, dataset.form.excerpt(dataset.paths, folder, dataset.every_caption))
    progress = Progress(dataset.name, 0, "pairs")
    outputs = zip(excerpt.raw.paths.items(), excerpt.files("samples"), excerpt.files("quarantine"), strict=True)
    for (name, path), samples, quarantine in outputs:
        options = Ingestion(**dataset.ingestion)  # type: ignore[arg-type]
        ingest_file(RawFile(path, name, excerpt.columns), Ingested(samples, quarantine), progress, options)
    return excerpt


def write_names(excerpt: Excerpt) -> Path | None:
    """Write the uids of all rows of the excerpt's dataset, and return the folder of tables with row and uid.

    If every caption is a sample, the tables have one uid per image, without the number of the caption.

    Returns:
        The folder. None where the uids are unknown: the dataset has no column of keys, so its uids are hashes of
        content, or the excerpt does not have all raw files.
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
    """Return captions of members of a list, and captions of other samples, from evenly spaced raw files.

    Args:
        excerpt: excerpt of a dataset with keys and captions.
        members: the members' uids in their plain form.
        most: the search ends with the file that completes this number of captions of members and of others.
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
    """Yield, for each batch of a raw file, the number of its first row, its uids and its columns by use."""
    before = f"{PurePosixPath(name).with_suffix('')}/" if excerpt.dataset.section["key_unique_in"] == "file" else ""
    for start, batch in read_raw(excerpt.raw.whole[name], excerpt.columns, ("key", "caption")):
        yield start, _uids(batch["key"], before), batch


def _uids(keys: pa.Array, before: str) -> pa.Array:
    """Return the uids of keys: texts that begin with ``before``; null for a key that is no text in UTF-8."""
    texts = keys.cast(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        # Ingest puts a row whose key is not UTF-8 into the quarantine, so the row gets no uid here.
        texts = pa.array([text if isinstance(text, str) else None for text in python_values(texts)], pa.string())
    return pc.binary_join_element_wise(before, texts, "")


def take_objects(excerpt: Excerpt, names: Path | None, detector: Detector | None) -> list[dict]:
    """Return the objects of the excerpt's samples, as records ``{row, objects}``.

    A detector is tried on eight samples only, or on fewer if it is slow.

    Args:
        excerpt: excerpt of the dataset.
        names: folder from :func:`write_names`, which imported objects are matched with.
        detector: the detector, if the dataset's objects come from one.

    Raises:
        InputError: for the same faults as the steps that make objects.
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
    """Return samples with row, uid, caption and image, evenly spaced, no two with the same caption.

    The first :data:`SHOWN` of them are evenly spaced over the excerpt, too.
    """
    records = excerpt.records("samples", ["row", "uid", "caption", "image"])
    distinct = list({record["caption"] or record["uid"]: record for record in reversed(records)}.values())
    pairs = spread(sorted(distinct, key=lambda record: record["row"]), PAIRS)
    shown = spread(pairs, SHOWN)
    return [*shown, *(pair for pair in pairs if pair not in shown)]
