"""Replicates of a split: further pairs of models on the same training pool, each a split of its own."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping

from dejavu.errors import InputError
from dejavu.sides import side_of
from dejavu.tables.fields import SIDES


def expand_replicates(config: dict) -> None:
    """Add a split for every further replicate, in place; its ``replicate`` is ``{of, number}``.

    Replicate 0 is the split itself. A replicate measures the last checkpoints of the models whose sides are both
    trained here, since no other model can be trained again.

    Args:
        config: complete; ``models`` of every split is model -> samples seen.

    Raises:
        InputError: when a split has no pool of training samples to draw from, or no model to train again, or its
            replicate's name is taken.
    """
    for name, split in list(config["splits"].items()):
        if split["replicates"] == 1:
            continue
        where = f"splits.{name}.replicates"
        datasets = {split["roles"][side]["dataset"] for side in SIDES}
        if len(datasets) > 1:
            raise InputError(
                f"{where}: the roles a and b come from different datasets ({', '.join(sorted(datasets))}), so coins "
                "cannot exchange their samples: take both from one dataset, or set replicates: 1."
            )
        measured = {model: [max(seen)] for model, seen in split["models"].items() if is_trained_here(config, model)}
        if not measured:
            raise InputError(
                f"{where} is {split['replicates']}, but no model of the split has two sides that are trained here: "
                "name one in models, or set replicates: 1."
            )
        for number in range(1, split["replicates"]):
            replicate = replicate_name(name, number)
            if replicate in config["splits"]:
                raise InputError(f"splits.{replicate} has the name of a replicate of {name}: rename it.")
            config["splits"][replicate] = copy.deepcopy(split) | {
                "replicates": 1,
                "models": copy.deepcopy(measured),
                "replicate": {"of": name, "number": number},
            }


def replicate_name(split: str, number: int) -> str:
    """Return the name of the split that is a further replicate of another, 1 the first."""
    return f"{split}.replicate-{number}"


def replicate_splits(config: Mapping, split: str) -> list[str]:
    """Return the splits that are the replicates of a split, itself first; of a checked configuration."""
    further = range(1, config["splits"][split]["replicates"])
    return [split, *(replicate_name(split, number) for number in further)]


def replicated_models(config: Mapping, split: str) -> dict[str, int]:
    """Return model -> samples seen of the models that are trained in every replicate of a split; none where it has one.

    Args:
        config: checked.
        split: that is no further replicate itself.
    """
    splits = replicate_splits(config, split)
    return (
        {} if len(splits) == 1 else {model: seen[-1] for model, seen in config["splits"][splits[1]]["models"].items()}
    )


def is_trained_here(config: Mapping, model: str) -> bool:
    """Whether both sides of a model are trained here, for it or for another model."""
    return all(side_of(config["models"], model, letter).kind in ("trained", "model") for letter in SIDES)


def replicate_seed(seed: int, number: int) -> int:
    """Return the seed of a recipe in a replicate: its own in replicate 0, and a hash of it and the number in others."""
    if number == 0:
        return seed
    digest = hashlib.blake2b(f"{seed}\0replicate\0{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
