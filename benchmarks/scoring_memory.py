"""The largest resident memory of scoring a million queries with a hundred neighbours each, against a bound of 4 GiB."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.synthetic import images
from benchmarks.timing import Result
from dejavu.files import write_table
from dejavu.measurement.options import Measure
from dejavu.measurement.scoring import ScoredFiles, score_population
from dejavu.memorization.labels import LabelSets
from dejavu.processes import give_back_freed_arrays
from dejavu.progress import Progress
from dejavu.tables import MANIFEST, NEIGHBORS, OBJECT, OBJECTS, SAMPLES

QUERIES = 1_000_000
PUBLIC = 100_000
ROWS_PER_FILE = 100_000
QUERIES_PER_PART = 10_000
K = 100
MEASURE = Measure(k=(K,), labels=(1, 5, 10, "all"), score_threshold=0.5, synonyms={})
BOUND = 4.0


def measure() -> list[Result]:
    """Makes the inputs and scores them, each in a process of its own, so that only scoring counts."""
    with tempfile.TemporaryDirectory() as folder:
        for step in ("make", "score"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scoring_memory", step, folder], check=True, stdout=subprocess.PIPE
            )
    peak = float(done.stdout)
    return [Result.of_costs("scoring_memory", peak, BOUND, "GiB", f"bound for {QUERIES:,} queries, k = {K}")]


def make(folder: Path) -> None:
    """Writes the manifests, samples, objects and neighbours that ``score`` reads."""
    rng = np.random.default_rng(0)
    progress = Progress("scoring_memory: inputs", 2 * QUERIES + QUERIES + PUBLIC, "rows of tables")
    public = _write_images(folder, "public", 1, PUBLIC, rng, progress)
    queries = _write_images(folder, "queries", 2, QUERIES, rng, progress)
    for side in "ab":
        write_table(folder / f"neighbors_{side}.parquet", _neighbors(queries, public, rng, progress), NEIGHBORS)
    progress.finish()


def score(folder: Path) -> float:
    """Scores the population; returns the largest resident memory of this process in GiB."""
    # as the job does
    give_back_freed_arrays()
    files = ScoredFiles(
        {"caption": (folder / "neighbors_a.parquet", folder / "neighbors_b.parquet")},
        folder / "queries.parquet",
        folder / "public.parquet",
        [str(folder / "samples")],
        [str(folder / "objects")],
    )
    score_population(files, folder / "scores.parquet", measure=MEASURE, title="scoring_memory: score")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _write_images(
    folder: Path, role: str, first_file: int, number: int, rng: np.random.Generator, progress: Progress
) -> np.ndarray:
    """Writes the samples, objects and manifest of one role; returns its rows."""
    every = []
    for file in range(first_file, first_file + number // ROWS_PER_FILE):
        rows = (file << 32) + np.arange(ROWS_PER_FILE)
        sets, _ = images(ROWS_PER_FILE, rng)
        write_table(folder / "samples" / f"{file:08x}.parquet", _samples(rows, sets), SAMPLES)
        write_table(folder / "objects" / f"{file:08x}.parquet", _objects(rows, sets, rng), OBJECTS)
        every.append(rows)
        progress.advance(ROWS_PER_FILE)
    rows = np.concatenate(every)
    text = pa.array(rows).cast(pa.string())
    columns = {"row": rows, "uid": text, "group_id": text, "position": np.zeros(len(rows))}
    write_table(folder / f"{role}.parquet", pa.table(columns, schema=MANIFEST), MANIFEST)
    return rows


def _samples(rows: np.ndarray, sets: LabelSets) -> pa.Table:
    """Captions that name the first object of each image."""
    names = pa.array(sets.names)
    first = names.take(pa.array(sets.labels[sets.starts[:-1]]))
    columns = {
        "row": rows,
        "uid": pa.array(rows).cast(pa.string()),
        "caption": pc.binary_join_element_wise("a picture of an", first, "in the morning fog by the river", " "),
        "image": pa.nulls(len(rows), pa.binary()),
        "width": np.full(len(rows), 224, dtype=np.int32),
        "height": np.full(len(rows), 224, dtype=np.int32),
        "source": pa.repeat("made up", len(rows)),
        "source_row": np.arange(len(rows)),
        "other_captions": pa.nulls(len(rows), SAMPLES.field("other_captions").type),
    }
    return pa.table(columns, schema=SAMPLES)


def _objects(rows: np.ndarray, sets: LabelSets, rng: np.random.Generator) -> pa.Table:
    number = len(sets.labels)
    box = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(4 * number, dtype=np.float32) * 224), 4)
    label = pa.array(sets.names).take(pa.array(sets.labels))
    score = pa.array(rng.uniform(0.5, 1, number).astype(np.float32))
    objects = pa.StructArray.from_arrays([label, score, box.cast(OBJECT.field("box").type)], fields=list(OBJECT))
    lists = pa.ListArray.from_arrays(pa.array(sets.starts.astype(np.int32)), objects)
    return pa.table({"row": rows, "objects": lists}, schema=OBJECTS)


def _neighbors(
    queries: np.ndarray, public: np.ndarray, rng: np.random.Generator, progress: Progress
) -> Iterator[pa.Table]:
    rank = np.arange(1, K + 1, dtype=np.int32)
    for start in range(0, len(queries), QUERIES_PER_PART):
        rows = queries[start : start + QUERIES_PER_PART]
        similarity = rng.random((len(rows), 1), dtype=np.float32) - rank * np.float32(1e-3)
        columns = {
            "row": np.repeat(rows, K),
            "rank": np.tile(rank, len(rows)),
            "public_row": public[rng.integers(len(public), size=len(rows) * K)],
            "similarity": similarity.ravel(),
        }
        yield pa.table(columns, schema=NEIGHBORS)
        progress.advance(len(rows))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        print(score(Path(sys.argv[2])))
