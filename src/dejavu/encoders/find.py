"""Where a model that was trained elsewhere is, without loading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from dejavu.checkpoints import HUB, LOCAL, Checkpoint
from dejavu.encoders import huggingface
from dejavu.errors import InputError, closest, words
from dejavu.training.model import FOLDER_CONFIG, read_folder
from dejavu.training.openclip import open_clip

# of OpenCLIP's preprocessing, what may be set
PREPROCESSING = ("mean", "std", "resize_mode", "interpolation")


@dataclass(frozen=True)
class ModelFiles:
    """Where a model is, and what is said of it there.

    Attributes:
        form: ``open_clip`` or ``transformers``.
        weights: the file, or a folder of transformers.
        architecture: as :func:`build` takes it.
        described: ``quick_gelu`` and the keys of preprocessing, of a tag or a folder.
        by: what describes it.
    """

    weights: Path
    architecture: str
    described: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    form: str = "open_clip"


def find_model(source: str, architecture: str | None) -> ModelFiles:
    """Where a model is, without loading it; the arguments are those of :func:`load_pretrained`.

    Raises:
        InputError: when there is no such file, folder or tag, or it is not in the cache.
    """
    checkpoint = Checkpoint.of(source)
    if checkpoint.form == "cached":
        return _in_folder(_cached_folder(source.removeprefix(HUB)), source)
    if checkpoint.form == "folder":
        assert checkpoint.path is not None
        return _in_folder(checkpoint.path, source)
    if architecture is None:
        raise InputError(f"the checkpoint {source!r} is no folder that says what the model is: add its architecture.")
    path = checkpoint.path
    if path is not None and path.is_file():
        if not (path.parent / FOLDER_CONFIG).is_file():
            return ModelFiles(path, architecture)
        beside = read_folder(path.parent)
        return ModelFiles(path, architecture, _described(beside), str(path.parent / FOLDER_CONFIG))
    return _of_tag(source, architecture)


def _in_folder(folder: Path, source: str) -> ModelFiles:
    if not (folder / FOLDER_CONFIG).is_file() and huggingface.is_folder(folder):
        described = huggingface.preprocessing(folder)
        by = str(folder / "preprocessor_config.json") if described else words(f"{folder} does not say it")
        return ModelFiles(folder, source, described, by, form="transformers")
    described = read_folder(folder)
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise InputError(f"{source}: there are no weights in {folder}: fetch them, or name their file.")
    return ModelFiles(Path(weights), f"{LOCAL}{folder}", _described(described), str(folder / FOLDER_CONFIG))


def _cached_folder(repository: str) -> Path:
    names = (FOLDER_CONFIG, huggingface.CONFIG)
    description = next(
        (path for name in names if isinstance(path := try_to_load_from_cache(repository, name), str)), None
    )
    if description is None:
        raise InputError(
            f"{HUB}{repository} is not in the cache, and this workflow downloads nothing: fetch it first "
            f"(huggingface-cli download {repository} on a machine with a network), or give its folder."
        )
    return Path(description).parent


def _described(folder: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "quick_gelu": bool(folder["model_cfg"].get("quick_gelu")),
        **{key: value for key, value in (folder.get("preprocess_cfg") or {}).items() if key in PREPROCESSING},
    }


def _of_tag(tag: str, architecture: str) -> ModelFiles:
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise InputError(
            f"{tag!r} is neither a file nor a pretrained tag of {architecture}{closest(tag, tags)}: "
            + (f"its tags are {', '.join(tags)}." if tags else "it has no tags, so give the path of a checkpoint.")
        )
    described = open_clip.get_pretrained_cfg(architecture, tag)
    path = _in_cache(described)
    if path is None:
        raise InputError(
            f"the weights {tag!r} of {architecture} are not in the cache, and this workflow downloads nothing: "
            "fetch them first (open_clip.create_model on a machine with a network), or give the path of a checkpoint."
        )
    return ModelFiles(path, architecture, {"quick_gelu": False, **described}, words(f"the tag {tag!r}"))


def _in_cache(described: Mapping[str, Any]) -> Path | None:
    """Where OpenCLIP keeps the weights of a pretrained tag, if they are there."""
    if described.get("hf_hub"):
        repository, name = os.path.split(described["hf_hub"])
        names = [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        for candidate in names:
            path = try_to_load_from_cache(repository, candidate)
            if isinstance(path, str):
                return Path(path)
    if described.get("url"):
        path = Path(os.path.expanduser("~/.cache/clip")) / os.path.basename(described["url"])
        if path.is_file():
            return path
    return None
