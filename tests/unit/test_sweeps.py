"""A study becomes models and splits with clear names, and nothing is trained twice for it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dejavu.config import load_config
from dejavu.errors import InputError
from dejavu.roles import trained_in
from dejavu.sides import sides_measured, trained_sides

GIVEN: dict[str, Any] = {
    "datasets": {"demo": {"synthetic": {"pairs": 4000, "files": 2}}},
    "splits": {
        "default": {
            "dataset": "demo",
            "roles": {
                "a": {"interval": [0.0, 0.2], "limit": 400},
                "b": {"interval": [0.2, 0.4], "limit": 400},
                "public": {"interval": [0.4, 0.7], "limit": 500},
                "holdout": {"interval": [0.7, 1.0]},
            },
        }
    },
    "models": {
        "base": {"architecture": "ViT-B-32", "samples_seen": 6400, "batch_size": 64},
        "masked": {"like": "base", "text_mask": 0.6},
    },
}


@pytest.fixture
def load(repository):
    def loaded(**studies: dict) -> dict:
        given = copy.deepcopy(GIVEN) | {
            "studies": {name: {"model": "base", **study} for name, study in studies.items()}
        }
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)

    return loaded


def where(config: dict, study: str) -> list[tuple]:
    return [(p["value"], p["split"], p["model"], p["samples_seen"]) for p in config["studies"][study]["points"]]


def test_a_value_that_a_model_has_already_is_that_model_and_the_others_get_names(load):
    config = load(masking={"axis": "text_mask", "values": [0, 0.2, 0.6]})
    assert where(config, "masking") == [
        (0, "default", "base", 6400),
        (0.2, "default", "base.text_mask-0.2", 6400),
        (0.6, "default", "masked", 6400),
    ]
    made = config["models"]["base.text_mask-0.2"]
    assert made == {**config["models"]["base"], "text_mask": 0.2}
    assert list(config["splits"]["default"]["models"]) == ["base", "masked", "base.text_mask-0.2"]


def test_two_studies_that_meet_in_a_model_train_it_once(load):
    config = load(one={"axis": "seed", "values": [0, 1, 2]}, other={"axis": "seed", "values": [2, 3]})
    assert len(trained_sides(sides_measured(config, "default"))) == 2 * (2 + 3)


@pytest.mark.parametrize(
    ("axis", "values", "idle", "working"),
    [
        ("temperature", [0.05, 0.1], {}, {"learn_temperature": False}),
        ("max_logit_scale", [50, 100], {"learn_temperature": False}, {}),
        ("text_mask_unit", ["words", "tokens"], {}, {"text_mask": 0.3}),
        ("text_mask_with", ["nothing", "random"], {}, {"text_mask": 0.3}),
    ],
)
def test_an_axis_that_another_key_makes_idle_is_refused(repository, axis, values, idle, working):
    given = copy.deepcopy(GIVEN) | {"studies": {"s": {"model": "base", "axis": axis, "values": values}}}
    for changes in (idle, working):
        given["models"]["base"] = GIVEN["models"]["base"] | changes
        if changes == idle:
            with pytest.raises(InputError, match=f"a study varies {axis} of models.base, whose .* differ"):
                load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
        else:
            assert load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)["studies"]


@pytest.mark.parametrize("axis", ["epsilon", "weight_decay", "learning_rate"])
def test_numbers_may_be_written_with_exponents(load, axis):
    config = load(s={"axis": axis, "values": ["2e-2", 0.05]})
    assert [config["models"][p["model"]][axis] for p in config["studies"]["s"]["points"]] == [0.02, 0.05]


def test_a_study_of_training_set_size_makes_splits_whose_public_set_and_holdout_stay(load):
    config = load(size={"axis": "training_set_size", "values": [100, 400]})
    name = "default.training_set_size-100"
    assert where(config, "size") == [(100, name, "base", 6400), (400, "default", "base", 6400)]
    small, whole = config["splits"][name]["roles"], config["splits"]["default"]["roles"]
    assert [small[role]["limit"] for role in "ab"] == [100, 100]
    for role in ("public", "holdout"):
        assert small[role] == whole[role]
    assert [small[role]["interval"] for role in "ab"] == [whole[role]["interval"] for role in "ab"]
    assert config["splits"][name]["models"] == {"base": [6400]}


def test_a_study_of_public_sets_trains_nothing(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(public={"axis": "public_set_size", "values": [100, 500]})
    name = "default.public_set_size-100"
    assert where(config, "public") == [(100, name, "base", 6400), (500, "default", "base", 6400)]
    roles, whole = config["splits"][name]["roles"], config["splits"]["default"]["roles"]
    assert roles == whole | {"public": whole["public"] | {"limit": 100}}
    assert trained_in(config, name, "base", "a") == "default"


def test_a_study_of_checkpoints_trains_nothing_more_and_keeps_them(load):
    config = load(
        epochs={"axis": "checkpoint", "values": [1600, 3200, 6400]},
        size={"axis": "training_set_size", "values": [100, 200]},
    )
    assert where(config, "epochs") == [(seen, "default", "base", seen) for seen in (1600, 3200, 6400)]
    assert set(config["models"]) == {"base", "masked"}
    assert config["models"]["base"]["checkpoints"] == [1600, 3200]
    assert config["splits"]["default"]["models"] == {"base": [1600, 3200, 6400], "masked": [6400]}
    # splits that another study makes measure the end of training only
    assert config["splits"]["default.training_set_size-100"]["models"] == {"base": [6400]}


def test_early_stopping_is_a_checkpoint_of_another_model_and_trains_nothing(repository):
    given = copy.deepcopy(GIVEN)
    given["models"]["base"]["checkpoints"] = [3200]
    given["models"]["early"] = {"sides": {side: {"model": "base", "samples_seen": 3200} for side in "ab"}}
    given["models"].pop("masked")
    config = load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
    sides = [side for side in sides_measured(config, "default") if side.model == "early"]
    assert [(side.seen, side.embedded) for side in sides] == [(3200, ("base", 3200))] * 2
    assert {side.model for side in trained_sides(sides_measured(config, "default"))} == {"base"}


def test_a_split_measures_the_models_that_it_names(repository):
    given = copy.deepcopy(GIVEN)
    given["splits"]["other"] = {**given["splits"]["default"], "models": ["masked"]}
    config = load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
    assert {side.model for side in sides_measured(config, "other")} == {"masked"}
    assert {side.model for side in sides_measured(config, "default")} == {"base", "masked"}
