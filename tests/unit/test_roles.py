"""Splits with the same training set share what is trained on it; where that lies depends on no order and no name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from dejavu.config import load_config
from dejavu.roles import drawing, trained_in

ROLES = {
    "a": {"interval": [0.0, 0.2], "limit": 400},
    "b": {"interval": [0.2, 0.4], "limit": 400},
    "public": {"interval": [0.4, 0.7], "limit": 500},
    "holdout": {"interval": [0.7, 1.0]},
}
GIVEN: dict[str, Any] = {
    "datasets": {name: {"synthetic": {"pairs": 4000, "files": 2, "seed": i}} for i, name in enumerate(("demo", "far"))},
    "splits": {"default": {"dataset": "demo", "roles": ROLES}, "alike": {"dataset": "demo", "roles": ROLES}},
    "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 6400, "batch_size": 64}},
}


@pytest.fixture
def load(repository):
    def loaded(given: dict) -> dict:
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)

    return loaded


def with_split(name: str, **changes: dict) -> dict:
    given = copy.deepcopy(GIVEN)
    given["splits"][name]["roles"] = {role: ROLES[role] | changes.get(role, {}) for role in ROLES}
    return given


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finish(split: str, dataset: str = "demo") -> None:
    folder = Path("results") / dataset / split / "models" / "base" / "a"
    folder.mkdir(parents=True)
    (folder / "training.parquet").touch()


def begin(split: str) -> None:
    (Path("results") / "demo" / split / "state" / "base" / "a").mkdir(parents=True)


def places(config: dict, letter: str = "a") -> dict[str, str]:
    return {split: trained_in(config, split, "base", letter) for split in config["splits"]}


def test_the_first_by_name_trains_for_all_that_are_alike_whatever_their_order(load):
    turned = copy.deepcopy(GIVEN)
    turned["splits"] = dict(reversed(GIVEN["splits"].items()))
    for given in (GIVEN, turned):
        assert places(load(given)) == {"default": "alike", "alike": "alike"}


@pytest.mark.parametrize("made", [finish, begin], ids=["finished", "begun"])
def test_a_split_that_has_begun_to_train_stays_the_one(load, made):
    made("default")
    assert places(load(GIVEN)) == {"default": "default", "alike": "default"}


def test_another_public_set_or_holdout_changes_nothing(load):
    finish("default")
    given = with_split("alike", public={"dataset": "far", "interval": [0.0, 1.0]}, holdout={"limit": 100})
    assert places(load(given))["alike"] == "default"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["roles"]["a"].update(limit=399),
        lambda s: s["roles"]["a"].update(interval=[0.01, 0.2]),
        lambda s: s["roles"]["a"].update(dataset="far"),
        lambda s: s.update(seed=1),
        lambda s: s.update(stratify="source"),
        lambda s: s.update(deduplicate=True),
        lambda s: s["roles"].update(holdout={"uids": "list.txt"}),
    ],
    ids=["limit", "interval", "dataset", "seed", "stratify", "deduplicate", "a list of another role"],
)
def test_a_split_that_draws_the_role_otherwise_trains_itself(load, change):
    Path("list.txt").write_text("u1\n")
    finish("default")
    given = copy.deepcopy(GIVEN)
    given["splits"]["alike"]["roles"] = copy.deepcopy(ROLES)
    change(given["splits"]["alike"])
    assert places(load(given)) == {"default": "default", "alike": "alike"}


def test_one_sample_of_a_group_is_taken_in_every_role_or_in_none(load):
    given = copy.deepcopy(GIVEN)
    given["splits"]["alike"]["deduplicate"] = True
    splits = load(given)["splits"]
    assert {drawing(splits["alike"], role)["deduplicate"] for role in ROLES} == {True}
    assert {drawing(splits["default"], role)["deduplicate"] for role in ROLES} == {False}


def test_sides_are_shared_one_by_one(load):
    config = load(with_split("alike", a={"limit": 300}))
    assert places(config, "a") == {"default": "default", "alike": "alike"}
    assert places(config, "b") == {"default": "alike", "alike": "alike"}


def test_a_split_that_does_not_measure_a_model_does_not_begin_to_train_it(load):
    given = copy.deepcopy(GIVEN)
    given["models"]["other"] = {"like": "base", "text_mask": 0.5}
    given["splits"]["alike"]["models"] = ["other"]
    assert places(load(given))["default"] == "default"
