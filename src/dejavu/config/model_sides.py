"""Sections of ``models`` with ``sides``: checkpoints, text encoders, and sides of models that are trained here."""

from __future__ import annotations

from pathlib import Path

from dejavu.checkpoints import Checkpoint
from dejavu.config.architectures import check_architecture
from dejavu.errors import InputError, closest
from dejavu.files import require_plain_name
from dejavu.sides import KINDS


def check_sides(name: str, sides: dict, config: dict, base: Path) -> None:
    """Refuse a side without exactly one kind, and keys that do not fit the side's kind."""
    for letter, side in sides.items():
        where = f"models.{name}.sides.{letter}"
        kinds = [kind for kind in KINDS if side[kind] is not None]
        if len(kinds) != 1:
            raise InputError(f"{where} needs exactly one of {', '.join(KINDS)}: it has {len(kinds)}.")
        for key, owner in ((key, kind) for kind, about in KINDS.items() for key in about.keys):
            if side[key] is not None and kinds[0] != owner:
                raise InputError(f"{where}.{key} is about a {KINDS[owner].noun}, and this is none: remove it.")
        if kinds[0] == "model":
            trained = {key: model for key, model in config["models"].items() if "sides" not in model}
            if side["model"] not in trained:
                raise InputError(
                    f"{where}.model names {side['model']!r}, which is no trained model"
                    f"{closest(side['model'], trained)}: the trained models are {', '.join(trained) or 'none'}."
                )
            _check_kept(where, side, trained[side["model"]])
        if not KINDS[kinds[0]].has_images and (letter == "a" or side["search"] == "images"):
            raise InputError(
                f"{where}: a text encoder is the reference, so it is side b, and it searches captions."
                if letter == "a"
                else f"{where}.search is images, but a text encoder can only search captions: remove the key."
            )
        if side["search"] == "captions":
            _require_captions(where, name, config)
        if kinds[0] == "checkpoint":
            _check_checkpoint(where, side)
            if side["architecture"] is not None:
                check_architecture(f"{name}.sides.{letter}", side["architecture"], base)
        if kinds[0] != "model" and KINDS[kinds[0]].has_images:
            _check_membership(name, letter, config)


def _require_captions(where: str, name: str, config: dict) -> None:
    """Refuse a side that searches captions in a split whose public set has no captions."""
    for split_name, split in config["splits"].items():
        dataset = split["roles"]["public"]["dataset"]
        if name in split["models"] and config["datasets"][dataset]["columns"]["caption"] is None:
            raise InputError(
                f"{where} searches captions, but the public set of splits.{split_name}, {dataset!r}, has none: name "
                f"another dataset in splits.{split_name}.roles.public, or leave the model out of its models."
            )


def _check_checkpoint(where: str, side: dict) -> None:
    """Refuse a checkpoint's missing path, or a file or tag without an architecture; expand ``~`` in place."""
    side["checkpoint"] = source = str(Path(side["checkpoint"]).expanduser())
    require_plain_name(f"{where}.checkpoint", source)
    checkpoint = Checkpoint.of(source)
    if checkpoint.path is not None and not checkpoint.path.exists():
        raise InputError(f"{where}.checkpoint: there is no file or folder {checkpoint.path}: correct the path.")
    if checkpoint.names_architecture and side["architecture"] is not None:
        raise InputError(f"{where}.architecture: the folder of the checkpoint names the architecture: remove it.")
    if not checkpoint.names_architecture and side["architecture"] is None:
        raise InputError(
            f"configuration key '{where}.architecture' is missing: add it, since no file beside the weights names it."
        )


def _check_kept(where: str, side: dict, model: dict) -> None:
    """Refuse a number of samples seen at which the trained model keeps no checkpoint."""
    kept = [*model["checkpoints"], model["samples_seen"]]
    if side["samples_seen"] is not None and side["samples_seen"] not in kept:
        raise InputError(
            f"{where}.samples_seen is {side['samples_seen']:,}, but the checkpoints of {side['model']} are at "
            f"{', '.join(f'{seen:,}' for seen in kept)}: add it to models.{side['model']}.checkpoints."
        )


def _check_membership(name: str, letter: str, config: dict) -> None:
    """Refuse a checkpoint whose training samples no list declares."""
    where = f"models.{name}.sides.{letter}"
    for split_name, split in config["splits"].items():
        if name in split["models"] and split["roles"][letter]["uids"] is None:
            raise InputError(
                f"{where} is a checkpoint, so what it was trained on must be declared: give splits.{split_name}.roles."
                f"{letter} the file of its training samples' uids, as uids, in place of interval. A role drawn by hash "
                "would mix samples that it has seen with samples that it has not, and measure nothing."
            )
