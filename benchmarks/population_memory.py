"""The largest resident memory of the population statistics and of attacks, at many queries against few."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.timing import Result
from dejavu.files import NUMBERS_PER_GROUP, write_array, write_table
from dejavu.measurement.attacks import Attacked, write_attacks
from dejavu.measurement.groups import QueryRoles
from dejavu.measurement.options import Statistics
from dejavu.measurement.pairs import Embeddings
from dejavu.measurement.population import summarize
from dejavu.memorization.scores import SCOPES, f1, precision, recall
from dejavu.processes import give_back_freed_arrays
from dejavu.progress import Progress, say
from dejavu.tables import MANIFEST, SAMPLE_SCORES
from dejavu.tables.membership import ATTACK_TABLES

QUERIES = (100_000, 1_000_000)
STEPS = ("make", "population", "embed", "attacks")
ROLES = ("a", "b", "holdout")
# the cells of the default configuration
KS, LABELS = (1, 10, 50), ("1", "5", "10", "all")
DRAWS = 1000
# one group in so many has two samples
PER_REPEATED = 20
MOST_OBJECTS = 8
QUERIES_PER_PART = 16_384
STATISTICS = Statistics(
    samplings=100, fraction=0.1, bootstrap=DRAWS, counts=(10, 50, 100), fractions=(0.001, 0.01, 0.1), seed=0
)
POPULATION_BOUND = 1.0
# of the memory at few queries
GROWTH = 1.1
# attacks hold no more than a block of embeddings, whatever their dimension
DIMENSION = 64
# memory does not depend on their number, and a thousand of a million pairs take an hour
ATTACK_DRAWS = 10
ATTACKS_BOUND = 1.0


def measure() -> list[Result]:
    """Makes the inputs of both sizes and runs both steps on them, each in a process of its own."""
    found: dict[str, list[dict[str, float]]] = {"population": [], "attacks": []}
    for number in QUERIES:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                command = [sys.executable, "-m", "benchmarks.population_memory", step, folder, str(number)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                if step in found:
                    found[step].append(json.loads(done.stdout))
                    say(f"[large] {number:,} queries a role: {step} took {found[step][-1]['seconds']:.1f} s")
    few, many = (f"{number:,} queries a role" for number in QUERIES)
    times = QUERIES[1] // QUERIES[0]
    population, attacks = found["population"], found["attacks"]
    return [
        Result.of_costs(
            "population_seconds",
            population[1]["seconds"],
            times * population[0]["seconds"],
            "s",
            f"{times} times that of {few}",
        ),
        Result.of_costs("population_memory", population[1]["peak"], POPULATION_BOUND, "GiB", f"bound for {many}"),
        Result.of_costs(
            "population_growth_memory",
            population[1]["peak"],
            GROWTH * population[0]["peak"],
            "GiB",
            f"{GROWTH} times {few}",
        ),
        Result.of_costs("attacks_memory", attacks[1]["peak"], ATTACKS_BOUND, "GiB", f"bound for {many}"),
    ]


def make(folder: Path, number: int) -> None:
    """Writes manifests and scores."""
    progress = Progress(f"population_memory: {number:,} queries a role", len(ROLES) * number, "queries")
    for place, role in enumerate(ROLES, start=1):
        rng = np.random.default_rng(place)
        rows = _rows(place, number)
        groups = np.where(np.arange(number) % PER_REPEATED == 1, rows - 1, rows).astype(np.uint64)
        # spread over all numbers, as hashes are
        names = [f"{name:016x}" for name in (groups * np.uint64(0x9E3779B97F4A7C15)).tolist()]
        columns = {"row": rows, "uid": names, "group_id": names, "position": np.zeros(number)}
        write_table(folder / f"manifest-{role}.parquet", pa.table(columns, schema=MANIFEST), MANIFEST)
        del names, columns
        write_table(folder / f"scores-{role}.parquet", _scores(rows, rng, progress), SAMPLE_SCORES, NUMBERS_PER_GROUP)
    progress.finish()


def embed(folder: Path, number: int) -> None:
    """Writes embeddings of two sides."""
    for place, role in enumerate(ROLES, start=1):
        rng = np.random.default_rng([place, number])
        write_array(folder / f"rows-{role}.npy", _rows(place, number))
        for kind, side in product(("images", "captions"), "ab"):
            embeddings = rng.standard_normal((number, DIMENSION), dtype=np.float32)
            write_array(folder / f"{kind}-{role}-{side}.npy", embeddings / np.sqrt(np.float32(DIMENSION)))


def _rows(place: int, number: int) -> np.ndarray:
    """The rows of the role at a place, as of a raw file of its own."""
    return (place << 32) + np.arange(number)


def _scores(rows: np.ndarray, rng: np.random.Generator, progress: Progress) -> Iterator[pa.Table]:
    for start in range(0, len(rows), QUERIES_PER_PART):
        part = rows[start : start + QUERIES_PER_PART]
        objects = {scope: rng.integers(1, MOST_OBJECTS + 1, len(part)) for scope in SCOPES}
        nearest = {side: rng.random(len(part), dtype=np.float32) for side in "ab"}
        for k, labels, scope in product(KS, LABELS, SCOPES):
            cell = {"query": "caption", "k": k, "labels": labels, "scope": scope}
            columns = {name: pa.repeat(value, len(part)) for name, value in cell.items()}
            columns |= {"row": part, "objects_n": objects[scope]}
            for side in "ab":
                correct = (rng.random(len(part)) * (objects[scope] + 1)).astype(np.int32)
                predicted = np.full(len(part), 20 if labels == "all" else int(labels)) + correct
                p, r = precision(correct, predicted), recall(correct, objects[scope])
                columns |= {f"precision_{side}": p, f"recall_{side}": r, f"f1_{side}": f1(p, r)}
                columns |= {f"correct_{side}": correct, f"nearest_{side}": nearest[side]}
            yield pa.table(columns).select(SAMPLE_SCORES.names).cast(SAMPLE_SCORES)
        progress.advance(len(part))


def roles_in(folder: Path) -> QueryRoles:
    """The roles whose files :func:`make` has written."""
    return QueryRoles(
        scores={role: folder / f"scores-{role}.parquet" for role in ROLES},
        manifests={role: folder / f"manifest-{role}.parquet" for role in ROLES},
    )


def population(folder: Path) -> None:
    """The statistics with the defaults of the configuration."""
    tables = ("population_gaps", "bootstrap_draws", "top_l", "recall_curves")
    outputs = {name: folder / f"{name}.parquet" for name in tables}
    summarize(roles_in(folder), outputs, statistics=STATISTICS, title="population_memory: population")


def attacks(folder: Path) -> None:
    """All attacks on side a, with few draws."""
    own, other = (
        {
            role: Embeddings.read(
                *(folder / f"{kind}-{role}-{side}.npy" for kind in ("images", "captions")), folder / f"rows-{role}.npy"
            )
            for role in ROLES
        }
        for side in "ab"
    )
    outputs = {name: folder / f"{name}.parquet" for name in ATTACK_TABLES}
    attacked = Attacked(letter="a", cell=(KS[-1], LABELS[-1]), draws=ATTACK_DRAWS, seed=0)
    write_attacks(own, other, roles_in(folder), outputs, attacked)


def run_step(name: str, folder: Path) -> None:
    """Runs a step in this process and prints its seconds and its largest resident memory in GiB."""
    # as the jobs do
    give_back_freed_arrays()
    start = time.perf_counter()
    {"population": population, "attacks": attacks}[name](folder)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak}))


if __name__ == "__main__":
    MAKING = {"make": make, "embed": embed}
    if sys.argv[1] in MAKING:
        MAKING[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        run_step(sys.argv[1], Path(sys.argv[2]))
