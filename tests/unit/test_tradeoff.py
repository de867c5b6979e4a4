"""What a model costs beside another: intervals of utility, of its differences, and who is on the front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest
from tests.harness.databases import write_database

from dejavu.measurement.resampling import Resampling, draw_tables, interval, shares
from dejavu.report.captions import is_blank
from dejavu.report.figures import draw_figures
from dejavu.report.queries import Queries
from dejavu.report.summary import write_summary
from dejavu.report.tradeoff import cost, drawn_front, front_shares, tradeoff
from dejavu.sweeps import compared_with
from dejavu.tables.evaluation import UTILITY

DRAWS = 300
RESAMPLING = Resampling(DRAWS, seed=0)
DIRECTIONS = ("caption_to_image_recall@10", "image_to_caption_recall@10")
Hits = dict[tuple[str, str], np.ndarray]


def measured(hits: Hits, groups: np.ndarray, epoch: int = 9) -> dict[str, pa.Table]:
    """The tables of utility of sides (model, side) that have these hits (queries, directions)."""
    found: dict[str, list[pa.Table]] = {"utility": [], "utility_draws": []}
    for (model, side), columns in hits.items():
        rows = shares("retrieval", DIRECTIONS, columns, groups, RESAMPLING.means(columns, groups, "retrieval"))
        parts = {"utility": pa.Table.from_pylist(rows, UTILITY), "utility_draws": pa.concat_tables(draw_tables(rows))}
        for name, part in parts.items():
            for column, value in {"model": model, "side": side, "epoch": epoch}.items():
                part = part.append_column(column, pa.repeat(pa.scalar(value), part.num_rows))
            found[name].append(part)
    return {name: pa.concat_tables(parts) for name, parts in found.items()}


def two_sided(rng: np.random.Generator, groups: np.ndarray, share: float) -> dict[str, np.ndarray]:
    """Hits of both sides in both directions; members of a group are mostly hit or missed together."""
    number = int(groups.max()) + 1
    sides = {}
    for side in "ab":
        of_group = rng.random((number, 2)) < share
        apart = rng.random((len(groups), 2)) < 0.1
        sides[side] = np.where(apart, rng.random((len(groups), 2)) < share, of_group[groups]).astype(float)
    return sides


def gaps(
    model: str, value: float, kind: str = "trained", query: str = "caption", epoch: int = 9, own: str = "trained"
) -> dict[str, list[dict]]:
    """A model's gap and control with their bands and draws; ``kind`` is that of side b, ``own`` that of side a."""
    control = "unseen" if kind == "text_encoder" else "holdout"
    rows: dict[str, list[dict]] = {"population_gaps": [], "bands": [], "bootstrap_draws": []}
    for population, gap in (("symmetric", value), (control, 0.01)):
        cell = {"model": model, "epoch": epoch, "population": population, "query": query, "k": 10, "labels": "all"}
        cell |= {"scope": "all", "metric": "ppg"}
        rows["population_gaps"].append({**cell, "value": gap, "n": 100})
        rows["bands"].append({**cell, "band_low": gap - 0.1, "band_high": gap + 0.1})
        drawn = gap + np.random.default_rng(3).normal(0, 0.02, DRAWS)
        rows["bootstrap_draws"] += [{**cell, "draw": draw, "value": number} for draw, number in enumerate(drawn)]
    sides = [{"model": model, "side": side, "kind": of} for side, of in (("a", own), ("b", kind))]
    return {**rows, "sides": sides if query == "caption" else []}


def joined(*parts: dict[str, list[dict]]) -> dict[str, list[dict]]:
    return {name: [row for part in parts for row in part[name]] for name in parts[0]}


@pytest.fixture
def sql(repository: Path) -> Path:
    return repository / "workflow" / "sql"


# intervals


def test_resamples_are_of_whole_groups_and_the_same_for_all_models():
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 120, 400))
    groups = np.unique(groups, return_inverse=True)[1]
    one, other = (two_sided(rng, groups, 0.3)["a"] for _ in range(2))
    draws = {name: Resampling(4000, 0).means(hits, groups, "retrieval") for name, hits in (("1", one), ("2", other))}
    both = Resampling(4000, 0).means(one - other, groups, "retrieval")
    assert np.allclose(draws["1"] - draws["2"], both, atol=1e-12)
    # the linearised standard error of a mean of whole groups, from their sums and sizes
    sizes = np.bincount(groups)
    sums = np.array([one[groups == group, 0].sum() for group in range(len(sizes))])
    error = np.sqrt(((sums - sizes * one[:, 0].mean()) ** 2).sum()) / sizes.sum()
    assert draws["1"][:, 0].std() == pytest.approx(error, rel=0.08)
    assert error > 1.3 * np.sqrt(one[:, 0].var() / len(one)), "singles would look surer than they are"


def test_draws_do_not_depend_on_how_many_go_into_a_block(monkeypatch):
    values, groups = np.random.default_rng(1).random((50, 2)), np.arange(50) // 2
    found = RESAMPLING.means(values, groups, "x")
    classes = np.arange(50) % 4
    of_classes = RESAMPLING.means_of_classes(values[:, 0], classes, "x")
    monkeypatch.setattr("dejavu.measurement.resampling.CELLS_PER_BLOCK", 100)
    assert np.array_equal(RESAMPLING.means(values, groups, "x"), found)
    assert np.array_equal(RESAMPLING.means_of_classes(values[:, 0], classes, "x"), of_classes)
    assert not np.array_equal(RESAMPLING.means(values, groups, "y"), found)
    assert of_classes.mean() == pytest.approx(np.mean([values[classes == c, 0].mean() for c in range(4)]), abs=0.02)


def test_where_all_queries_agree_the_interval_is_the_exact_one_and_no_point():
    for hit in (0.0, 1.0):
        (row,) = shares("t", ["m"], np.full((30, 1), hit), np.arange(30), np.full((DRAWS, 1), hit))
        exact = binomtest(int(30 * hit), 30).proportion_ci(0.95, method="exact")
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((exact.low, exact.high))
    assert interval(0.5, np.full(3, np.nan), 3) == (None, None)


# differences


def test_intervals_of_differences_hold_0_for_95_of_100_pairs_of_equal_models(sql, tmp_path):
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(150), 2)
    hits: Hits = {}
    pairs, better = 150, 15
    others = {}
    for number in range(pairs):
        share = 0.6 if number < better else 0.3
        for name, of in ((f"base-{number}", 0.3), (f"model-{number}", share)):
            hits[name, "a"] = two_sided(rng, groups, of)["a"]
        others[f"compared_with__model-{number}"] = f"base-{number}"
    queries = Queries(write_database(tmp_path / "d.duckdb", measured(hits, groups), **others), sql)
    rows = {(row["model"], row["metric"]): row for row in queries.rows("utility") if row["change"] is not None}
    assert len(rows) == 2 * pairs
    held = [r["change_low"] <= 0 <= r["change_high"] for (m, _), r in rows.items() if int(m.split("-")[1]) >= better]
    assert 0.91 <= np.mean(held) <= 0.98
    planted = [r for (m, _), r in rows.items() if int(m.split("-")[1]) < better]
    assert all(r["change_low"] > 0 for r in planted)
    assert np.mean([r["change_low"] <= 0.3 <= r["change_high"] for r in planted]) > 0.8
    one = rows["model-3", DIRECTIONS[0]]
    wanted = hits["model-3", "a"][:, 0].mean() - hits["base-3", "a"][:, 0].mean()
    assert one["change"] == pytest.approx(wanted) and one["change_low"] < wanted < one["change_high"]


@pytest.fixture
def models(tmp_path, sql) -> Queries:
    """Two pairs of models and a one-model test, which is side a of the first."""
    rng = np.random.default_rng(11)
    groups = np.arange(300)
    hits: Hits = {}
    for model, share in (("base", 0.30), ("masked", 0.28)):
        hits |= {(model, side): columns for side, columns in two_sided(rng, groups, share).items()}
    hits["single", "a"] = hits["base", "a"]
    hidden = gaps("masked", 0.15, query="remainder")
    rows = joined(gaps("base", 0.4), gaps("masked", 0.05), hidden, gaps("single", 0.2, "text_encoder"))
    path = write_database(
        tmp_path / "d.duckdb",
        {**rows, **measured(hits, groups)},
        compared_with__masked="base",
        compared_with__single="base",
    )
    return Queries(path, sql)


def test_a_one_model_test_stays_in_the_trade_off_and_in_the_summary(models, tmp_path):
    found = {row["model"]: row for row in tradeoff(models)}
    assert list(found) == ["base", "masked", "single"]
    assert found["single"]["reference"] == "text_encoder" and found["single"]["control_value"] == 0.01
    # a one-model gap is on another scale, so this point has a front of its own
    assert found["single"]["front_share"] == 1.0
    write_summary(models, tmp_path / "summary.txt", title="planted")
    told = [line for line in (tmp_path / "summary.txt").read_text().splitlines() if "recall@10" in line]
    assert [line.split(":")[0] for line in told] == ["base", "masked", "single"]
    assert "no query tells it from base" in told[2]


def test_a_one_model_test_of_a_checkpoint_is_shown_without_samples_seen(tmp_path, sql):
    groups = np.arange(200)
    hits: Hits = {("audited", "a"): two_sided(np.random.default_rng(5), groups, 0.4)["a"]}
    rows = {**gaps("audited", 0.2, "text_encoder", epoch=0, own="checkpoint"), **measured(hits, groups, epoch=0)}
    queries = Queries(write_database(tmp_path / "d.duckdb", rows), sql)
    (row,) = tradeoff(queries)
    assert (row["model"], row["epoch"], row["control_value"]) == ("audited", 0, 0.01)
    assert row["front_share"] == 1.0
    write_summary(queries, tmp_path / "summary.txt", title="planted")
    assert "\naudited: holdout retrieval recall@10" in (tmp_path / "summary.txt").read_text()
    figure = tmp_path / "tradeoff.svg"
    draw_figures(queries, {"tradeoff": figure})
    assert not is_blank(figure)


def test_a_model_is_judged_by_the_query_that_shows_most_of_its_memory(models):
    found = {row["model"]: row for row in tradeoff(models)}
    assert [(row["query"], row["gap"]) for row in found.values()] == [
        ("caption", 0.4),
        ("remainder", 0.15),
        ("caption", 0.2),
    ]
    assert np.mean(found["masked"]["drawn_gap"]) == pytest.approx(0.15, abs=0.01)


def test_what_a_model_costs_is_told_with_the_loss_that_is_not_excluded(models):
    found = {row["model"]: row for row in tradeoff(models)}
    row, base = found["masked"], found["base"]
    drawn = np.array([row["drawn_recall"], base["drawn_recall"]])
    low, high = 100 * np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    loss = 1 - np.quantile(drawn[0] / drawn[1], 0.025)
    assert low < 0 < high, "neither is shown to be better"
    assert cost(row) == (
        f"holdout retrieval recall@10 {row['recall_at_10']:.1%} [{100 * row['recall_low']:.1f}, "
        f"{100 * row['recall_high']:.1f}], against {base['recall_at_10']:.1%} of base: "
        f"{100 * (row['recall_at_10'] - base['recall_at_10']):+.2f} points [{low:+.2f}, {high:+.2f}]; "
        f"a loss of {loss:.0%} of it is not excluded"
    )
    assert cost(base).endswith("]"), "nothing is compared with itself"


def test_models_are_compared_with_what_they_vary_whatever_the_order():
    config = {
        "models": {
            "z": {},
            "masked": {},
            "base": {},
            "base.seed-1": {},
            "early": {"sides": {"a": {"model": "masked"}}},
        },
        "studies": {"s": {"model": "base", "points": [{"model": "base"}, {"model": "base.seed-1"}]}},
    }
    likes = {"z": None, "masked": "base", "base": None, "early": None}
    wanted = {"base.seed-1": "base", "early": "masked", "masked": "base", "z": "base"}
    assert compared_with(config, likes) == wanted
    turned = {"models": dict(reversed(config["models"].items())), "studies": config["studies"]}
    assert list(compared_with(turned, likes).items()) == list(wanted.items())
    assert compared_with({"models": {"one": {}}, "studies": {}}, {"one": None}) == {}


# the front


def on_front(points: np.ndarray) -> list[bool]:
    """Whether no other point is at least as good in both and better in one, point by point."""
    clipped = [(u, max(g, 0.0)) for u, g in points]
    return [not any(v >= u and h <= g and (v, h) != (u, g) for v, h in clipped) for u, g in clipped]


def test_a_share_of_the_front_is_that_of_the_draws_and_a_gap_below_nought_is_nought():
    rng = np.random.default_rng(5)
    utility = rng.integers(0, 6, (300, 5)).astype(float)
    gap = rng.integers(-3, 4, (300, 5)) / 10
    wanted = np.mean([on_front(np.column_stack(draw)) for draw in zip(utility, gap, strict=True)], axis=0)
    assert front_shares(utility, gap) == pytest.approx(wanted.tolist())
    assert min(wanted) > 0.05 and max(wanted) < 0.95
    # both gaps are below 0 and count as 0, so only the point with the better utility is on the front
    assert front_shares(np.array([[5.0, 6.0]]), np.array([[-0.2, -0.1]])) == [0.0, 1.0]
    lacking = np.array([[5.0, np.nan], [5.0, 6.0]])
    assert front_shares(lacking, np.array([[0.1, 0.1], [0.1, 0.1]])) == [0.0, 1.0]


def test_the_front_that_is_drawn_leaves_out_points_that_are_mostly_beaten():
    assert drawn_front([(6.0, 0.4, 0.9), (5.0, 0.1, 0.5), (4.0, 0.2, 0.49), (3.0, 0.0, None)]) == [
        (5.0, 0.1),
        (6.0, 0.4),
    ]
