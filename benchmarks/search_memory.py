"""The largest resident memory of a search over a million public embeddings on disk, against a bound."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import Result
from dejavu.files import fill_array, write_array
from dejavu.progress import say
from dejavu.retrieval.neighbors import Embedded, Search, write_neighbors

PUBLIC, QUERIES, DIMENSION, K = 1_000_000, 2_000, 512, 100
ROWS_PER_PART = 50_000
BOUND = 1.2


def measure() -> list[Result]:
    """Makes the embeddings and searches them, each in a process of its own, so that only the search counts."""
    with tempfile.TemporaryDirectory() as folder:
        for step in ("make", "search"):
            command = [sys.executable, "-m", "benchmarks.search_memory", step, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    say(f"[large] search of {QUERIES:,} queries among {PUBLIC:,} took {found['seconds']:.1f} s")
    note = f"bound for {QUERIES:,} queries among {PUBLIC:,} public embeddings of dimension {DIMENSION}, k = {K}"
    return [Result.of_costs("search_memory", found["peak"], BOUND, "GiB", note)]


def make(folder: Path) -> None:
    """Writes random embeddings."""
    rng = np.random.default_rng(0)
    for name, number in (("public", PUBLIC), ("queries", QUERIES)):
        write_array(folder / f"{name}.rows.npy", np.arange(number))
        with fill_array(folder / f"{name}.npy", number) as fill:
            for start in range(0, number, ROWS_PER_PART):
                size = min(ROWS_PER_PART, number - start)
                part = rng.standard_normal((size, DIMENSION), dtype=np.float32)
                fill(slice(start, start + size), part / np.linalg.norm(part, axis=1, keepdims=True))


def search(folder: Path) -> None:
    """Searches in this process and prints its seconds and its largest resident memory in GiB."""
    start = time.perf_counter()
    queries, public = (Embedded(folder / f"{name}.npy", folder / f"{name}.rows.npy") for name in ("queries", "public"))
    write_neighbors(queries, public, folder / "neighbors.parquet", Search(K), "search_memory: search")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak}))


if __name__ == "__main__":
    {"make": make, "search": search}[sys.argv[1]](Path(sys.argv[2]))
