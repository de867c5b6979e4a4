"""Parameters of jobs, as small as they can be: a job runs again when one of them changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dejavu.sides import Side
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.queries import CAPTION, MASKED

# how a recipe masks that says no more than how much
MASKED_WORDS = {"text_mask_unit": "words", "text_mask_with": "nothing"}
EXACT_CRITERIA = ("key", "image", "caption")


def as_json(value: Any) -> str:
    """Return a value as text that stays the same when the configuration is only reordered."""
    return json.dumps(value, sort_keys=True)


def other_queries(config: Mapping[str, Any]) -> list[str]:
    """Return what models are asked with besides captions."""
    return [query for query in config["measure"]["queries"] if query != CAPTION]


def text_queries(config: Mapping[str, Any]) -> list[str]:
    """Return those of the other queries whose texts are taken out of the captions first."""
    return [query for query in other_queries(config) if query != MASKED]


def other_texts(config: Mapping[str, Any]) -> int:
    """Return how many texts are embedded for a sample of a population besides its caption."""
    masked = config["measure"]["masked"]["captions"] if MASKED in config["measure"]["queries"] else 0
    return len(text_queries(config)) + int(masked)


def kept_neighbors(config: Mapping[str, Any]) -> int:
    """Return the number of neighbours that are kept: more than measured, so that another k needs no new search."""
    return max(100, *config["measure"]["k"])


def masking(config: Mapping[str, Any], side: Side) -> dict[str, Any]:
    """Return how the captions of the query ``masked`` are masked: as in training, if that hides parts of captions."""
    model, measured = config["models"][side.model], config["measure"]["masked"]
    if model.get("text_mask"):
        how = {key: model[key] for key in ("text_mask", *MASKED_WORDS)}
    else:
        how = MASKED_WORDS | {"text_mask": measured["text_mask"]}
    return how | {"captions": measured["captions"], "seed": config["measure"]["seed"]}


def query_drawings(split: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for every query role its dataset, and whether its samples were listed or drawn."""
    roles = split["roles"]
    return {
        role: {"dataset": roles[role]["dataset"], "listed": roles[role]["uids"] is not None} for role in POPULATIONS
    }


def shared_criteria(datasets: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the criteria of duplicates that all datasets have on; nearness is a criterion within a dataset only."""
    sections = [dataset["duplicates"] for dataset in datasets]
    return {name: all(section[name] for section in sections) for name in EXACT_CRITERIA} | {"near_image": None}
