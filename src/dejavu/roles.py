"""What defines the samples of a role, and in which split's folder the sides that are trained on them lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.sides import sides_measured, trained_sides
from dejavu.tables.fields import ROLES


def listed_roles(split: Mapping, role: str) -> dict[str, Mapping]:
    """Role: its section, for the roles of a split that are lists of samples of the given role's dataset.

    What is listed belongs to no other role.

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
    """Everything of the configuration that the samples of a role depend on; other roles' numbers play no part."""
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


def trained_in(config: Mapping, split: str, model: str, letter: str, results: Path) -> Path:
    """The folder of the split in which a side is trained: of splits that draw its role alike, one trains for all.

    A split that has trained the side, or has begun to, stays the one, so that another name in the configuration trains
    nothing again; otherwise it is the first by name, so that the order in the configuration plays no part.

    Args:
        config: checked and complete.
        split, model, letter: whose side it is.
        results: the folder of all results.
    """
    splits = config["splits"]
    wanted = drawing(splits[split], letter)
    alike = sorted(name for name in splits if drawing(splits[name], letter) == wanted)
    folders = {name: results / splits[name]["dataset"] / name for name in alike}
    begun = [name for name in alike if _has_begun(folders[name], model, letter)]
    measuring = [name for name in alike if _measures(config, name, model)]
    return folders[(begun or measuring or [split])[0]]


def _has_begun(folder: Path, model: str, letter: str) -> bool:
    finished, state = folder / "models" / model / letter / "training.parquet", folder / "state" / model / letter
    return finished.is_file() or state.is_dir()


def _measures(config: Mapping, split: str, model: str) -> bool:
    return any(side.model == model for side in trained_sides(sides_measured(config, split)))
