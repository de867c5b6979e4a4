"""Rates of a dataset's own rows: a process of its own, which reads the first rows and works on them in a folder.

It reads its task as JSON from its input: name and section of the dataset, device, folder, and how many rows the model
probe needs; and prints the rates as JSON. Samples stay in the folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.costs.rates import Rate
from dejavu.costs.timing import line, per_unit, seconds_of, size_below
from dejavu.data.annotate import annotate_file
from dejavu.data.detector import load_detector
from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.forms.base import Making
from dejavu.data.images import decode_rgb
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns, table_name
from dejavu.data.vocabulary import read_vocabulary
from dejavu.files import read_table
from dejavu.plan.datasets import Dataset
from dejavu.progress import Progress

ROWS = 1_000
# pairs of two files, whose difference counts: what a process does once costs as much as many small images
DRAWN = (20, 320)
DETECTED = 2


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        name, section: of the dataset.
        device: that a detector runs on.
        folder: to work in.
        rows: of samples that are to be left there, about.
    """

    name: str
    section: Mapping[str, Any]
    device: str
    folder: str
    rows: int = 0

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset itself."""
        return Dataset.of(self.name, self.section)


def main() -> None:
    """Measure and print."""
    task = Task(**json.load(sys.stdin))
    print(json.dumps({unit: [rate.seconds, rate.written] for unit, rate in dataset_rates(task).items()}))


def dataset_rates(task: Task) -> dict[str, Rate]:
    """Return the rates of a dataset's stages, from raw file to objects."""
    rates: dict[str, Rate] = {}
    paths = _drawn(task, rates) if task.dataset.form.world is not None else _excerpt(task, rates)
    repeat(paths, max(ROWS, task.rows))
    folder, columns = Path(task.folder), Columns.of(task.dataset.columns)
    names = {name: table_name(name) for name in paths}
    progress = Progress(task.name, 0, "rows")
    how = Ingestion(**task.dataset.ingestion)  # type: ignore[arg-type]

    def ingest() -> None:
        for name, path in paths.items():
            files = Ingested(folder / "samples" / names[name], folder / "quarantine" / names[name])
            ingest_file(RawFile(path, name, columns), files, progress, how)

    def fingerprint() -> None:
        for table in names.values():
            fingerprint_file(folder / "samples" / table, folder / "fingerprints" / table, progress)

    def annotate() -> None:
        for name, table in names.items():
            annotate_file(paths[name], columns, folder / "samples" / table, folder / "objects" / table, progress)

    rows = sum(pq.read_metadata(path).num_rows for path in paths.values())
    # once for what a process does at first
    for stage in (ingest, fingerprint):
        stage()
    rates["ingest_pair"] = per_unit(seconds_of(ingest), rows, size_below([folder / "samples", folder / "quarantine"]))
    rates["fingerprint_pair"] = per_unit(seconds_of(fingerprint), rows, size_below([folder / "fingerprints"]))
    source = task.section["annotate"]["from"]
    if source == "column":
        rates["annotate_pair"] = per_unit(seconds_of(annotate), rows, size_below([folder / "objects"]))
    elif source == "detector":
        rates["detect_pair"] = _detection(task, folder)
    return rates


def _drawn(task: Task, rates: dict[str, Rate]) -> dict[str, Path]:
    """Draw some pairs as the rule does, and note how long that takes."""
    name, path = min(task.dataset.paths), Path(task.folder) / "raw" / "part-00000.parquet"
    (step,) = task.dataset.form.steps
    costs = []
    # the first once more, for what a process does at first
    for pairs in (DRAWN[0], *DRAWN):
        synthetic = dict(task.section["synthetic"]) | {"pairs": pairs, "files": 1}
        job = Making({}, {"raw": path}, {"synthetic": json.dumps(synthetic)}, {"index": "0"}, task.name)
        costs.append((float(pairs), Rate(seconds_of(step.run, job), size_below([path]))))
    _, rates["raw_pair"] = line(*costs[1:])
    return {name: path}


def _excerpt(task: Task, rates: dict[str, Rate]) -> dict[str, Path]:
    """Take the first rows, and note how long each row of a raw file takes where the workflow makes it."""
    found = []

    def take() -> None:
        form = task.dataset.form
        found.append(form.excerpt(task.dataset.paths, Path(task.folder), task.dataset.every_caption))

    seconds = seconds_of(take)
    (excerpt,) = found
    if task.dataset.is_made:
        share = len(excerpt.paths) / len(task.dataset.paths) if task.dataset.form.images_are_in_tars else 1.0
        rates["raw_pair"] = per_unit(seconds, max(1.0, excerpt.pairs * share))
    return dict(excerpt.paths)


def repeat(paths: Mapping[str, Path], rows: int) -> None:
    """Make raw files longer, by their own rows again and again, until they hold so many together."""
    tables = {path: pq.read_table(path, partitioning=None) for path in paths.values()}
    present = sum(table.num_rows for table in tables.values())
    times = -(-rows // max(1, present))
    for path, table in tables.items():
        pq.write_table(pa.concat_tables([table] * times), path)


def _detection(task: Task, folder: Path) -> Rate:
    """Detect the objects of a few samples, after one that is not counted."""
    section = task.section["annotate"]
    vocabulary = read_vocabulary(section["vocabulary"], f"datasets.{task.name}.annotate.vocabulary")
    detector = load_detector(section["model"], vocabulary, device=task.device, min_score=section["min_score"])
    samples = read_table(next(iter(sorted((folder / "samples").glob("*.parquet")))), ["image"])
    images = [decode_rgb(image) for image in samples["image"].slice(0, DETECTED).to_pylist() if image is not None]
    detector(images[:1])
    return per_unit(seconds_of(detector, images), max(1, len(images)))


if __name__ == "__main__":
    main()
