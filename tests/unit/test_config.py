"""A configuration is checked with a sentence for every mistake, and comes back complete."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.configurations import GIVEN, MISSING, ROLES, STUDY, TFIDF, changed

from dejavu.data.forms.registry import all_forms
from dejavu.errors import InputError
from dejavu.sides import KINDS
from dejavu.tables.database import flatten

# the sentences name all forms and kinds of side, also those that are added later
*MORE_FORMS, LAST_FORM = sorted({form.key for form in all_forms()})
ONE_FORM = f"exactly one of {', '.join(MORE_FORMS)} and {LAST_FORM}"

# mistake -> (changed keys, the path of the key that the sentence names, the remedy in the sentence)
WRONG = {
    "unknown_section": ({"speed": {}}, "'speed'", "takes device, datasets"),
    "misspelt_section": ({"mesure": {}}, "'mesure'", "did you mean 'measure'?"),
    "unknown_key": ({"measure.colour": 1}, "'measure.colour'", "measure takes k, labels"),
    "misspelt_key": ({"models.base.batchsize": 9}, "'models.base.batchsize'", "did you mean 'batch_size'?"),
    "study_without_axis": ({"studies.s": {"values": [0, 1]}}, "'studies.s.axis'", "add it"),
    "unknown_axis": ({"studies.s": {**STUDY, "axis": "text_mas"}}, "studies.s.axis", "did you mean 'text_mask'?"),
    "one_value": ({"studies.s": {**STUDY, "values": [0.5]}}, "'studies.s.values'", "at least 2"),
    "value_of_another_axis": ({"studies.s": {**STUDY, "values": [0.5, 1.5]}}, "studies.s.values", "text_mask"),
    "whole_numbers_only": ({"studies.s": {**STUDY, "axis": "seed", "values": [0, 0.5]}}, "studies.s.values", "seed"),
    "study_of_which_model": (
        {"studies.s": {"axis": "text_mask", "values": [0, 0.2]}},
        "'studies.s.model'",
        "base, masked, longer",
    ),
    "study_of_no_model": ({"studies.s": {**STUDY, "model": "bas"}}, "studies.s.model", "did you mean 'base'?"),
    "study_of_no_split": ({"studies.s": {**STUDY, "split": "d"}}, "studies.s.split", "default"),
    "checkpoint_beyond_the_end": (
        {"studies.s": {**STUDY, "axis": "checkpoint", "values": [2500, 6000]}},
        "checkpoint of base at 6,000",
        "raise samples_seen",
    ),
    "study_name_taken": (
        {"models": {**GIVEN["models"], "base.text_mask-0.2": {"like": "longer"}}, "studies.s": STUDY},
        "models.base.text_mask-0.2",
        "rename it",
    ),
    "study_beyond_the_data": (
        {"studies.s": {**STUDY, "axis": "training_set_size", "values": [100, 900]}},
        "default.training_set_size-900.roles.a.limit",
        "lower the limit",
    ),
    "split_of_no_model": ({"splits.default.models": ["bas"]}, "splits.default.models", "did you mean 'base'?"),
    "split_named_studies": ({"splits.studies": GIVEN["splits"]["default"]}, "splits.studies", "another name"),
    "no_such_checkpoint": (
        {"models.early": {"sides": {"a": {"model": "base", "samples_seen": 999}, "b": {"text_encoder": "tfidf"}}}},
        "models.early.sides.a.samples_seen",
        "add it to models.base.checkpoints",
    ),
    "missing_section": ({"models": MISSING}, "'models'", "add it"),
    "missing_role": ({f"{ROLES}.public": MISSING}, f"'{ROLES}.public'", "add it"),
    "missing_interval": ({f"{ROLES}.a.interval": MISSING}, f"'{ROLES}.a.interval'", "add it"),
    "missing_budget": ({"models.base.samples_seen": MISSING}, "'models.base.samples_seen'", "add it, or a like"),
    "missing_architecture": ({"models.base.architecture": MISSING}, "'models.base.architecture'", "add it, or a like"),
    "no_dataset": ({"datasets": {}}, "'datasets'", "at least 1 key"),
    "text_for_number": ({"models.base.batch_size": "many"}, "'models.base.batch_size'", "must be a whole number"),
    "part_of_a_number": ({"models.base.seed": 1.5}, "'models.base.seed'", "must be a whole number"),
    "yes_for_number": ({"models.base.seed": True}, "'models.base.seed'", "must be a whole number"),
    "number_for_text": ({"splits.default.dataset": 3}, "'splits.default.dataset'", "must be a text"),
    "number_for_list": ({"measure.k": 10}, "'measure.k'", "must be a list"),
    "list_for_section": ({"models": []}, "'models'", "must be a section of keys"),
    "empty_section": ({"models": None}, "'models'", "must be a section of keys"),
    "negative": ({"models.base.weight_decay": -1}, "'models.base.weight_decay'", "at least 0"),
    "zero_rate": ({"models.base.learning_rate": 0}, "'models.base.learning_rate'", "greater than 0"),
    "mask_everything": ({"models.base.text_mask": 1}, "'models.base.text_mask'", "less than 1"),
    "crop_turned": ({"models.base.crop_scale": [0.9, 0.5]}, "models.base.crop_scale", "swap the two"),
    "crop_of_nothing": ({"models.base.crop_scale": [0, 0.5]}, "'models.base.crop_scale.0'", "greater than 0"),
    "unknown_unit": ({"models.base.text_mask_unit": "letters"}, "'models.base.text_mask_unit'", "words"),
    "share_above_one": ({"datasets.demo.max_quarantined": 2}, "'datasets.demo.max_quarantined'", "at most 1"),
    "interval_above_one": ({f"{ROLES}.holdout.interval": [0.7, 1.5]}, f"'{ROLES}.holdout.interval.1'", "at most 1"),
    "three_ends": ({f"{ROLES}.a.interval": [0, 0.1, 0.2]}, f"'{ROLES}.a.interval'", "at most 2 entries"),
    "no_k": ({"measure.k": []}, "'measure.k'", "at least 1 entries"),
    "k_twice": ({"measure.k": [10, 10]}, "'measure.k'", "without repeated entries"),
    "k_zero": ({"measure.k": [0, 10]}, "'measure.k.0'", "at least 1"),
    "wrong_labels": ({"measure.labels": [1, "some"]}, "'measure.labels.1'", "at least 1, or all"),
    "few_draws": ({"measure.bootstrap": 5}, "'measure.bootstrap'", "at least 100"),
    "unknown_device": ({"device": "tpu"}, "'device'", "one of cpu, cuda"),
    "unknown_precision": ({"models.base.precision": "fp8"}, "'models.base.precision'", "one of fp32"),
    "name_with_slash": ({"models": {"a/b": {}}}, "'models'", "letters, digits"),
    "overlap": ({f"{ROLES}.b.interval": [0.1, 0.4]}, ROLES, "move one of them"),
    "overlap_by_containing": ({f"{ROLES}.a.interval": [0.0, 1.0]}, ROLES, "move one of them"),
    "empty_interval": ({f"{ROLES}.b.interval": [0.3, 0.3]}, f"{ROLES}.b.interval", "must be smaller"),
    "backward_interval": ({f"{ROLES}.b.interval": [0.4, 0.2]}, f"{ROLES}.b.interval", "must be smaller"),
    "limit_above_supply": ({f"{ROLES}.a.limit": 900}, f"{ROLES}.a.limit", "lower the limit"),
    "k_above_public": ({"measure.k": [10, 201]}, "measure.k", "lower k, or raise the limit"),
    "unknown_dataset": ({"splits.default.dataset": "dmo"}, "splits.default.dataset", "did you mean 'demo'?"),
    "two_sources": ({"datasets.demo.raw": ["*.parquet"]}, "datasets.demo", ONE_FORM),
    "no_source": ({"datasets.demo": {}}, "datasets.demo", ONE_FORM),
    "more_files_than_pairs": ({"datasets.demo.synthetic.files": 2000}, "datasets.demo.synthetic.files", "lower it"),
    "unknown_architecture": (
        {"models.base.architecture": "ViT-B-23"},
        "models.base.architecture",
        "did you mean 'ViT-B-32'?",
    ),
    "architecture_without_file": (
        {"models.base.architecture": "nowhere/tiny.json"},
        "models.base.architecture",
        "correct the path",
    ),
    "like_nowhere": ({"models.masked.like": "bsae"}, "models.masked.like", "did you mean 'base'?"),
    "like_itself": ({"models.base.like": "base"}, "models.base.like", "give one of them its own keys"),
    "like_in_a_circle": ({"models.base.like": "longer"}, "models.base.like", "give one of them its own keys"),
    "report_k": ({"report.k": 7}, "report.k", "measure.k [1, 10]"),
    "report_labels": ({"report.labels": 3}, "report.labels", "set report.labels to one of them"),
    "batch_above_role": ({"models.base.batch_size": 128}, f"{ROLES}.a.limit", "lower batch_size"),
    "budget_below_batch": ({"models.longer.samples_seen": 10}, "models.longer.samples_seen", "raise it"),
    "role_of_no_dataset": ({f"{ROLES}.public.dataset": "dmo"}, f"{ROLES}.public.dataset", "did you mean 'demo'?"),
    "interval_and_list": ({f"{ROLES}.a.uids": __file__}, f"{ROLES}.a", "remove one of them"),
    "list_without_file": (
        {f"{ROLES}.a": {"uids": "nowhere.txt", "limit": 100}},
        f"{ROLES}.a.uids",
        "correct the path",
    ),
    "sides_and_training": (
        {"models.base.sides": {"a": {"model": "longer"}, "b": {"text_encoder": "tfidf"}}},
        "models.base has sides",
        "remove one of them",
    ),
    "one_side": ({"models.test": {"sides": {"a": {"model": "base"}}}}, "'models.test.sides.b'", "add it"),
    "nothing_for_a_side": (
        {"models.test": {"sides": {"a": {"model": "base"}, "b": {}}}},
        "models.test.sides.b",
        f"exactly one of {', '.join(KINDS)}",
    ),
    "two_things_for_a_side": (
        {"models.test": {"sides": {"a": {"model": "base", "checkpoint": "a_tag"}, "b": {"text_encoder": "tfidf"}}}},
        "models.test.sides.a",
        f"exactly one of {', '.join(KINDS)}",
    ),
    "side_of_no_model": (
        {"models.test": {"sides": {"a": {"model": "bsae"}, "b": {"text_encoder": "tfidf"}}}},
        "models.test.sides.a.model",
        "did you mean 'base'?",
    ),
    "text_encoder_as_target": (
        {"models.test": {"sides": {"a": {"text_encoder": "tfidf"}, "b": {"model": "base"}}}},
        "models.test.sides.a",
        "it is side b",
    ),
    "text_encoder_for_images": (
        {"models.test": {"sides": {"a": {"model": "base"}, "b": {"text_encoder": "tfidf", "search": "images"}}}},
        "models.test.sides.b.search",
        "remove the key",
    ),
    "checkpoint_without_architecture": (
        {"models.test": {"sides": {"a": {"checkpoint": "a_tag"}, "b": {"text_encoder": "tfidf"}}}},
        "'models.test.sides.a.architecture' is missing",
        "add it",
    ),
    "checkpoint_that_is_not_there": (
        {"models.test": {"sides": {"a": {"checkpoint": "~/no/clip.pt", "architecture": "ViT-B-32"}, "b": TFIDF}}},
        f"models.test.sides.a.checkpoint: there is no file or folder {Path.home()}/no/clip.pt",
        "correct the path",
    ),
    "file_that_is_not_there": (
        {"models.test": {"sides": {"a": {"checkpoint": "clip.safetensors", "architecture": "ViT-B-32"}, "b": TFIDF}}},
        "models.test.sides.a.checkpoint: there is no file or folder clip.safetensors",
        "correct the path",
    ),
    "folder_with_an_architecture": (
        {"models.test": {"sides": {"a": {"checkpoint": "/tmp", "architecture": "ViT-B-32"}, "b": TFIDF}}},
        "models.test.sides.a.architecture: the folder of the checkpoint names the architecture",
        "remove it",
    ),
    "preprocessing_of_a_model": (
        {"models.test": {"sides": {"a": {"model": "base", "preprocessing": {"mean": [0, 0, 0]}}, "b": TFIDF}}},
        "models.test.sides.a.preprocessing",
        "remove it",
    ),
    "siglip_with_clip_s_loss": (
        {"models.base.architecture": "ViT-B-16-SigLIP"},
        "models.base: the architecture ViT-B-16-SigLIP is SigLIP's",
        "set loss to siglip",
    ),
    "siglip_s_loss_without_bias": ({"models.base.loss": "siglip"}, "models.base: loss is siglip", "init_logit_bias"),
    "a_role_without_captions": (
        {"datasets.demo": {"raw": ["*.parquet"], "columns": {"caption": None}}},
        f"{ROLES}.a: the dataset 'demo' has no captions",
        "name another dataset",
    ),
    "column_without_list": ({f"{ROLES}.a.uids_column": "key"}, f"{ROLES}.a.uids_column", "remove it"),
    "missing_without_list": ({f"{ROLES}.a.max_missing": 0.5}, f"{ROLES}.a.max_missing", "remove it"),
    "a_date_as_name": ({"models": {date(2024, 5, 1): {}}}, "'models'", "put it in quotation marks"),
    "a_number_as_name": ({"models": {7: {}}}, "'models'", "put it in quotation marks"),
    "yes_as_synonym": ({"measure.synonyms": {True: "x"}}, "'measure.synonyms'", "put it in quotation marks"),
    "a_date_as_text": ({"measure.synonyms": {"tv": date(2024, 5, 1)}}, "'measure.synonyms.tv'", "quotation marks"),
    "checkpoint_of_unknown_architecture": (
        {
            "models.test": {
                "sides": {"a": {"checkpoint": "a_tag", "architecture": "ViT-B-23"}, "b": {"text_encoder": "tfidf"}}
            }
        },
        "models.test.sides.a.architecture",
        "did you mean 'ViT-B-32'?",
    ),
    "checkpoint_of_unknown_training_set": (
        {
            "models.test": {
                "sides": {"a": {"checkpoint": "a_tag", "architecture": "ViT-B-32"}, "b": {"text_encoder": "tfidf"}}
            }
        },
        f"models.test.sides.a is a checkpoint, so what it was trained on must be declared: give {ROLES}.a",
        "in place of interval",
    ),
    "rate_not_a_number": ({"models.base.learning_rate": float("nan")}, "models.base.learning_rate", "number"),
    "rate_infinite": ({"models.base.learning_rate": float("inf")}, "models.base.learning_rate", "number"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_configuration_is_refused_in_one_line_with_the_key_and_a_remedy(load, wrong):
    changes, key, remedy = WRONG[wrong]
    with pytest.raises(InputError) as error:
        load(changed(**changes))
    message = str(error.value)
    assert "\n" not in message
    assert key in message
    assert remedy in message


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("{}", "lacks embed_dim, vision_cfg, text_cfg"),
        ('{"embed_dim": 8, "vision_cfg": {}}', "lacks text_cfg"),
        ("[1]", "lacks embed_dim"),
        ("{not json", "mend it"),
    ],
)
def test_an_architecture_file_that_open_clip_cannot_use_is_refused(load, tmp_path, content, remedy):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        load(changed(**{"models.base.architecture": str(path)}))
    message = str(error.value)
    assert "\n" not in message
    assert "models.base.architecture" in message
    assert str(path) in message
    assert remedy in message


def test_the_configuration_that_the_mistakes_are_made_in_is_right(load):
    load(GIVEN)


@pytest.mark.parametrize("file", ["config/config.yaml", ".test/config/config.yaml"])
def test_the_embedded_configurations_are_accepted(load, repository, file):
    load(yaml.safe_load((repository / file).read_text()))


def test_an_architecture_file_is_found_from_the_workflow_s_folder_wherever_it_runs(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load(changed(**{"models.base.architecture": "config/architectures/tiny.json"}))


def test_defaults_are_filled_in_also_in_sections_that_are_not_there(load):
    config = load(GIVEN)
    assert config["device"] == "cpu"
    assert config["measure"]["labels"] == [1, 5, 10, "all"]
    assert config["measure"]["samplings"] == {"repeats": 100, "fraction": 0.1}
    assert config["measure"]["k"] == [1, 10]
    assert config["report"] == {"k": 10, "labels": "all", "gallery": 12, "database_rows": 50_000_000}
    assert config["datasets"]["demo"]["synthetic"] == {
        "pairs": 1000,
        "files": 2,
        "seed": 0,
        "captions": 1,
        "image_size": 128,
        "miscaptioned": 0,
    }
    assert config["splits"]["default"]["seed"] == 0
    assert config["splits"]["default"]["roles"]["holdout"]["limit"] is None
    assert config["models"]["base"]["learning_rate"] == 0.001


def test_defaults_of_one_section_are_not_shared_with_another(load):
    given = changed(**{"datasets.other": {"raw": ["*.parquet"]}, "datasets.third": {"raw": ["*.parquet"]}})
    config = load(given)
    config["datasets"]["other"]["columns"]["image"] = "changed"
    assert config["datasets"]["third"]["columns"]["image"] == "image"
    assert load(given)["datasets"]["other"]["columns"]["image"] == "image"


def test_like_takes_over_everything_that_a_model_does_not_set_itself(load):
    models = load(GIVEN)["models"]
    base, masked, longer = (models[name] for name in ("base", "masked", "longer"))
    assert "like" not in longer
    assert masked == {**base, "text_mask": 0.6}
    assert longer == {**base, "text_mask": 0.6, "samples_seen": 9000}
    assert base["text_mask"] == 0


def test_like_does_not_depend_on_the_order_of_the_models(load):
    given = copy.deepcopy(GIVEN)
    given["models"] = dict(reversed(given["models"].items()))
    assert load(given)["models"] == load(GIVEN)["models"]


def test_the_configuration_given_is_not_changed(load):
    given = copy.deepcopy(GIVEN)
    load(given)
    assert given == GIVEN


def reordered(value: Any) -> Any:
    return {key: reordered(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


@pytest.mark.parametrize("given", [None, "hello", ["datasets"], 7])
def test_a_configuration_that_is_no_section_of_keys_is_refused(load, given):
    with pytest.raises(InputError, match="the configuration has no keys"):
        load(given)


def test_reordering_keys_changes_nothing(load):
    one, other = load(GIVEN), load(reordered(GIVEN))
    assert one == other
    assert list(flatten(one)) == list(flatten(other))


def test_queries_are_in_one_order_whatever_that_of_the_configuration(load):
    one = load(changed(**{"measure.queries": ["rare", "masked", "caption"]}))
    assert one["measure"]["queries"] == ["caption", "masked", "rare"]
    assert one == load(changed(**{"measure.queries": ["caption", "masked", "rare"]}))


def test_a_whole_number_with_a_point_counts_as_that_whole_number(load):
    # YAML reads 8.0e+4 as a number with a point; it must not reach file names or ranges as one
    seen = load(changed(**{"models.base.samples_seen": 8.0e4}))["models"]["base"]["samples_seen"]
    assert (seen, type(seen)) == (80_000, int)


def test_flatten_names_every_leaf_by_its_path(tmp_path: Path):
    leaves = dict(flatten({"b": {"y": [1, "all"], "x": None}, "a": 0.5, "c": {}}))
    assert {key: json.loads(value) for key, value in leaves.items()} == {
        "a": 0.5,
        "b.x": None,
        "b.y": [1, "all"],
        "c": {},
    }
    assert list(leaves) == sorted(leaves)


def test_a_number_with_an_exponent_is_a_number_though_yaml_reads_text(load):
    loaded = load(changed(**{"models.base.learning_rate": "1e-3"}))
    assert loaded["models"]["base"]["learning_rate"] == 1e-3


def test_a_limit_may_count_every_caption_of_an_image_where_each_is_a_sample(load):
    given = {f"{ROLES}.a.limit": 900, "datasets.demo.synthetic": {"pairs": 1000, "captions": 5}}
    load(changed(**given, **{"datasets.demo.captions": "all"}))
    with pytest.raises(InputError, match="lower the limit"):
        load(changed(**given))


def test_roles_of_different_datasets_may_use_the_same_positions(load):
    given = changed(**{"datasets.other": {"synthetic": {"pairs": 1000}}})
    given["splits"]["default"]["roles"]["public"] = {"dataset": "other", "interval": [0.0, 1.0], "limit": 200}
    roles = load(given)["splits"]["default"]["roles"]
    assert (roles["public"]["dataset"], roles["a"]["dataset"]) == ("other", "demo")
