"""Retrieval of the pair among the holdout against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from tests.harness.vectors import whole_numbers

from dejavu.measurement.resampling import Resampling
from dejavu.utility import retrieval as utility
from dejavu.utility.retrieval import chance_at, ranks_of_own, retrieval


def rank_of_own(queries: np.ndarray, candidates: np.ndarray, groups: list[int], i: int) -> int:
    products = [sum(x * y for x, y in zip(queries[i].tolist(), c.tolist(), strict=True)) for c in candidates]
    own = max(p for p, g in zip(products, groups, strict=True) if g == groups[i])
    return 1 + sum(p >= own and g != groups[i] for p, g in zip(products, groups, strict=True))


ALONE = list(range(40))
RESAMPLING = Resampling(draws=100, seed=0)


@pytest.mark.parametrize(
    ("limit", "block"),
    [("QUERIES_PER_BLOCK", 2048), ("QUERIES_PER_BLOCK", 4), ("QUERIES_PER_BLOCK", 1), ("CELLS_PER_BLOCK", 100)],
)
@pytest.mark.parametrize("groups", [ALONE[:30], [i // 3 for i in range(30)], [min(i, 20) for i in range(30)]])
def test_the_rank_of_the_nearest_right_one_counts_all_wrong_ones_that_are_as_similar(limit, block, groups, monkeypatch):
    monkeypatch.setattr(utility, limit, block)
    queries, candidates = whole_numbers(7, 30, 3), whole_numbers(8, 30, 3)
    found = ranks_of_own(queries, candidates, np.array(groups)).tolist()
    assert found == [rank_of_own(queries, candidates, groups, i) for i in range(30)]


def test_a_perfect_model_finds_all_five_captions_of_an_image_right():
    images = np.repeat(np.eye(8, dtype=np.float32), 5, axis=0)
    found = {row["metric"]: row["value"] for row in retrieval(images, images, np.repeat(np.arange(8), 5), RESAMPLING)}
    assert {value for metric, value in found.items() if "recall" in metric} == {1.0}
    assert found["caption_to_image_chance@1"] == pytest.approx(5 / 40)


@pytest.mark.parametrize("groups", [ALONE, [i // 5 for i in range(40)], [min(i, 30) for i in range(40)], [0] * 40])
def test_chance_is_the_recall_of_random_orders(groups):
    rng = np.random.default_rng(0)
    right = np.array(groups)[:, None] == np.array(groups)
    for k in (1, 5, 10, 40, 50):
        drawn = np.mean([right[:, rng.permutation(40)[:k]].any(axis=1).mean() for _ in range(4000)])
        assert chance_at(np.array(groups), k) == pytest.approx(drawn, abs=0.01)


def test_retrieval_recall_is_the_share_of_pairs_among_the_first_k_in_both_directions():
    images, captions = whole_numbers(9, 40, 8), whole_numbers(10, 40, 8) + 2 * whole_numbers(9, 40, 8)
    rows = retrieval(images, captions, np.array(ALONE), RESAMPLING)
    found = {row["metric"]: (row["task"], row["value"], row["n"]) for row in rows}
    for name, queries, candidates in (("caption_to_image", captions, images), ("image_to_caption", images, captions)):
        ranks = [rank_of_own(queries, candidates, ALONE, i) for i in range(40)]
        for k in (1, 5, 10):
            share = sum(rank <= k for rank in ranks) / 40
            assert found.pop(f"{name}_recall@{k}") == ("retrieval", pytest.approx(share), 40)
            assert found.pop(f"{name}_chance@{k}") == ("retrieval", pytest.approx(k / 40), 40)
    assert not found


def test_a_model_that_maps_everything_to_one_point_retrieves_nothing():
    same = np.ones((50, 4), dtype=np.float32)
    rows = retrieval(same, same, np.arange(50), RESAMPLING)
    assert {row["value"] for row in rows if "recall" in row["metric"]} == {0.0}
