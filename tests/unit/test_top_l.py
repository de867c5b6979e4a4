"""Of the queries that come first in an order the gap has an interval, in which they are chosen anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dejavu.measurement import stored_weights, top_l
from dejavu.measurement.top_l import TopL
from dejavu.memorization import draws as drawing
from dejavu.memorization.gaps import top_order

NUMBER, GROUPS = 60, 40


def scores(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    correct = {side: rng.integers(0, 6, NUMBER) for side in "ab"}
    found = {f"{name}_{side}": correct[side] / 6 for name in ("precision", "recall", "f1") for side in "ab"}
    found |= {f"correct_{side}": correct[side] for side in "ab"}
    return found | {f"nearest_{side}": rng.random(NUMBER) for side in "ab"} | {"row": np.arange(NUMBER)}


def rows_of(
    cells: dict[str, dict], groups: np.ndarray, query: str = "caption", folder: Path | None = None
) -> list[dict]:
    top = TopL((3,), (0.1, 0.5), folder)
    for seed, (population, cell) in enumerate(cells.items()):
        top.resample(population, GROUPS, np.random.default_rng(seed))
        top.add(population, {"query": query}, cell, groups, {"a": NUMBER, "b": NUMBER})
    return top.rows()


def whole(blocks: Iterator[drawing.Parts]) -> np.ndarray:
    return np.concatenate([np.concatenate([weights for _, weights in parts]) for parts in blocks], axis=1).astype(int)


@pytest.mark.parametrize("groups_per_block", [GROUPS, 16], ids=["in memory", "on disk"])
def test_the_interval_is_that_of_resamples_whose_first_queries_are_taken(groups_per_block, monkeypatch, tmp_path):
    monkeypatch.setattr(top_l, "DRAWS", 30)
    # of the order no more than what is needed is gone through, and more where that does not suffice
    monkeypatch.setattr(top_l, "_with_reserve", lambda taken: taken)
    monkeypatch.setattr(stored_weights, "CHUNK", 7)
    monkeypatch.setattr(drawing, "GROUPS_PER_BLOCK", groups_per_block)
    monkeypatch.setattr(drawing, "CELLS_PER_PART", 7 * GROUPS)
    groups = np.sort(np.concatenate([np.arange(GROUPS), np.arange(NUMBER - GROUPS)]))
    cells = {population: scores(seed) for seed, population in enumerate(("a", "b", "holdout"))}
    found = rows_of(cells, groups, folder=tmp_path)
    weights = whole(drawing.resamples(drawing.block_sizes(GROUPS), 30, np.random.default_rng(0)))
    assert len(list(tmp_path.iterdir())) == (0 if groups_per_block == GROUPS else 3)
    cell = cells["a"]
    for sort in ("nearest", "correct", "gap"):
        order = top_order(sort, cell["correct_a"], cell["correct_b"], cell["nearest_a"], cell["row"])
        gap = (cell["recall_a"] - cell["recall_b"])[order]
        for unit, size, share in (("count", 3.0, 0.05), ("fraction", 0.1, 0.1), ("fraction", 0.5, 0.5)):
            drawn = []
            for weight in weights:
                times = weight[groups[order]]
                every, number = np.repeat(gap, times), max(1, int(share * times.sum() + 1e-9))
                # a query that is drawn several times counts as often, the last one too
                last = np.repeat(np.arange(NUMBER), times)[number - 1]
                drawn.append(every[: times[: last + 1].sum()].mean())
            (row,) = [r for r in found if (r["population"], r["sort"], r["unit"], r["l"]) == ("a", sort, unit, size)]
            assert [row["recall_gap_low"], row["recall_gap_high"]] == pytest.approx(
                np.percentile(drawn, [2.5, 97.5]), abs=1e-5
            )


def test_every_row_has_an_interval_and_derived_ones_are_halved_draw_by_draw():
    groups = np.arange(NUMBER) % GROUPS
    same = scores(1)
    found = rows_of({"a": same, "b": scores(2), "holdout": same}, groups)
    assert {row["population"] for row in found} == {"a", "b", "holdout", "symmetric", "holdout_symmetric"}
    for row in found:
        assert row["recall_gap_low"] <= row["recall_gap_high"]
        assert "drawn" not in row
    by = {(r["population"], r["sort"], r["unit"], r["l"]): r for r in found}
    row, a, b = (by[name, "gap", "fraction", 0.5] for name in ("symmetric", "a", "b"))
    assert row["recall_gap"] == pytest.approx((a["recall_gap"] - b["recall_gap"]) / 2)
    assert row["recall_gap_low"] < row["recall_gap"] < row["recall_gap_high"]
    others = rows_of({"a": same, "b": scores(2), "holdout": same}, groups, "rare")
    assert {row["recall_gap_low"] for row in others} == {None}
    assert [row["recall_gap"] for row in others] == [row["recall_gap"] for row in found]
