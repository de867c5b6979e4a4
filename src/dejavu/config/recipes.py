"""Sections of ``models`` with a recipe: the key ``like``, and keys that must fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dejavu.config.architectures import check_architecture
from dejavu.errors import InputError, closest, loss_mismatch
from dejavu.sides import KINDS
from dejavu.tables.fields import SIDES
from dejavu.tables.roles import training_roles


def resolved(name: str, models: Mapping[str, dict]) -> dict:
    """Return a model with its own keys and those that it inherits along its chain of ``like``."""
    chain = [name]
    while (like := models[chain[-1]].get("like")) is not None:
        if like not in models:
            raise InputError(
                f"models.{chain[-1]}.like names {like!r}, which is no model{closest(like, models)}: "
                f"the models are {', '.join(models)}."
            )
        if like in chain:
            raise InputError(
                f"models.{name}.like goes in a circle ({' -> '.join([*chain, like])}): give one of them its own keys."
            )
        chain.append(like)
    merged: dict = {}
    for link in reversed(chain):
        merged |= models[link]
    merged.pop("like", None)
    trained = sorted(set(merged) - {"sides"})
    if merged.get("sides") is not None and trained:
        raise InputError(
            f"models.{name} has sides, which are not trained, and {trained[0]}, which is about training: "
            "remove one of them."
        )
    return merged


def settled(model: dict) -> dict:
    """Return a model with only the keys of its recipe, or only its sides, whose ``search`` is filled in."""
    if model["sides"] is None:
        return {key: value for key, value in model.items() if key != "sides"}
    for side in model["sides"].values():
        if side["search"] is None:
            reads_only = any(side[key] is not None for key, kind in KINDS.items() if not kind.has_images)
            side["search"] = "captions" if reads_only else "images"
    return {"sides": model["sides"]}


def require_recipes(models: Mapping[str, dict]) -> None:
    """Refuse a recipe that lacks a key without default."""
    for name, model in models.items():
        for key in ("architecture", "samples_seen"):
            if key not in model and "sides" not in model:
                raise InputError(f"configuration key 'models.{name}.{key}' is missing: add it, or a like that has it.")


def check_recipe(name: str, model: dict, config: dict, base: Path) -> None:
    """Refuse a recipe whose keys contradict each other, or whose batches its training sets cannot fill."""
    architecture = check_architecture(name, model["architecture"], base)
    if architecture is not None and ("init_logit_bias" in architecture) != (model["loss"] == "siglip"):
        raise InputError(f"models.{name}: {loss_mismatch(model['architecture'], model['loss'])}")
    if model["samples_seen"] < model["batch_size"]:
        raise InputError(
            f"models.{name}.samples_seen is smaller than its batch_size {model['batch_size']:,}: raise it."
        )
    _check_batch(name, model)
    _check_nodes(name, model, config["training"]["nodes"])
    _check_kept_checkpoints(name, model)
    if model["crop_scale"] is not None and model["crop_scale"][0] > model["crop_scale"][1]:
        raise InputError(
            f"models.{name}.crop_scale is {model['crop_scale']}, the lowest share and the highest: swap the two."
        )
    if 1 / model["temperature"] > model["max_logit_scale"]:
        raise InputError(
            f"models.{name}.temperature is {model['temperature']}, whose inverse is above max_logit_scale "
            f"{model['max_logit_scale']}: raise either."
        )
    for split_name, split in config["splits"].items():
        for role in SIDES if name in split["models"] else ():
            limits = {one: split["roles"][one]["limit"] for one in training_roles(split, role)}
            if None not in limits.values() and sum(limits.values()) < model["batch_size"]:
                keys = " and ".join(f"splits.{split_name}.roles.{one}.limit" for one in limits)
                raise InputError(
                    f"{keys} {'is' if len(limits) == 1 else 'together are'} {sum(limits.values()):,}, fewer than one "
                    f"batch of models.{name}.batch_size {model['batch_size']:,}: raise the limit, or lower batch_size."
                )


def _check_batch(name: str, model: dict) -> None:
    """Refuse a batch size that ``processes`` times ``accumulation`` does not divide."""
    parts = model["processes"] * model["accumulation"]
    if model["batch_size"] % parts:
        raise InputError(
            f"models.{name}.batch_size is {model['batch_size']:,}, the number of pairs in all processes together, but "
            f"processes {model['processes']} times accumulation {model['accumulation']} is {parts}, which does not "
            "divide it: change one of the three."
        )


def _check_nodes(name: str, model: dict, nodes: int) -> None:
    """Refuse a number of processes that the number of nodes does not divide. One process always runs on one node."""
    if model["processes"] > 1 and model["processes"] % nodes:
        raise InputError(
            f"models.{name}.processes is {model['processes']}, which training.nodes {nodes} does not divide: "
            "change either."
        )


def _check_kept_checkpoints(name: str, model: dict) -> None:
    """Sort the checkpoints to keep, in place, and refuse those that training does not reach."""
    model["checkpoints"] = sorted(int(count) for count in model["checkpoints"])
    reached = model["samples_seen"] // model["batch_size"] * model["batch_size"]
    for count in model["checkpoints"]:
        if count >= model["samples_seen"]:
            raise InputError(
                f"models.{name}.checkpoints has {count:,}, but samples_seen is {model['samples_seen']:,}, at which a "
                "checkpoint is written anyway: name smaller numbers."
            )
        if count > reached:
            raise InputError(
                f"models.{name}.checkpoints has {count:,}, but the whole batches in samples_seen end at {reached:,}: "
                "name smaller numbers."
            )
