"""Parameters of jobs are as small as they can be: what a job does not depend on is not in them."""

from __future__ import annotations

from dejavu.plan.parameters import as_json, masking, query_drawings, shared_criteria
from dejavu.sides import side_of

BASE = {"text_mask": 0, "text_mask_unit": "words", "text_mask_with": "nothing", "samples_seen": 10}
CONFIG = {
    "models": {
        "base": BASE,
        "tokens": BASE | {"text_mask": 0.5, "text_mask_unit": "tokens", "text_mask_with": "mask"},
        "tokens-none": BASE | {"text_mask_unit": "tokens", "text_mask_with": "mask"},
    },
    "measure": {"seed": 7, "masked": {"text_mask": 0.6, "captions": 4}},
}


def masked(model: str) -> dict:
    return masking(CONFIG, side_of(CONFIG["models"], model, "a"))


def test_captions_are_masked_as_in_training_where_that_masks_and_else_as_measured():
    asked = {"captions": 4, "seed": 7}
    assert masked("tokens") == {"text_mask": 0.5, "text_mask_unit": "tokens", "text_mask_with": "mask"} | asked
    # the way of hiding words does not matter where none are hidden
    stated = {"text_mask": 0.6, "text_mask_unit": "words", "text_mask_with": "nothing"} | asked
    assert masked("base") == masked("tokens-none") == stated


def test_the_order_of_the_configuration_makes_no_parameter():
    assert as_json({"a": 1, "b": {"c": 2, "d": 3}}) == as_json({"b": {"d": 3, "c": 2}, "a": 1})


def test_of_query_roles_counts_whether_they_were_listed_and_no_number():
    roles = {role: {"dataset": "demo", "uids": None, "limit": 9} for role in ("a", "b", "public", "holdout")}
    roles["a"]["uids"] = "list.txt"
    drawings = query_drawings({"roles": roles})
    assert drawings["a"] == {"dataset": "demo", "listed": True}
    assert drawings["holdout"] == {"dataset": "demo", "listed": False}
    assert set(drawings) == {"a", "b", "holdout"}


def test_a_criterion_holds_between_datasets_where_all_have_it_and_nearness_never():
    one = {"duplicates": {"key": True, "image": True, "caption": True, "near_image": 4}}
    other = {"duplicates": {"key": False, "image": True, "caption": True, "near_image": 4}}
    shared = {"key": False, "image": True, "caption": True, "near_image": None}
    assert shared_criteria([one, other]) == shared
    assert shared_criteria([one]) == shared | {"key": True}
