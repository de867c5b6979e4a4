"""What is said of single samples rests on the holdout, and only where that is a control."""

import duckdb
import numpy as np
import pytest
from tests.harness.databases import write_database

from dejavu.database.privacy import privacy_rows
from dejavu.database.single_samples import single_sample_tables

CONFIG = {"report": {"k": 10, "labels": "all"}, "measure": {"discovery_rate": 0.1}}
NUMBER = 300


def planted(share, *, listed=None, dataset="demo", reference="trained"):
    """Rows of a database in which training on a share of role a has raised recall and cosine by far."""
    rng = np.random.default_rng(0)
    samples, scores, attacks = [], [], []
    for start, role in ((0, "a"), (NUMBER, "b"), (2 * NUMBER, "holdout")):
        for number in range(NUMBER):
            row, gap = start + number, float(rng.normal())
            if role == "a" and number < share * NUMBER:
                gap += 100 + number
            samples.append(
                {"row": row, "role": role, "group_id": str(row), "uid": str(row), "caption": "", "objects": []}
            )
            shared = {"model": "m", "epoch": 3, "population": role, "row": row}
            for scope in ("all", "unnamed"):
                cell = {"query": "caption", "k": 10, "labels": "all", "scope": scope}
                scores.append(shared | cell | {"recall_a": gap, "recall_b": 0.0})
            attacks += [shared | {"side": side, "csa": gap if side == "a" else 0.0} for side in "ab"]
    # chance's ranking is no query that a model was asked with
    scores.append(scores[-1] | {"query": "random"})
    return {
        "samples": samples,
        "sample_scores": scores,
        "sample_attacks": attacks,
        "population_gaps": [{"model": "m", "epoch": 3, "population": "symmetric"}],
        "sides": [{"model": "m", "side": "a", "kind": "trained"}, {"model": "m", "side": "b", "kind": reference}],
        "roles": [
            {"role": "a", "dataset": "demo", "listed": listed},
            {"role": "b", "dataset": "demo"},
            {"role": "holdout", "dataset": dataset},
        ],
    }


def found(path, rows):
    """Table -> the rows that are made of a database."""
    tables = {"sample_memorization": [], "remembered_shares": []}
    with duckdb.connect(str(write_database(path, rows)), read_only=True) as connection:
        for name, part in single_sample_tables(connection, CONFIG):
            tables[name] += part.to_pylist()
    return tables


def test_remembered_samples_are_counted_and_named_under_every_statistic(tmp_path):
    tables = found(tmp_path / "database", planted(0.2))
    shares = {row["statistic"]: row for row in tables["remembered_shares"]}
    assert set(shares) == {"recall", "unnamed recall", "pair cosine"}
    for row in shares.values():
        assert (row["query"], row["samples"], row["control"], row["rate"]) == ("caption", 2 * NUMBER, NUMBER, 0.1)
        # 60 of 600, less what 300 and 600 samples leave open
        assert row["share_low"] <= 0.1
        # all that are remembered, and hardly another
        assert 60 <= row["listed"] <= 70
    samples = [row for row in tables["sample_memorization"] if row["statistic"] == "recall"]
    best = sorted(samples, key=lambda row: -row["advantage"])[:60]
    assert {(row["population"], row["row"]) for row in best} == {("a", row) for row in range(60)}
    assert all(row["p_value"] == pytest.approx(1 / (NUMBER + 1)) for row in best)


def test_without_memory_no_sample_is_named_and_the_share_is_nought(tmp_path):
    for row in found(tmp_path / "database", planted(0.0))["remembered_shares"]:
        assert (row["listed"], row["share_low"]) == (0, 0)


@pytest.mark.parametrize(
    "roles",
    [{"listed": 300}, {"dataset": "another"}, {"reference": "text_encoder"}],
    ids=lambda roles: next(iter(roles)),
)
def test_nothing_is_said_where_the_holdout_is_no_control_of_single_samples(tmp_path, roles):
    assert not any(found(tmp_path / "database", planted(0.2, **roles)).values())


def test_the_privacy_of_a_side_that_remembers_is_bounded_and_of_no_other(tmp_path):
    bounds = {}
    for share in (0.0, 0.5):
        path = write_database(tmp_path / f"database-{share}", planted(share))
        with duckdb.connect(str(path), read_only=True) as connection:
            bounds[share] = {row["side"]: row for row in privacy_rows(connection, {"measure": {"seed": 0}})}
    assert [bounds[0.0][side]["epsilon_low"] for side in "ab"] == [0, 0]
    # half of role a is beyond doubt: what is guessed of those is right
    assert bounds[0.5]["a"]["epsilon_low"] > 0.5 and bounds[0.5]["b"]["epsilon_low"] == 0
    assert bounds[0.5]["a"]["right_guesses"] > 0.7 * bounds[0.5]["a"]["guesses"]


def test_nothing_is_said_of_the_privacy_of_a_listed_role(tmp_path):
    path = write_database(tmp_path / "database", planted(0.5, listed=300))
    with duckdb.connect(str(path), read_only=True) as connection:
        assert list(privacy_rows(connection, {"measure": {"seed": 0}})) == []
