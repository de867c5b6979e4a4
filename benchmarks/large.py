"""Whether stages stay small: time and memory of a million rows against a hundred thousand, and bounds.

Runs the parts named on the command line, or all; prints a table, writes results/bench-large.json, and fails where a
bound on memory is exceeded. Every stage runs in a process of its own. This module measures the data stages, on raw
files that are made in a temporary folder: images of 16 pixels, a twentieth of them repeated in another encoding, as are
captions.
"""

from __future__ import annotations

import importlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.run import table
from benchmarks.timing import Result
from dejavu.data.disjoint import check_disjoint
from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.ingest import Ingested, RawFile, ingest_file
from dejavu.data.raw import Columns, table_name
from dejavu.data.split import Role, write_manifest
from dejavu.files import write_json, write_table
from dejavu.progress import Progress, say

ROWS = (100_000, 1_000_000)
ROWS_PER_FILE = 50_000
ROWS_PER_PART = 2_000
SCENES = 4_000
REPEATED = 0.05
INTERVALS = {"a": (0.0, 0.2), "b": (0.2, 0.4), "public": (0.4, 0.7), "holdout": (0.7, 1.0)}
BOUND = 2.0
RESULTS = Path("results") / "bench-large.json"
# in this order, since a process counts the memory of the one that started it as its own peak
PARTS = ("data", "population_memory", "search_memory", "training_memory")

DEFAULT = Criteria(key=True, image=True, caption=True, near_image=None)
COLUMNS = Columns(image="image", caption="caption", key="key")
RAW = pa.schema([("key", pa.string()), ("image", pa.binary()), ("caption", pa.string())])


def measure() -> list[Result]:
    """Runs every stage on both sizes; a stage reads what the stage before it wrote."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in ROWS:
            here = Path(folder) / str(rows)
            make(here, rows)
            found[rows] = {}
            for stage in STAGES:
                command = [sys.executable, "-m", "benchmarks.large", "stage", stage, str(here)]
                found[rows][stage] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                say(f"[large] {rows:,} rows: {stage} took {found[rows][stage]['seconds']:.1f} s")
    return [result for stage in STAGES for result in _results(stage, *(found[rows][stage] for rows in ROWS))]


def _results(stage: str, small: dict[str, float], large: dict[str, float]) -> Iterator[Result]:
    times = ROWS[1] // ROWS[0]
    yield Result.of_costs(
        f"{stage}_seconds", large["seconds"], times * small["seconds"], "s", f"{times} times that of {ROWS[0]:,} rows"
    )
    yield Result.of_costs(f"{stage}_memory", large["peak"], BOUND, "GiB", f"bound for {ROWS[1]:,} rows")
    yield Result.of_costs(f"{stage}_growth", large["peak"], small["peak"], "GiB", f"memory of {ROWS[0]:,} rows")


def make(folder: Path, rows: int) -> None:
    """Writes the raw files."""
    progress = Progress(f"large: {rows:,} raw rows", rows, "rows")
    scenes = np.random.default_rng(0).integers(0, 256, (SCENES, 4, 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    for start in range(0, rows, ROWS_PER_FILE):
        write_table(folder / "raw" / f"{start:08d}.parquet", _raw_parts(scenes, start, progress), RAW, ROWS_PER_PART)
    progress.finish()


def _raw_parts(scenes: np.ndarray, start: int, progress: Progress) -> Iterator[pa.Table]:
    rng = np.random.default_rng(start)
    for first in range(start, start + ROWS_PER_FILE, ROWS_PER_PART):
        numbers = np.arange(first, first + ROWS_PER_PART)
        # what is repeated is another row of this part
        images, captions = (
            np.where(rng.random(ROWS_PER_PART) < REPEATED, rng.permutation(numbers), numbers) for _ in range(2)
        )
        yield pa.table(
            {
                "key": [f"key-{number}" for number in numbers],
                "image": [
                    _encoded(scenes, int(image), again=image != number)
                    for image, number in zip(images, numbers, strict=True)
                ],
                "caption": [f"A picture  of the thing number {number}" for number in captions],
            },
            schema=RAW,
        )
        progress.advance(ROWS_PER_PART)


def _encoded(scenes: np.ndarray, number: int, *, again: bool) -> bytes:
    """A scene with a pixel of its own colour; ``again`` encodes it otherwise, without loss."""
    pixels = scenes[number % len(scenes)].copy()
    pixels[5, 5] = np.frombuffer((number * 2_654_435_761 % 2**24).to_bytes(3, "big"), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6 if again else 1)
    return buffer.getvalue()


def ingest(folder: Path) -> None:
    """From raw files to samples and quarantine."""
    files = sorted((folder / "raw").glob("*.parquet"))
    progress = Progress("large: ingest", len(files) * ROWS_PER_FILE, "rows")
    for raw in files:
        name = table_name(raw.name)
        outputs = Ingested(folder / "samples" / name, folder / "quarantine" / name)
        ingest_file(RawFile(raw, raw.name, COLUMNS), outputs, progress)
    progress.finish()


def fingerprint(folder: Path) -> None:
    """The hashes of every criterion."""
    files = sorted((folder / "samples").glob("*.parquet"))
    progress = Progress("large: fingerprint", len(files) * ROWS_PER_FILE, "samples")
    for samples in files:
        fingerprint_file(samples, folder / "fingerprints" / samples.name, progress)
    progress.finish()


def duplicates(folder: Path, criteria: Criteria = DEFAULT, prefix: str = "") -> None:
    """Groups by key, pixels and caption."""
    groups, repeated = (folder / f"{prefix}{name}.parquet" for name in ("groups", "duplicates"))
    say(f"[large] {group_duplicates([folder / 'fingerprints'], groups, repeated, criteria)}")


def near_duplicates(folder: Path) -> None:
    """Groups by perceptual hashes as well: here most scenes look like hundreds of others."""
    duplicates(folder, replace(DEFAULT, near_image=4), "near_")


def split(folder: Path) -> None:
    """The manifests of all four roles, without limits."""
    for role, interval in INTERVALS.items():
        chosen = Role("large", role, interval, None, {})
        manifest = folder / "manifests" / f"{role}.parquet"
        number = write_manifest(folder / "groups.parquet", [folder / "samples"], manifest, role=chosen, seed=0)
        say(f"[large] manifest of {role}: {number:,} samples")


def disjoint(folder: Path) -> None:
    """Checks that the four roles share nothing."""
    manifests = {role: folder / "manifests" / f"{role}.parquet" for role in INTERVALS}
    check_disjoint(manifests, [folder / "fingerprints"], DEFAULT)


STAGES: dict[str, Callable[[Path], None]] = {
    stage.__name__: stage for stage in (ingest, fingerprint, duplicates, near_duplicates, split, disjoint)
}


def run_stage(name: str, folder: Path) -> None:
    """Runs one stage in this process and prints its seconds and its largest resident memory in GiB."""
    start = time.perf_counter()
    STAGES[name](folder)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(json.dumps({"seconds": seconds, "peak": peak}))


def main(names: list[str]) -> None:
    """Measures the named parts in order, writes and prints what was measured, and ends with 1 over a bound."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise SystemExit(f"no part is called {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    results: list[dict] = []
    for name in names or PARTS:
        # imported only now: a process counts the memory of the one that started it as its own peak, and torch is large
        measured = measure() if name == "data" else importlib.import_module(f"benchmarks.{name}").measure()
        results += [asdict(result) for result in measured]
        write_json(RESULTS, results)
    print(table(results))
    over = [r for r in results if r["name"].endswith("_memory") and r["ours"] > r["peer"]]
    if over:
        raise SystemExit("over its bound: " + ", ".join(f"{r['name']} ({r['ours']:.2f} {r['unit']})" for r in over))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "stage":
        run_stage(sys.argv[2], Path(sys.argv[3]))
    else:
        main(sys.argv[1:])
