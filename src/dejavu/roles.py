"""Roles of a split: the configuration that a role's samples depend on, and the split in which a side is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.paths import TRAINING, TRAINING_STATE, at
from dejavu.sides import sides_measured, trained_sides
from dejavu.tables.fields import SIDES
from dejavu.tables.roles import roles_of, training_roles


def listed_roles(split: Mapping, role: str) -> dict[str, Mapping]:
    """Return role -> section, for the listed roles of a split that have the same dataset as the given role.

    A listed sample belongs to no other role, so the given role depends on these lists.

    Args:
        split: the section of a split in a checked configuration.
        role: a role of the split.
    """
    roles = split["roles"]
    return {
        name: roles[name]
        for name in roles_of(split)
        if roles[name]["uids"] is not None and roles[name]["dataset"] == roles[role]["dataset"]
    }


def drawing(split: Mapping, role: str) -> dict[str, Any]:
    """Return the part of the configuration that a role's samples depend on; the limits of other roles are not in it.

    In a further replicate, the samples of ``a`` and of ``b`` depend on how the split draws both.
    """
    if "replicate" in split and role in SIDES:
        original = {key: value for key, value in split.items() if key != "replicate"}
        pool = [drawing(original, side) for side in SIDES]
        return {"pool": pool, "replicate": split["replicate"]["number"], "role": role}
    section = split["roles"][role]
    lists = {
        name: {"file": listed["uids"], "column": listed["uids_column"], "max_missing": listed["max_missing"]}
        for name, listed in listed_roles(split, role).items()
    }
    return {
        "dataset": section["dataset"],
        "seed": split["seed"],
        "interval": section["interval"],
        "limit": section["limit"],
        "stratify": split["stratify"],
        # Deduplication applies to all roles. Otherwise members and other samples would differ in how often they repeat.
        "deduplicate": split["deduplicate"],
        "listed": lists,
    }


def trained_in(config: Mapping, split: str, model: str, letter: str) -> str:
    """Return the split in whose folder a side is trained.

    Splits that draw the side's training set alike share one training. The split is the first of these by name that has
    trained the side or has begun to, so that a new split in the configuration trains nothing again. If none has, it is
    the first by name that measures the side, so that the order of the configuration plays no part.

    Args:
        config: the checked and complete configuration.
        split: the split that measures the side.
        model, letter: name of the model, and ``a`` or ``b``.
    """
    splits = config["splits"]
    wanted = _training_set(splits[split], letter)
    alike = sorted(name for name in splits if _training_set(splits[name], letter) == wanted)
    begun = [name for name in alike if _has_begun(splits[name]["dataset"], name, model, letter)]
    measuring = [name for name in alike if _measures(config, name, model)]
    return (begun or measuring or [split])[0]


def _training_set(split: Mapping, letter: str) -> list[dict[str, Any]]:
    """Return the part of the configuration that the samples which a side is trained on depend on."""
    return [drawing(split, role) for role in training_roles(split, letter)]


def _has_begun(dataset: str, split: str, model: str, letter: str) -> bool:
    finished, state = (
        Path(at(pattern, dataset=dataset, split=split, model=model, side=letter))
        for pattern in (TRAINING, TRAINING_STATE)
    )
    return finished.is_file() or state.is_dir()


def _measures(config: Mapping, split: str, model: str) -> bool:
    return any(side.model == model for side in trained_sides(sides_measured(config, split)))
