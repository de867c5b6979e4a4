"""What each stage of the workflow read, passed on and dropped, counted from the files themselves, and what it cost.

A stage has a row for everything that it worked on. The rows, and their order, are those of Snakemake's benchmark files
that the rule ``database`` names; numbers of rows are added where a stage works on rows that can be counted.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dejavu.data.benchmarks import drawn_datasets
from dejavu.data.forms.registry import form_of
from dejavu.data.samples import gathered, scan_file
from dejavu.data.split import manifest_counts
from dejavu.database.run import Run
from dejavu.files import read_table
from dejavu.sides import TFIDF, Side, trained_sides
from dejavu.tables.fields import POPULATIONS, ROLES
from dejavu.tables.queries import CAPTION, MASKED

# rows of a table that are counted at a time
ROWS_AT_ONCE = 10_000_000
# stage, and what it worked on
Job = tuple[str, str]


@dataclass(frozen=True)
class Count:
    """The rows of a job.

    Attributes:
        rows_in, rows_out: read, and passed on.
        dropped: reason -> number of the others.
    """

    rows_in: int
    rows_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)


def stage_rows(run: Run) -> Iterator[dict]:
    """Yield the rows of the table ``stages``, in the order of the workflow.

    Raises:
        ValueError: when a stage has lost rows without a reason.
    """
    costs = _costs(run.benchmarks)
    counts = dict(_counts(run))
    for job in dict.fromkeys([*costs, *counts]):
        stage, subject = job
        count = counts.get(job)
        seconds, memory = costs.get(job, (None, None))
        dropped = {} if count is None else {reason: number for reason, number in count.dropped.items() if number}
        if count is not None and count.rows_in != count.rows_out + sum(dropped.values()):
            raise ValueError(
                f"stage {stage} of {subject}: {count.rows_in} rows in, {count.rows_out} out, but {dropped} dropped"
            )
        yield {
            "stage": stage,
            "subject": subject,
            "rows_in": None if count is None else count.rows_in,
            "rows_out": None if count is None else count.rows_out,
            "dropped": sorted(dropped.items()),
            "seconds": seconds,
            "peak_memory_mb": memory,
        }


def _counts(run: Run) -> Iterator[tuple[Job, Count]]:
    for dataset in run.batches:
        yield from _of_dataset(run, dataset)
    drawn = sum(run.config["utility"]["drawn"].values())
    for dataset in drawn_datasets(run.config["utility"]):
        yield ("evaluation_data", dataset), Count(drawn, drawn)
    whole, size = {}, {}
    for role in run.roles:
        counts = manifest_counts(run.manifest(role))
        whole[role] = counts["rows_out"]
        size[role] = manifest_counts(run.used_manifest(role))["rows_out"]
        dropped = {
            "outside the role's interval or list": counts["rows_in"] - counts["in_interval"],
            "another sample of its group is taken": counts["in_interval"] - counts["distinct"],
            "beyond the role's limit": counts["distinct"] - counts["rows_out"],
        }
        yield ("manifest", role), Count(counts["rows_in"], counts["rows_out"], dropped)
        if run.used_manifest(role) != run.manifest(role):
            left_out = {"beyond measure.query_limit": whole[role] - size[role]}
            yield ("query_manifest", role), Count(whole[role], size[role], left_out)
    for path in run.training_sets:
        joined = sum(whole[role] for role in run.trained_on(path.stem))
        yield ("training_set", path.stem), Count(joined, manifest_counts(path)["rows_out"])
    everyone = sum(whole.values())
    yield ("disjoint", "disjoint"), Count(everyone, everyone)
    if set(run.other_queries) - {MASKED}:
        asked = sum(size[population] for population in POPULATIONS)
        yield ("query_texts", "query_texts"), Count(asked, asked)
    for side in trained_sides(run.sides):
        trained_on = sum(whole[role] for role in run.trained_on(side.letter))
        yield ("train", f"{side.model}.{side.letter}"), Count(trained_on, trained_on)
    for side in run.sides:
        yield from _of_side(run, side, size)
    for model, seen in run.measured:
        yield from _of_model(run, model, seen, size)


def _of_dataset(run: Run, dataset: str) -> Iterator[tuple[Job, Count]]:
    raw = sum(run.inventory[dataset].values())
    supply = form_of(dataset, run.config["datasets"][dataset]).supply
    if supply is not None:
        yield ("synthesize", dataset), Count(supply[0], raw)
    yield ("inventory", dataset), Count(raw, raw)
    reasons: Counter[str] = Counter()
    for file in _files(run.folders("quarantine", dataset)):
        reasons.update(read_table(file, ["reason"])["reason"].to_pylist())
    samples = _rows(run.folders("samples", dataset))
    yield ("ingest", dataset), Count(raw, samples, reasons)
    if run.config["datasets"][dataset]["annotate"]["from"] != "none":
        yield ("annotate", dataset), Count(samples, _rows(run.folders("objects", dataset)))
    fingerprints = _rows(run.folders("fingerprints", dataset))
    yield ("fingerprint", dataset), Count(samples, fingerprints)
    groups = pq.read_metadata(run.groups(dataset)).num_rows
    yield ("duplicates", dataset), Count(fingerprints, groups)


def _of_side(run: Run, side: Side, size: Mapping[str, int]) -> Iterator[tuple[Job, Count]]:
    name = f"{side.model}.{side.letter}.{side.seen}"
    asked = sum(size[population] for population in POPULATIONS)
    if side.own or (not side.has_images and side.source != TFIDF):
        stage = "embed" if side.own else "embed_captions"
        for role in ROLES:
            embedded = len(np.load(run.embedded_rows(side, role), mmap_mode="r", allow_pickle=False))
            yield (stage, f"{name}.{role}"), Count(size[role], embedded)
    if side.own:
        if run.other_queries:
            texts = asked * len(run.other_queries)
            yield ("embed_queries", name), Count(texts, texts)
        images, unusable = _benchmark_images(run.utility("utility", side))
        everyone = size["holdout"] + images
        yield ("utility", name), Count(everyone, everyone - unusable, {"image cannot be used": unusable})
        yield ("attacks", name), Count(asked, asked)
    for population in POPULATIONS:
        searched = _samples_of(run.neighbors(side, population)[CAPTION])
        yield ("neighbors", f"{name}.{population}"), Count(size[population], searched)
    if run.other_queries and side.has_images:
        texts = asked * len(run.other_queries)
        yield ("query_neighbors", name), Count(texts, texts)


def _of_model(run: Run, model: str, seen: int, size: Mapping[str, int]) -> Iterator[tuple[Job, Count]]:
    scored_in_all = 0
    for population in POPULATIONS:
        scored = _samples_of(run.scores(model, seen, population))
        scored_in_all += scored
        dropped = {"no objects": size[population] - scored}
        yield ("score", f"{model}.{seen}.{population}"), Count(size[population], scored, dropped)
    yield ("population", f"{model}.{seen}"), Count(scored_in_all, scored_in_all)


def _benchmark_images(utility: Path) -> tuple[int, int]:
    """The number of images in a side's benchmarks, and of those that could not be used."""
    rows = [row for row in read_table(utility).to_pylist() if row["metric"].endswith("_left_out")]
    return sum(row["n"] for row in rows), sum(round(row["value"] * row["n"]) for row in rows)


def _costs(benchmarks: Sequence[Path]) -> dict[Job, tuple[float, float | None]]:
    """Return job -> (seconds, largest memory in MB), in the order of the files; a dataset's jobs count together."""
    seconds: dict[Job, float] = defaultdict(float)
    memory: dict[Job, float] = {}
    for path in benchmarks:
        parts = path.parts
        at = parts.index("benchmarks")
        stage = path.stem if len(parts) == at + 2 else parts[at + 1]
        # results/<dataset>/benchmarks/… against results/<dataset>/<split>/benchmarks/…
        key = (stage, parts[1]) if at == 2 else (stage, path.name.removesuffix(".tsv"))
        with open(path, encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                seconds[key] += float(line["s"])
                if line["max_rss"].replace(".", "", 1).isdigit():
                    memory[key] = max(memory.get(key, 0.0), float(line["max_rss"]))
    return {key: (seconds[key], memory.get(key)) for key in seconds}


def _samples_of(table: Path) -> int:
    """Return the number of samples that a table has rows of; the rows of a sample need not stand together."""
    seen = np.empty(0, dtype=np.int64)
    for part in gathered(scan_file(table, ["row"]), ROWS_AT_ONCE):
        seen = np.union1d(seen, part["row"].to_numpy())
    return len(seen)


def _files(folders: Sequence[Path]) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob("*.parquet"))]


def _rows(folders: Sequence[Path]) -> int:
    return sum(pq.read_metadata(file).num_rows for file in _files(folders))
