"""Replicates deal one training pool by fair coins, and their tables follow from the scores."""

import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from dejavu.config import load_config
from dejavu.data.replicate import write_replicate
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.measurement.replicate_pool import ReplicateFiles
from dejavu.measurement.replicates import Options, summarize_replicates
from dejavu.replicates import replicate_splits, replicated_models
from dejavu.roles import drawing
from dejavu.tables.data import MANIFEST
from dejavu.tables.evaluation import SAMPLE_ATTACKS
from dejavu.tables.replicates import REPLICATE_TABLES
from dejavu.tables.scores import SAMPLE_SCORES

BASE = Path(__file__).parents[2]
GIVEN = {
    "datasets": {"demo": {"synthetic": {"pairs": 1000}}},
    "splits": {
        "s": {
            "dataset": "demo",
            "replicates": 3,
            "roles": {
                "a": {"interval": [0.0, 0.2]},
                "b": {"interval": [0.2, 0.4]},
                "public": {"interval": [0.4, 0.7]},
                "holdout": {"interval": [0.7, 1.0]},
            },
        }
    },
    "models": {
        "baseline": {
            "architecture": "config/architectures/tiny.json",
            "samples_seen": 1000,
            "batch_size": 50,
            "checkpoints": [500],
        },
        "one-model": {"sides": {"a": {"model": "baseline"}, "b": {"text_encoder": "tfidf"}}},
    },
}


def loaded(change=lambda config: None):
    given = copy.deepcopy(GIVEN)
    change(given)
    return load_config(given, BASE / "workflow" / "schemas" / "config.schema.yaml", BASE)


def test_replicates_measure_the_last_checkpoints_of_models_that_are_trained_here():
    config = loaded()
    assert replicate_splits(config, "s") == ["s", "s.replicate-1", "s.replicate-2"]
    assert replicated_models(config, "s") == {"baseline": 1000}
    assert config["splits"]["s"]["models"]["baseline"] == [500, 1000]
    assert config["splits"]["s.replicate-2"]["models"] == {"baseline": [1000]}
    assert replicated_models(loaded(lambda c: c["splits"]["s"].pop("replicates")), "s") == {}


def test_a_replicate_changes_who_is_trained_on_and_nothing_else():
    splits = loaded()["splits"]
    for role in ("public", "holdout"):
        assert drawing(splits["s.replicate-1"], role) == drawing(splits["s"], role)
    drawings = [str(drawing(splits[name], role)) for name in splits for role in "ab"]
    assert len(set(drawings)) == len(drawings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["splits"].update({"s.replicate-1": copy.deepcopy(c["splits"]["s"])}), "rename it"),
        (lambda c: c["splits"]["s"].update(models=["one-model"]), "no model of the split has two sides"),
        (lambda c: c["splits"]["s"].update(replicates=0), "replicates"),
    ],
)
def test_replicates_that_cannot_be_are_refused_by_name(change, words):
    with pytest.raises(InputError, match=words):
        loaded(change)


def test_replicates_of_roles_from_two_datasets_are_refused():
    def two(config):
        config["datasets"]["other"] = copy.deepcopy(config["datasets"]["demo"])
        config["splits"]["s"]["roles"]["b"]["dataset"] = "other"

    with pytest.raises(InputError, match="coins cannot exchange"):
        loaded(two)


def manifest(path, rows, groups):
    columns = {"row": rows, "uid": [str(row) for row in rows], "group_id": groups}
    columns["position"] = np.linspace(0, 1, len(rows), endpoint=False)
    return write_table(path, pa.table(columns, schema=MANIFEST), MANIFEST) and path


def test_coins_deal_whole_groups_into_halves_and_anew_for_every_replicate(tmp_path):
    # two samples a group; the pool of 400 samples came from two roles
    pool = [
        manifest(tmp_path / role, np.arange(start, start + 200), [f"g{i // 2}" for i in range(start, start + 200)])
        for role, start in (("a", 0), ("b", 200))
    ]
    dealt = {}
    for number in (1, 2):
        for role in "ab":
            path = tmp_path / f"{role}{number}"
            count = write_replicate(pool, path, role=role, split="s", seed=0, replicate=number)
            table = read_table(path)
            dealt[role, number] = set(table["row"].to_pylist())
            assert count == len(dealt[role, number])
            assert table["position"].to_pylist() == sorted(table["position"].to_pylist())
        assert dealt["a", number] | dealt["b", number] == set(range(400))
        assert not dealt["a", number] & dealt["b", number]
        assert {row ^ 1 for row in dealt["a", number]} == dealt["a", number]
        # 200 fair coins: five standard deviations
        assert abs(len(dealt["a", number]) - 200) < 2 * 5 * 200**0.5 / 2
    both = len(dealt["a", 1] & dealt["a", 2])
    assert abs(both - 100) < 2 * 5 * (200 * 3 / 16) ** 0.5


N, M, R, REMEMBERED = 300, 200, 4, 150


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Four replicates in which whoever was trained on a sample of the pool's first half remembers it."""
    folder, rng = tmp_path_factory.mktemp("replicates"), np.random.default_rng(0)
    remembered, replicates, gaps, coins = np.arange(N) < REMEMBERED, [], [], []
    holdout = manifest(folder / "holdout", np.arange(N, N + M), [str(i) for i in range(N, N + M)])
    unseen = []
    for number in range(R):
        coin = rng.permutation(np.repeat([1, -1], N // 2))
        gap = rng.normal(0, 0.05, N) + coin * remembered * 0.4
        null = rng.normal(0, 0.05, M)
        files: dict[str, dict] = {"manifests": {}, "scores": {}, "attacks": {}}
        where = {"a": np.flatnonzero(coin > 0), "b": np.flatnonzero(coin < 0), "holdout": np.arange(N, N + M)}
        all_gaps = np.concatenate([gap, null])
        for role, rows in where.items():
            if role != "holdout":
                files["manifests"][role] = manifest(folder / f"{role}{number}", rows, [str(row) for row in rows])
            score = {name: np.zeros(len(rows)) for name in SAMPLE_SCORES.names}
            score |= {"query": ["caption"] * len(rows), "k": [10] * len(rows), "labels": ["all"] * len(rows)}
            score |= {"row": rows, "recall_a": 0.5 + all_gaps[rows], "recall_b": np.full(len(rows), 0.5)}
            score |= {"precision_a": 0.5 + all_gaps[rows], "precision_b": np.full(len(rows), 0.5)}
            tables = [
                pa.table({**score, "scope": [scope] * len(rows)}).select(SAMPLE_SCORES.names).cast(SAMPLE_SCORES)
                for scope in ("all", "unnamed")
            ]
            files["scores"][role] = folder / f"scores-{role}{number}"
            write_table(files["scores"][role], iter(tables), SAMPLE_SCORES, len(rows))
        for side in "ab":
            columns = {
                "population": np.repeat(list(where), [len(rows) for rows in where.values()]),
                "row": np.concatenate(list(where.values())),
            }
            cosine = all_gaps[columns["row"]] if side == "a" else np.zeros(N + M)
            table = pa.table({**columns, "csa": cosine, "clipmem": cosine}, schema=SAMPLE_ATTACKS)
            files["attacks"][side] = folder / f"attacks-{side}{number}"
            write_table(files["attacks"][side], table, SAMPLE_ATTACKS)
        replicates.append(ReplicateFiles(**files))
        gaps.append(gap), coins.append(coin), unseen.append(null)
    outputs = {name: folder / f"{name}.parquet" for name in REPLICATE_TABLES}
    options = Options(cell=(10, "all"), draws=200, seed=0, rate=0.1, by_chance=True)
    summarize_replicates(replicates, holdout, outputs, options, "test")
    tables = {name: read_table(path).to_pylist() for name, path in outputs.items()}
    return tables, np.array(gaps), np.array(coins), np.array(unseen)


def test_the_gap_of_every_replicate_and_its_mean_follow_from_the_scores(planted):
    tables, gaps, coins, unseen = planted
    expected = [(gap[coin > 0].mean() - gap[coin < 0].mean()) / 2 for gap, coin in zip(gaps, coins, strict=True)]
    cell = {"query": "caption", "k": 10, "labels": "all", "scope": "all", "metric": "aucg"}

    def of(table, population):
        return [r for r in tables[table] if r["population"] == population and cell.items() <= r.items()]

    assert [row["value"] for row in of("replicates", "symmetric")] == pytest.approx(expected)
    assert [row["value"] for row in of("replicates", "holdout")] == pytest.approx(unseen.mean(axis=1))
    (row,) = of("recipe_intervals", "symmetric")
    assert row["mean"] == pytest.approx(np.mean(expected)) and row["between"] == pytest.approx(np.std(expected, ddof=1))
    assert row["replicates"] == R and row["low"] < row["mean"] < row["high"]
    # another training of the same recipe, asked the same queries: Student's t with R - 1 degrees of freedom
    reach = stats.t.ppf(0.975, R - 1) * np.std(expected, ddof=1) * (1 + 1 / R) ** 0.5
    assert (row["next_low"], row["next_high"]) == pytest.approx((row["mean"] - reach, row["mean"] + reach))
    # the draws are of the same groups in all replicates, around each replicate's value
    draws = np.array([r["value"] for r in tables["replicate_draws"] if cell.items() <= r.items()]).reshape(R, -1)
    assert draws.mean(axis=1) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("statistic", ["recall", "unnamed recall", "pair cosine"])
def test_remembered_samples_are_named_by_every_statistic(planted, statistic):
    tables, gaps, coins, _ = planted
    rows = {r["row"]: r for r in tables["sample_memorization"] if r["statistic"] == statistic}
    signed = gaps * coins
    advantages = np.array([rows[row]["advantage"] for row in range(N)])
    assert advantages == pytest.approx(signed.mean(axis=0))
    assert rows[7]["std_error"] == pytest.approx(signed[:, 7].std(ddof=1) / R**0.5)
    assert all(row["population"] == ("a" if coins[0, number] > 0 else "b") for number, row in rows.items())
    (share,) = [r for r in tables["remembered_shares"] if r["statistic"] == statistic]
    named = {row for row in rows if rows[row]["q_value"] <= 0.1}
    assert set(range(REMEMBERED)) <= named and share["listed"] == len(named) <= REMEMBERED / 0.85
    assert share["listed_placebo"] < 1 and 0 < share["share_low"] <= REMEMBERED / N


def test_a_list_of_half_the_replicates_is_confirmed_by_the_other_half(planted):
    tables, gaps, coins, _ = planted
    for row in tables["confirmations"]:
        assert (row["listing"], row["confirming"]) == (2, 2)
        assert row["listed"] >= 0.9 * REMEMBERED and row["confirmed"] >= 0.9 * row["listed"]
        assert row["advantage"] > 0.3 and abs(row["unlisted_advantage"]) < 0.1


def test_replicates_of_another_pool_are_refused(planted, tmp_path):
    one = manifest(tmp_path / "one", np.arange(10), [str(i) for i in range(10)])
    other = manifest(tmp_path / "other", np.arange(10, 20), [str(i) for i in range(10, 20)])
    third = manifest(tmp_path / "third", np.arange(20, 30), [str(i) for i in range(20, 30)])
    files = [ReplicateFiles(manifests={"a": one, "b": last}, scores={}, attacks={}) for last in (other, third)]
    options = Options(cell=(10, "all"), draws=2, seed=0, rate=0.1, by_chance=True)
    with pytest.raises(InputError, match="another training pool"):
        summarize_replicates(files, one, {}, options, "test")
