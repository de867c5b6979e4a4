"""The table of where memory comes from finds memory that grows with copies, and no trend where all remember alike."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from tests.harness.databases import write_database

from dejavu.database.sources import memory_source_rows
from dejavu.files import write_table
from dejavu.measurement.sources import SOURCES, Origins, source_rows, trend_rows
from dejavu.report.origins import origins
from dejavu.report.queries import Queries
from dejavu.tables.data import MANIFEST

CONFIG = {"report": {"k": 10, "labels": "all"}, "measure": {"bootstrap": 199, "seed": 0}}
NUMBER = 250
COPIES = np.array([1, 1, 1, 1, 1, 1, 2, 2, 3, 5])


def world(rng: np.random.Generator, memory, number: int = NUMBER) -> Origins:
    """Samples of three roles whose sides differ more for more copies; ``memory`` is a function of the copies."""
    parts = []
    for role, sign in (("a", 1), ("b", -1), ("holdout", 0)):
        copies = rng.choice(COPIES, number)
        group = np.repeat(np.arange(number), copies)
        own = copies[group]
        noise = rng.normal(0, 0.2, number)[group] + rng.normal(0, 0.1 * (1 + own), len(group))
        parts.append(
            (np.full(len(group), role), group + 10_000 * len(parts), own, 0.1 * own + sign * memory(own) + noise)
        )
    role, group, copies, gap = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    others = {name: rng.normal(size=len(gap)) for name in SOURCES[1:]}
    return Origins(role, group, {"copies": copies.astype(float), **others}, {"recall": gap})


def test_memory_that_grows_with_copies_is_found_beside_a_control_that_grows_too():
    origins = world(np.random.default_rng(0), lambda copies: 0.1 * copies, 800)
    bins = [row for row in source_rows(origins, 300, 0) if row["source"] == "copies"]
    assert [(row["low"], row["high"]) for row in bins] == [(1, 1), (2, 2), (3, 3), (5, 5)]
    for row in bins:
        assert row["value"] == pytest.approx(0.1 * row["low"], abs=0.1)
        assert row["control"] == pytest.approx(0.1 * row["low"], abs=0.15)
        assert row["ci_low"] < row["value"] < row["ci_high"]
        inside = (origins.sources["copies"] == row["low"]) & (origins.role != "holdout")
        assert row["n"] == inside.sum() == row["groups"] * row["low"]
        assert row["value"] == pytest.approx((row["value_a"] - row["value_b"]) / 2)
    trends = {row["source"]: row for row in trend_rows(origins, 300, 0)}
    assert trends["copies"]["p_joint"] < 0.01
    assert trends["copies"]["ci_low"] > 0
    assert all(trends[name]["p_joint"] > 0.05 for name in SOURCES[1:])
    assert all(row["placebo_p_value"] > 0.01 for row in trends.values())


@pytest.mark.parametrize("memory", [0.0, 0.3])
def test_where_all_remember_alike_a_trend_is_found_at_the_nominal_rate(memory):
    rng = np.random.default_rng(1)
    runs = 200
    p_values, found = [], 0
    for run in range(runs):
        rows = list(trend_rows(world(rng, lambda copies: memory, 120), 99, run))
        p_values += [row["p_value"] for row in rows if row["source"] == "copies"]
        found += min(row["p_joint"] for row in rows) <= 0.05
    assert stats.binomtest(found, runs, 0.05).pvalue > 0.001
    assert stats.binomtest(sum(p <= 0.2 for p in p_values), runs, 0.2).pvalue > 0.001


def test_the_trend_is_that_of_a_regression_by_role():
    rng = np.random.default_rng(3)
    origins = world(rng, lambda copies: 0.2, 3000)
    along = origins.sources["caption words"]
    sign = np.select([origins.role == "a", origins.role == "b"], [1, -1], 0)
    origins.gaps["recall"][:] += sign * 0.5 * stats.norm.cdf(along)
    trend = next(row for row in trend_rows(origins, 99, 0) if row["source"] == "caption words")
    slopes = {}
    for role in "ab":
        chosen = origins.role == role
        slopes[role] = np.polyfit(stats.norm.cdf(along[chosen]), origins.gaps["recall"][chosen], 1)[0]
    assert trend["trend"] == pytest.approx((slopes["a"] - slopes["b"]) / 2, abs=0.03)
    assert trend["ci_low"] < 0.5 < trend["ci_high"]


def planted(tmp_path: Path, listed: int | None = None) -> tuple[Path, dict[str, Path]]:
    """A database in which pairs with several copies, of which one is asked about, are remembered."""
    rng = np.random.default_rng(5)
    cell = {"model": "m", "epoch": 1, "query": "caption", "k": 10, "labels": "all"}
    samples, scores, attacks, manifests = [], [], [], {}
    for number in range(40):
        objects = ["cat", "dog"] if number < 10 else ["dog"]
        samples.append({"row": number, "uid": "p", "role": "public", "group_id": f"p{number}", "objects": objects})
    for place, (role, sign) in enumerate((("a", 1), ("b", -1), ("holdout", 0))):
        of_manifest: list[dict] = []
        for number in range(200):
            row, group, copies = 1000 * (place + 1) + number, f"{role}{number}", 1 + 2 * (number % 2)
            of_manifest += [{"row": row + 10_000 * copy, "group_id": group} for copy in range(copies)]
            words = " ".join(["word"] * (1 + number % 7))
            unnamed = [["cat", "dog"], ["dog"], ["owl"], []][number % 4]
            samples.append(
                {"row": row, "uid": "s", "role": role, "group_id": group, "caption": words, "unnamed": unnamed}
            )
            gap = sign * 0.4 * (copies > 1) + rng.normal(0, 0.2)
            for scope in ("all", "unnamed"):
                score = {"recall_a": 0.5 + gap, "recall_b": 0.5, "nearest_a": 0.2 + number / 1000, "nearest_b": 0.4}
                scores.append({**cell, "population": role, "scope": scope, "row": row, **score})
            for side in "ab":
                attack = {"model": "m", "epoch": 1, "side": side, "population": role, "row": row}
                attacks.append({**attack, "csa": 0.5 + gap if side == "a" else 0.5})
        manifests[role] = tmp_path / f"{role}.parquet"
        table = pa.Table.from_pylist([{"uid": "s", "position": 0.5, **of} for of in of_manifest], schema=MANIFEST)
        write_table(manifests[role], table, MANIFEST)
    tables = {
        "sides": [{"model": "m", "side": side, "kind": "trained"} for side in "ab"],
        "roles": [{"role": role, "dataset": "d", "listed": listed} for role in manifests],
        "population_gaps": [{**cell, "population": "symmetric", "scope": "all", "metric": "aucg"}],
        "samples": samples,
        "sample_scores": scores,
        "sample_attacks": attacks,
    }
    return write_database(tmp_path / "d.duckdb", tables), manifests


def test_copies_are_those_trained_on_and_rarity_that_of_the_public_samples(tmp_path, repository):
    path, manifests = planted(tmp_path)
    with duckdb.connect(str(path), read_only=True) as connection:
        found = list(memory_source_rows(connection, CONFIG, manifests))
    bins = [row for table, row in found if table == "memory_sources"]
    copies = [row for row in bins if row["source"] == "copies" and row["statistic"] == "recall"]
    assert [(row["low"], row["n"], row["groups"], row["control_n"]) for row in copies] == [
        (1, 200, 200, 100),
        (3, 200, 200, 100),
    ]
    assert [row["value"] for row in copies] == pytest.approx([0, 0.4], abs=0.05)
    rarest = [row for row in bins if row["source"] == "rarest object" and row["statistic"] == "pair cosine"]
    assert [(row["low"], row["n"]) for row in rarest] == [(0, 100), (0.25, 100), (1, 100)]
    words = [row for row in bins if row["source"] == "caption words"]
    assert {row["low"] for row in words} <= set(range(1, 8))
    nearest = [row for row in bins if row["source"] == "nearest public"]
    assert min(row["low"] for row in nearest) == pytest.approx(0.3)
    assert max(row["high"] for row in nearest) == pytest.approx(0.3995)
    trends = {(row["statistic"], row["source"]): row for table, row in found if table == "memory_trends"}
    assert len(trends) == 12
    sides = [{"model": "m", "side": side, "kind": "trained"} for side in "ab"]
    gaps = [{"model": "m", "epoch": 1, "population": "symmetric"}]
    rows = {"sides": sides, "population_gaps": gaps, "memory_sources": bins, "memory_trends": list(trends.values())}
    shown = origins(Queries(write_database(tmp_path / "shown.duckdb", rows), repository / "workflow" / "sql"))
    assert len(shown["origin_bins"]) == len(bins) and len(shown["origin_trends"]) == 12
    rarest = [row["values"] for row in shown["origin_bins"] if row["source"] == "rarest object"]
    assert rarest[:3] == ["0 %", "25 %", "100 %"]
    said = shown["origin_sentences"]["m"]
    assert "memory by pair cosine grows with the number of copies that were trained on (trend +" in said
    assert "words" not in said
    for statistic in ("recall", "unnamed recall", "pair cosine"):
        assert trends[statistic, "copies"]["p_joint"] <= 0.01
        assert trends[statistic, "caption words"]["p_joint"] > 0.05


def test_nothing_is_said_of_where_memory_comes_from_where_a_role_is_listed(tmp_path):
    path, manifests = planted(tmp_path, listed=200)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert not list(memory_source_rows(connection, CONFIG, manifests))
