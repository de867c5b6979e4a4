"""Whether the search stays small: its largest resident memory over a million public embeddings, read from disk."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import Result
from dejavu.files import map_array, write_array
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors

PUBLIC, QUERIES, DIMENSION, K = 1_000_000, 1_000, 512, 100
ROWS_AT_ONCE = 50_000
BOUND = 1.2
# both read and hold other parts of a block
ENGINES = ("faiss", "float32")


def measure() -> list[Result]:
    """Write both arrays, and search with each engine, each in a process of its own: it counts its starter's peak."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.search_memory", folder]
        subprocess.run(command, check=True)
        for engine in ENGINES:
            done = subprocess.run([*command, engine], check=True, stdout=subprocess.PIPE)
            note = f"bound for {PUBLIC:,} × {QUERIES:,} × {DIMENSION}, k = {K}; ours: {engine}"
            results.append(Result.of_costs("search_memory", json.loads(done.stdout), BOUND, "GiB", note))
    return results


def make(folder: Path) -> None:
    """Write random unit vectors, and rows beside them."""
    rng = np.random.default_rng(0)
    for name, count in (("public", PUBLIC), ("queries", QUERIES)):
        array = map_array(folder / f"{name}.npy", (count, DIMENSION), np.float32)
        for start in range(0, count, ROWS_AT_ONCE):
            drawn = rng.standard_normal((min(ROWS_AT_ONCE, count - start), DIMENSION), dtype=np.float32)
            array[start : start + ROWS_AT_ONCE] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        array.flush()
        write_array(folder / f"{name}.rows.npy", np.arange(count))


def search(folder: Path, engine: str) -> None:
    """Search, and print the largest resident memory of this process in GiB."""
    queries, public = (Embedded(folder / f"{name}.npy", folder / f"{name}.rows.npy") for name in ("queries", "public"))
    asked = [Asked(queries, folder / f"{engine}.parquet", f"search_memory {engine}")]
    write_neighbors(asked, public, Search(K, engine=engine))
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        search(Path(sys.argv[1]), sys.argv[2])
    else:
        make(Path(sys.argv[1]))
