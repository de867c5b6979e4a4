"""Where captions alone tell members from others, the comparison is void, and the database and the verdict say so."""

from functools import cache

import duckdb
import pytest
from PIL import Image
from tests.harness.databases import write_database

from dejavu.data import synthetic
from dejavu.data.synthetic import make_pairs, make_world
from dejavu.database.blind import blind_rows
from dejavu.memorization.verdicts import CANNOT_SAY, Grounds, verdicts
from dejavu.tables.fields import POPULATIONS

NUMBER = 400


@pytest.fixture(autouse=True)
def blank(monkeypatch):
    """Draw no images: captions are asked alone, and drawing takes most of the time."""
    image = Image.new("RGB", (1, 1))
    monkeypatch.setattr(synthetic, "draw_scene", lambda rng, scene, labels, size: (image, [[]] * len(labels)))


def rows(world_of_a, listed=NUMBER):
    """Tables of roles and their samples, role a of another world where that is asked."""
    roles = [{"role": role, "dataset": "demo", "listed": listed if role == "a" else None} for role in POPULATIONS]
    return {"samples": captioned(world_of_a), "roles": roles}


@cache
def captioned(world_of_a):
    """Samples of the roles with drawn captions."""
    worlds = {"a": (world_of_a, 0), "b": (0, NUMBER), "holdout": (0, 2 * NUMBER)}
    samples = []
    for place, (role, (seed, start)) in enumerate(worlds.items()):
        for number, pair in enumerate(make_pairs(make_world(seed), start, start + NUMBER, size=8)):
            row = place * NUMBER + number
            samples.append(
                {"row": row, "role": role, "uid": str(row), "caption": pair["caption"], "group_id": str(row)}
            )
    return samples


def found(path, tables):
    with duckdb.connect(str(write_database(path, tables)), read_only=True) as connection:
        return {(row["role"], row["other"]): row for row in blind_rows(connection)}


def test_captions_tell_members_of_another_distribution_apart_and_only_those(tmp_path):
    apart = found(tmp_path / "apart", rows(world_of_a=1))
    assert {pair: row["is_apart"] for pair, row in apart.items()} == {
        ("a", "b"): True,
        ("a", "holdout"): True,
        ("b", "holdout"): False,
    }
    alike = found(tmp_path / "alike", rows(world_of_a=0))
    assert len(alike) == 3 and not any(row["is_apart"] for row in alike.values())


def test_roles_that_chance_drew_are_not_asked(tmp_path):
    assert not found(tmp_path / "drawn", rows(world_of_a=1, listed=None))


@pytest.mark.parametrize("about", [0, 1])
def test_a_void_comparison_allows_no_verdict_however_small_p_is(about):
    cell = {"query": "caption", "k": 10, "labels": "all", "scope": "unnamed", "metric": "aucg", "value": 0.4}
    cell |= {"ci_low": 0.3, "ci_high": 0.5, "p_joint": 0.001, "expected": 0.0, "detectable": 0.03}
    attack = {"side": "a", "attack": "csa", "metric": "roc_auc", "value": 0.9, "ci_low": 0.8, "ci_high": 1.0}
    grounds = Grounds(
        cells=[cell | {"effective_groups": 400.0}],
        memories={"a": 0.001, "b": 0.001},
        attacks=[attack | {"p_value": 0.001, "null_value": 0.5}],
        k=10,
        labels="all",
        one_model=False,
        datasets={"a": "data", "b": "data", "holdout": "data"},
        draws=999,
        listed=["a"],
        apart=[{"role": "a", "other": "holdout", "auc": 0.97}],
    )
    verdict = verdicts(grounds)[about]
    assert verdict.verdict == CANNOT_SAY
    assert "tell role a from role holdout at ROC AUC 0.97" in verdict.sentence
