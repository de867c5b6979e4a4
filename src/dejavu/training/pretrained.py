"""Models that were trained elsewhere: checkpoints, and weights that OpenCLIP knows by a tag."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from dejavu.errors import InputError, closest
from dejavu.files import first_line
from dejavu.training.model import Clip, build, load_checkpoint
from dejavu.training.openclip import open_clip


def load_side(weights: str, seen: int, source: str, architecture: str, device: str = "cpu") -> Clip:
    """Loads the model of one side, in evaluation mode.

    Args:
        weights: the folder of checkpoints that training made, a file, or nothing for a pretrained tag.
        seen: the checkpoint's number of samples seen, in a folder.
        source: the pretrained tag.
        architecture, device: as for :func:`load_pretrained`.
    """
    if weights and os.path.isdir(weights):
        return load_checkpoint(Path(weights) / f"{seen}.pt", architecture, device)
    return load_pretrained(weights or source, architecture, device)


def load_pretrained(source: str, architecture: str, device: str = "cpu") -> Clip:
    """Loads a model that was trained elsewhere; code in its file is never run, and nothing is downloaded.

    Args:
        source: a checkpoint of this workflow or of ``open_clip_train``, a file of weights (also safetensors), or a
            pretrained tag of OpenCLIP whose weights are in the user's cache.
        architecture: a name that OpenCLIP knows, or the path of a JSON file in its form.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: when there is no such file or tag, the tag is not in the cache, or the weights do not fit.
    """
    if os.path.isfile(source):
        return _load_weights(Path(source), build(architecture, device), architecture)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if source not in tags:
        raise InputError(
            f"{source!r} is neither a file nor a pretrained tag of {architecture}{closest(source, tags)}: "
            + (f"its tags are {', '.join(tags)}." if tags else "it has no tags, so give the path of a checkpoint.")
        )
    described = open_clip.get_pretrained_cfg(architecture, source)
    path = _in_cache(described)
    if path is None:
        raise InputError(
            f"the weights {source!r} of {architecture} are not in the cache, and this workflow downloads nothing: "
            "fetch them first (open_clip.create_model on a machine with a network), or give the path of a checkpoint."
        )
    clip = build(architecture, device)
    if bool(described.get("quick_gelu")) != bool(clip.config.get("quick_gelu")):
        raise InputError(
            f"the weights {source!r} were trained {'with' if described.get('quick_gelu') else 'without'} QuickGELU, "
            f"and the architecture {architecture} is not: name the architecture that fits, as ViT-B-32-quickgelu."
        )
    clip = replace(
        clip,
        mean=torch.tensor(described["mean"]).view(1, 3, 1, 1),
        std=torch.tensor(described["std"]).view(1, 3, 1, 1),
        crop=described.get("resize_mode") != "squash",
        bilinear=described.get("interpolation") == "bilinear",
    )
    return _load_weights(path, clip, architecture)


def _load_weights(path: Path, clip: Clip, architecture: str) -> Clip:
    try:
        saved = {} if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        if "architecture" in saved and "model" in saved:
            clip.model.load_state_dict(saved["model"])
        else:
            _require_shapes(open_clip.factory.load_state_dict(str(path)), clip.model.state_dict())
            open_clip.load_checkpoint(clip.model, str(path), weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than tensors and plain values, or is damaged ({first_line(error)}): "
            "it was not loaded, because such a file can run code; save its state_dict alone."
        ) from error
    except Exception as error:  # OpenCLIP has many ways to say that weights do not fit
        raise InputError(
            f"{path} does not hold the weights of the architecture {architecture!r} ({first_line(error)}): "
            "name the architecture that it was trained with, or another file."
        ) from error
    clip.model.eval()
    return clip


def _require_shapes(found: dict, wanted: dict) -> None:
    """Refuses weights that OpenCLIP would stretch to fit, as position embeddings of another image size."""
    for name in found.keys() & wanted.keys():
        if found[name].numel() != wanted[name].numel():
            raise ValueError(f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}")


def _in_cache(described: dict) -> Path | None:
    """Where OpenCLIP keeps the weights of a pretrained tag, if they are there."""
    if described.get("hf_hub"):
        repository, name = os.path.split(described["hf_hub"])
        names = [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        for candidate in names:
            found = try_to_load_from_cache(repository, candidate)
            if isinstance(found, str):
                return Path(found)
    if described.get("url"):
        found = Path(os.path.expanduser("~/.cache/clip")) / os.path.basename(described["url"])
        if found.is_file():
            return found
    return None
