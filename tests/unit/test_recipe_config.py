"""Keys of a model that contradict each other are refused with a sentence, and its checkpoints are put in order."""

from __future__ import annotations

import dataclasses

import pytest

from dejavu.config import load_config
from dejavu.config.schema import own_keys, read_schema
from dejavu.errors import InputError
from dejavu.training.recipe import Recipe


@pytest.fixture
def load(repository):
    def with_model(nodes=1, **changes):
        bounds = {"a": (0.0, 0.2), "b": (0.2, 0.4), "public": (0.4, 0.7), "holdout": (0.7, 1.0)}
        given = {
            "datasets": {"demo": {"synthetic": {"pairs": 1000, "files": 2}}},
            "splits": {"default": {"dataset": "demo", "roles": {r: {"interval": list(i)} for r, i in bounds.items()}}},
            "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 5000, "batch_size": 64} | changes},
            "training": {"nodes": nodes},
        }
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)["models"]["base"]

    return with_model


WRONG = {
    "a batch that its processes and parts do not divide": (
        {"processes": 3, "accumulation": 2},
        "models.base.batch_size is 64, the number of pairs in all processes together, but processes 3 times "
        "accumulation 2 is 6, which does not divide it: change one of the three.",
    ),
    "processes that the nodes cannot share": (
        {"processes": 4, "nodes": 3},
        "models.base.processes is 4, which training.nodes 3 does not divide: change either.",
    ),
    "a checkpoint at the end": (
        {"checkpoints": [640, 5000]},
        "models.base.checkpoints has 5,000, but samples_seen is 5,000, at which a checkpoint is written anyway: "
        "name smaller numbers.",
    ),
    "a checkpoint after the last whole batch": (
        {"checkpoints": [4993]},
        "models.base.checkpoints has 4,993, but the whole batches in samples_seen end at 4,992: name smaller numbers.",
    ),
    "a temperature beyond its ceiling": (
        {"temperature": 0.005},
        "models.base.temperature is 0.005, whose inverse is above max_logit_scale 100: raise either.",
    ),
    "a checkpoint named twice": (
        {"checkpoints": [640, 640]},
        "configuration key 'models.base.checkpoints' is [640, 640], but it must be a list without repeated entries.",
    ),
    "an unknown precision": (
        {"precision": "fp16"},
        "configuration key 'models.base.precision' is \"fp16\", but it must be one of fp32, bf16.",
    ),
}


@pytest.mark.parametrize(("changes", "told"), WRONG.values(), ids=WRONG)
def test_a_recipe_that_makes_no_sense_is_refused_with_a_sentence(load, changes, told):
    with pytest.raises(InputError) as error:
        load(**changes)
    assert str(error.value) == told


def test_a_recipe_comes_back_with_its_checkpoints_in_order_and_its_defaults(load):
    model = load(checkpoints=[3000, 6.4e2, 4992], processes=2, accumulation=4)
    assert model["checkpoints"] == [640, 3000, 4992]
    assert all(type(count) is int for count in model["checkpoints"])
    assert (model["temperature"], model["learn_temperature"], model["max_logit_scale"]) == (0.07, True, 100)
    assert model["gradient_clip"] is None


def test_a_recipe_without_its_defaults_is_the_configured_recipe(load, repository):
    model = load()
    own = own_keys(model, repository / "workflow/schemas/config.schema.yaml")
    # keys that this recipe changes, and keys without a default
    assert own == {"architecture": "ViT-B-32", "samples_seen": 5000, "batch_size": 64}
    filled = dataclasses.asdict(Recipe(**own))
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in filled.items()} == model
    assert own_keys(load(text_mask=0.5), repository / "workflow/schemas/config.schema.yaml") == own | {"text_mask": 0.5}


def test_every_key_of_a_recipe_stands_in_the_schema_with_its_default_and_its_meaning(repository):
    schema = read_schema(repository / "workflow/schemas/config.schema.yaml")
    keys = schema["properties"]["models"]["additionalProperties"]["properties"]
    fields = {field.name: field.default for field in dataclasses.fields(Recipe)}
    # keys of a model that is not trained here
    assert set(keys) - set(fields) == {"like", "sides"}
    for name, default in fields.items():
        key = keys[name]
        assert key["description"], name
        assert ("default" in key) == (default is not dataclasses.MISSING), name
        if "default" in key:
            assert key["default"] == (list(default) if isinstance(default, tuple) else default), name
