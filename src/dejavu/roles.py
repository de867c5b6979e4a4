"""What the samples of a role depend on, and which split trains the sides that are trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.paths import TRAINING, TRAINING_STATE, at
from dejavu.sides import sides_measured, trained_sides
from dejavu.tables.fields import ROLES, SIDES


def listed_roles(split: Mapping, role: str) -> dict[str, Mapping]:
    """Return the sections of those roles of a split that list samples of the given role's dataset, by role.

    A listed sample belongs to no other role.

    Args:
        split: a section of a checked configuration.
        role: of the split.
    """
    roles = split["roles"]
    return {
        other: roles[other]
        for other in ROLES
        if roles[other]["uids"] is not None and roles[other]["dataset"] == roles[role]["dataset"]
    }


def drawing(split: Mapping, role: str) -> dict[str, Any]:
    """Return all of the configuration that the samples of a role depend on; other roles' numbers play no part.

    In a further replicate, the samples of ``a`` and of ``b`` depend on how the split draws both.
    """
    if "replicate" in split and role in SIDES:
        original = {key: value for key, value in split.items() if key != "replicate"}
        pool = [drawing(original, side) for side in SIDES]
        return {"pool": pool, "replicate": split["replicate"]["number"], "role": role}
    section = split["roles"][role]
    lists = {
        other: {"file": listed["uids"], "column": listed["uids_column"], "max_missing": listed["max_missing"]}
        for other, listed in listed_roles(split, role).items()
    }
    return {
        "dataset": section["dataset"],
        "seed": split["seed"],
        "interval": section["interval"],
        "limit": section["limit"],
        "stratify": split["stratify"],
        # of every role, or members and others would differ by how often things are repeated
        "deduplicate": split["deduplicate"],
        "listed": lists,
    }


def trained_in(config: Mapping, split: str, model: str, letter: str) -> str:
    """Return the split in whose folder a side is trained: of splits that draw its role alike, one trains for all.

    A split that has trained the side, or has begun to, stays the one, so that another name in the configuration trains
    nothing again; otherwise it is the first by name, so that the order in the configuration plays no part.

    Args:
        config: checked and complete.
        split, model, letter: whose side it is.
    """
    splits = config["splits"]
    wanted = drawing(splits[split], letter)
    alike = sorted(name for name in splits if drawing(splits[name], letter) == wanted)
    begun = [name for name in alike if _has_begun(splits[name]["dataset"], name, model, letter)]
    measuring = [name for name in alike if _measures(config, name, model)]
    return (begun or measuring or [split])[0]


def _has_begun(dataset: str, split: str, model: str, letter: str) -> bool:
    finished, state = (
        Path(at(pattern, dataset=dataset, split=split, model=model, side=letter))
        for pattern in (TRAINING, TRAINING_STATE)
    )
    return finished.is_file() or state.is_dir()


def _measures(config: Mapping, split: str, model: str) -> bool:
    return any(side.model == model for side in trained_sides(sides_measured(config, split)))
