"""The search on a GPU, against a plain product and selection in float32 and, where it is installed, FAISS's."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_table import Bench, Measured
from dejavu.progress import say
from dejavu.retrieval.filters import OnTorch
from dejavu.retrieval.search import nearest

# the first is what ``auto`` takes on a GPU
KINDS = ("bfloat16", "float32", "int8")
PEER = "plain product and topk in float32, not ranked in float64; the same neighbours for {:.2%} of queries"


def measure_search(bench: Bench) -> None:
    """From arrays in memory to neighbours in memory, against a plain product and selection, in blocks as well."""
    sizes = bench.sizes
    generator = torch.Generator(bench.device).manual_seed(0)
    queries, public = (
        torch.nn.functional.normalize(torch.randn(n, sizes.dimension, generator=generator, device=bench.device), dim=1)
        .cpu()
        .numpy()
        for n in (sizes.queries, sizes.public)
    )
    flops = 2 * sizes.queries * sizes.public * sizes.dimension
    plain: dict[str, np.ndarray] = {}

    def peer() -> None:
        plain["position"] = _plain_search(bench, queries, public)

    peer()
    seconds = bench.seconds(peer, sizes.repeats)
    what = f"search, {sizes.queries:,} queries in {sizes.public:,} of dimension {sizes.dimension}, k = {sizes.k}"
    rates: dict[str, float] = {}
    for kind in KINDS:
        rates[kind], position = _ours(bench, kind, queries, public)
        agreed = (np.sort(position) == np.sort(plain["position"])).all(axis=1).mean()
        # there is no peak of int8 here
        peak = bench.peaks.get(getattr(torch, kind))
        share = None if peak is None else rates[kind] / sizes.queries * flops / peak
        peer_share = flops / seconds / bench.peaks[torch.float32]
        line = Measured(
            f"{what}, {kind}",
            rates[kind],
            "queries/s",
            share,
            sizes.queries / seconds,
            peer_share,
            PEER.format(agreed),
        )
        bench.note(line)
        _measure_parts(bench, queries, public, kind)
    _measure_faiss(bench, queries, public, rates[KINDS[0]])


def _ours(bench: Bench, kind: str, queries: np.ndarray, public: np.ndarray) -> tuple[float, np.ndarray]:
    """Return queries a second, and the positions that were found."""
    engine, found = OnTorch(bench.device, os.cpu_count() or 1, kind), dict[str, Any]()

    def search() -> None:
        found["of"] = nearest(queries, public, bench.sizes.k, engine)

    search()
    seconds = bench.seconds(search, bench.sizes.repeats)
    _check_search(bench, queries, public, *found["of"])
    return len(queries) / seconds, found["of"][1]


def _plain_search(bench: Bench, queries: np.ndarray, public: np.ndarray) -> np.ndarray:
    """Positions int64 (n, k), block by block, the best of all blocks selected in the end."""
    asked, k, block = torch.from_numpy(queries).to(bench.device), bench.sizes.k, 262_144
    similarity, position = [], []
    for start in range(0, len(public), block):
        part = torch.from_numpy(public[start : start + block]).to(bench.device)
        found = [(rows @ part.T).topk(min(k, len(part)), dim=1) for rows in asked.split(2048)]
        similarity.append(torch.cat([one.values for one in found]))
        position.append(torch.cat([one.indices for one in found]) + start)
    best = torch.cat(similarity, dim=1).topk(k, dim=1).indices
    return torch.cat(position, dim=1).gather(1, best).cpu().numpy()


def _check_search(
    bench: Bench, queries: np.ndarray, public: np.ndarray, similarity: np.ndarray, position: np.ndarray
) -> None:
    """The first hundred queries against products in float64."""
    asked = torch.from_numpy(queries[:100]).to(bench.device).double()
    # in parts, since float64 of all takes gigabytes
    exact = torch.cat(
        [asked @ torch.from_numpy(part).to(bench.device).double().T for part in np.array_split(public, 8)], dim=1
    )
    best = exact.topk(bench.sizes.k, dim=1).values
    found = exact.gather(1, torch.from_numpy(position[:100]).to(bench.device))
    worst = float((found - best).abs().max())
    if worst > 1e-14 or float((found.cpu() - torch.from_numpy(similarity[:100])).abs().max()) > 1e-7:
        raise AssertionError(f"the neighbours found are not those of a float64 product, by {worst}")


def _measure_parts(bench: Bench, queries: np.ndarray, public: np.ndarray, kind: str) -> None:
    """Measure where the time of a search goes, for the first block."""
    engine, k = OnTorch(bench.device, os.cpu_count() or 1, kind), bench.sizes.k
    asked, part = engine.queries(queries), public[: engine.public_at_once]
    block = engine.public(part, k)
    floor = engine.unfilled(len(queries), k)[0][:, -1]
    proposed = list(engine.candidates(asked, block, k, floor))
    exact = [engine.products(asked[rows], block, position) for rows, position in proposed]
    mean = sum(int((position >= 0).sum()) for _, position in proposed) / len(queries)
    for what, function in (
        ("taking the queries", lambda: engine.queries(queries)),
        ("taking one block of public embeddings", lambda: engine.public(part, k)),
        (f"its candidates, {mean:.0f} for a query", lambda: list(engine.candidates(asked, block, k, floor))),
        ("exact products", lambda: [engine.products(asked[rows], block, position) for rows, position in proposed]),
        ("ranking", lambda: [engine.first(x, position, k) for x, (_, position) in zip(exact, proposed, strict=True)]),
    ):
        function()
        bench.note(Measured(f"of that, {what}", 1000 * bench.seconds(function, bench.sizes.repeats), "ms"))


def _measure_faiss(bench: Bench, queries: np.ndarray, public: np.ndarray, ours: float) -> None:
    try:
        import faiss
    except ImportError:
        faiss = None
    if faiss is None or not hasattr(faiss, "StandardGpuResources") or bench.device != "cuda":
        say("[gpu] FAISS for the GPU is not installed, so it is not measured")
        return
    resources = faiss.StandardGpuResources()

    def search() -> None:
        faiss.knn_gpu(resources, queries, public, bench.sizes.k, metric=faiss.METRIC_INNER_PRODUCT)

    search()
    rate = bench.sizes.queries / bench.seconds(search, bench.sizes.repeats)
    bench.note(Measured("the same search", ours, "queries/s", None, rate, None, "FAISS on the GPU"))
