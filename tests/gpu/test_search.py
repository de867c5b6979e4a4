"""The search on a GPU against products in float64."""

from __future__ import annotations

import numpy as np
import pytest

from dejavu.retrieval.filters import OnTorch
from dejavu.retrieval.rounding import KINDS
from dejavu.retrieval.search import nearest
from tests.harness.vectors import in_float64


@pytest.fixture(params=KINDS)
def engine(device, request) -> OnTorch:
    return OnTorch(device, kind=request.param)


def numbers(rows: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    """Whole numbers of 20 bits: their products are exact in float64, and not in float32."""
    return np.random.default_rng(seed).integers(-(2**20), 2**20, size=(rows, dimension)).astype(np.float64)


FAR = numbers(90)
PUBLIC = {
    "far apart": FAR,
    "nearly equal": FAR[0] + np.random.default_rng(1).integers(-1, 2, size=FAR.shape),
    "copies": FAR[np.random.default_rng(2).integers(0, 3, size=90)],
    "of all sizes": np.ldexp(FAR, np.random.default_rng(3).integers(-100, -9, size=(90, 1))),
    "tiny": FAR * 2.0**-90,
    "below what float32 has all digits of": FAR * 2.0**-140,
    "huge": FAR * 2.0**30,
}


@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC)
@pytest.mark.parametrize(("k", "block"), [(1, 1000), (12, 1000), (90, 1000), (12, 7), (90, 64)])
def test_neighbours_are_ranked_by_the_float64_product_then_by_position(engine, public, k, block):
    queries, public = numbers(6, seed=4).astype(np.float32), public.astype(np.float32)
    engine.public_at_once = block
    want_similarity, want_position = in_float64(queries, public, k)
    similarity, position = nearest(queries, public, k, engine)
    assert position.tolist() == want_position
    assert similarity.tolist() == np.array(want_similarity, dtype=np.float32).tolist()


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6])
def test_many_queries_find_what_a_float64_product_finds_and_the_cpu_to_the_last_bit(engine, spread):
    rng = np.random.default_rng(5)
    center = rng.normal(size=512)
    # with copies, and the closer together the more of them are equal in float32
    q, p = (center * (spread < 1) + spread * rng.normal(size=(n, 512)) for n in (300, 6_000))
    p[rng.integers(0, 6_000, 500)] = p[7]
    q, p = ((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in (q, p))
    engine.public_at_once, engine._similarities, engine._tile = 2_500, 200_000, 2_000
    similarity, position = nearest(q, p, 50, engine)
    exact = q.astype(np.float64) @ p.T.astype(np.float64)
    found = np.take_along_axis(exact, position, axis=1)
    # another order of adding makes a difference of the last bits of float64
    assert np.diff(found, axis=1).max() < 1e-14
    assert (found[:, -1] >= np.partition(exact, -50, axis=1)[:, -50] - 1e-14).all()
    assert all(len(set(row)) == 50 for row in position.tolist())
    on_cpu, there = nearest(q[:20], p, 50, OnTorch("cpu", threads=4))
    assert np.array_equal(position[:20], there)
    assert np.array_equal(similarity[:20], on_cpu)
