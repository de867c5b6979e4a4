"""Exact neighbours against FAISS's IndexFlatIP, which ranks in float32 alone, on one core and on two.

What ours does besides is to rank in float64, so that every engine finds the same. For each number of threads a process
of its own measures, since libraries take their number when they are loaded.

``PYTHONPATH=src python -m benchmarks.neighbors THREADS [ENGINE ...]`` measures in this process, of the engine that
``auto`` guesses or of those named, and prints lines of JSON. It needs NumPy, PyTorch and FAISS.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.timing import Result, best_seconds

THREADS = (1, 2)
# public embeddings, queries, dimension, k; rounds
CASES = {(100_000, 2_000, 512, 100): 3, (10_000, 100, 64, 100): 20}
# public embeddings and queries of the product that a machine is measured by, as many as a search multiplies at a time
TILE = (8_192, 512)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# of the CPU's flags, those that say how fast it multiplies
SHOWN = ("fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def measure() -> list[Result]:
    """Return the results of every number of threads that this machine has cores for."""
    cores = os.cpu_count() or 1
    return [result for threads in THREADS if threads <= cores for result in _in_a_process(threads)]


def _in_a_process(threads: int) -> list[Result]:
    environment = os.environ | dict.fromkeys(VARIABLES, str(threads))
    command = [sys.executable, "-m", "benchmarks.neighbors", str(threads)]
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [Result(**json.loads(line)) for line in printed.splitlines() if line.startswith("{")]


def measure_here(threads: int, kinds: list[str]) -> Iterator[Result]:
    """Yield results of this process, with engines that are named, or those that ``auto`` takes for each size.

    Raises:
        AssertionError: when ours and FAISS find other neighbours.
    """
    from dejavu.progress import say
    from dejavu.retrieval.choice import AUTO, cpu_flags, engine_on, guessed

    flags = cpu_flags()
    shown = " ".join(flag for flag in SHOWN if flag in flags) or "none known"
    say(f"[neighbors] flags of the CPU: {shown}; auto takes {guessed('cpu')}")
    peak: dict[str, float] = {}
    for kind in kinds or [AUTO]:
        for case, rounds in CASES.items():
            engine = engine_on(kind, "cpu", threads, math.prod(case[:3]))
            named = [name for name in dict.fromkeys(("float32", engine.name)) if name != "faiss"]
            for name in (name for name in named if name not in peak):
                peak[name] = product_rate(name, threads)
                say(f"[neighbors] product in {name}, {threads} threads: {peak[name] / 1e9:,.0f} GFLOP/s")
            result, flops = _compare(engine, threads, case, rounds)
            shares = ", ".join(f"{flops / peak[name]:.0%} of the {name} product" for name in named)
            say(f"[neighbors] {result.note}: ratio {result.ratio:.2f}, {flops / 1e9:,.0f} GFLOP/s, {shares}")
            yield result


def product_rate(kind: str, threads: int) -> float:
    """Return the operations in a second, two for a multiplication with an addition, of PyTorch's product in a type."""
    import torch

    from dejavu.retrieval.rounding import Rounding

    torch.set_num_threads(threads)
    rounding, (public, queries), dimension = Rounding(torch, "cpu", kind), TILE, 512
    tile, asked = (torch.randint(-99, 99, (rows, dimension)).to(rounding.type) for rows in (public, queries))
    out = torch.empty((queries, public), dtype=rounding.result)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        rounding.multiply(asked, tile, out)
        best = min(best, time.perf_counter() - start)
    return 2 * public * queries * dimension / best


def _compare(engine: Any, threads: int, case: tuple[int, int, int, int], rounds: int) -> tuple[Result, float]:
    import faiss

    from dejavu.retrieval.search import nearest

    public_count, query_count, dimension, k = case
    rng = np.random.default_rng(0)
    queries = _unit(rng.standard_normal((query_count, dimension), dtype=np.float32))
    public = _unit(rng.standard_normal((public_count, dimension), dtype=np.float32))
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(dimension)
    index.add(public)
    functions: dict[str, Callable[[], Any]] = {
        "ours": lambda: nearest(queries, public, k, engine)[1],
        "FAISS": lambda: index.search(queries, k)[1],
    }
    size = f"{public_count:,} × {query_count:,} × {dimension}, k = {k}, {threads} threads"
    seconds, found = best_seconds(f"neighbors, {engine.name}, {size}", functions, rounds)
    same = (np.sort(found["ours"]) == np.sort(found["FAISS"])).all(axis=1).mean()
    if same < 0.99:
        raise AssertionError(f"ours and FAISS find other neighbours for {1 - same:.2%} of the queries")
    rates = [query_count / seconds[name] for name in functions]
    flops = 2 * public_count * query_count * dimension / seconds["ours"]
    note = f"FAISS's IndexFlatIP, {size}; ours: {engine.name}"
    return Result.of_rates("neighbors", *rates, "queries/s", note), flops


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    for measured in measure_here(int(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(asdict(measured)), flush=True)
