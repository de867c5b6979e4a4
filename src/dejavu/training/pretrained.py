"""Models that were trained elsewhere: what they are, their weights, and how their authors prepared images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.training import huggingface
from dejavu.training.activation import require_activation
from dejavu.training.find import find_model
from dejavu.training.model import Clip, build, load_checkpoint
from dejavu.training.openclip import open_clip
from dejavu.training.preparation import known_preprocessing, prepared
from dejavu.training.weights import Weights, read_weights


def load_side(
    weights: str,
    seen: int,
    source: str,
    architecture: str | None,
    device: str = "cpu",
    preprocessing: Mapping[str, Any] | None = None,
) -> Clip:
    """Loads the model of one side, in evaluation mode.

    Args:
        weights: the folder of checkpoints that training made, a file or folder, or nothing for a pretrained tag.
        seen: the checkpoint's number of samples seen, in a folder of training.
        source: the pretrained tag, or the name in the cache.
        architecture, device, preprocessing: as for :func:`load_pretrained`.
    """
    checkpoint = Path(weights) / f"{seen}.pt" if weights else None
    if checkpoint is not None and checkpoint.is_file():
        assert architecture is not None
        return load_checkpoint(checkpoint, architecture, device)
    return load_pretrained(weights or source, architecture, device, preprocessing)


def load_of_job(inputs: Any, params: Any, seen: int, device: str = "cpu") -> Clip:
    """Loads the model of one side that a job of the workflow names.

    Args:
        inputs: with ``weights`` and ``architecture``, paths or nothing.
        params: with ``source``, ``architecture`` and ``preprocessing``, the latter as JSON.
        seen, device: as for :func:`load_side`.
    """
    architecture = inputs.architecture or params.architecture
    return load_side(
        str(inputs.weights or ""),
        seen,
        params.source,
        str(architecture) if architecture else None,
        device,
        json.loads(params.preprocessing),
    )


def load_pretrained(
    source: str, architecture: str | None = None, device: str = "cpu", preprocessing: Mapping[str, Any] | None = None
) -> Clip:
    """Loads a model that was trained elsewhere; code in its file is never run, and nothing is downloaded.

    How its images were prepared comes from where the weights come from: the description in their folder, or the tags
    of the architecture. What cannot be known is said.

    Args:
        source: a file of weights (of this workflow, of ``open_clip_train``, a state dict, safetensors, or OpenAI's
            TorchScript); a folder with ``open_clip_config.json``, also as ``local-dir:``, or one of transformers with
            CLIP or SigLIP; ``hf-hub:`` and a name in the user's cache; or a pretrained tag of OpenCLIP whose weights
            are in the cache.
        architecture: a name that OpenCLIP knows, or the path of a JSON file in its form; None where a folder says it.
        device: ``cpu`` or ``cuda``.
        preprocessing: of :data:`PREPROCESSING` what is known better.

    Raises:
        InputError: when there is no such file, folder or tag, or it is not in the cache, or the weights do not fit.
    """
    found = find_model(source, architecture)
    if huggingface.is_folder(found.weights):
        clip = huggingface.load_folder(found.weights, device)
        return prepared(clip, found.described or None, found.by, preprocessing or {}, source)
    weights = read_weights(found.weights)
    clip = build(found.architecture, device)
    require_activation(found, weights, clip)
    _load(weights, clip, found.architecture)
    clip.model.eval()
    if weights.form == "ours" and not preprocessing:
        return clip
    known, why = known_preprocessing(found, weights)
    return prepared(clip, known, why, preprocessing or {}, source)


def _load(weights: Weights, clip: Clip, architecture: str) -> None:
    try:
        if weights.architecture is not None:
            clip.model.load_state_dict(weights.state)
            return
        clip.model.load_state_dict(_converted(weights.state, clip.model))
    except Exception as error:  # OpenCLIP has many ways to say that weights do not fit
        raise InputError(
            f"{weights.path} does not hold the weights of the architecture {architecture!r} ({_misfit(error)}): name "
            "the architecture that it was trained with, or another file."
        ) from error


def _converted(state: Mapping[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Return a state dict under the names that a model has, as ``open_clip.load_checkpoint`` does.

    That function reads the file itself and stretches position embeddings of another length. Here the file has been read
    already, and a length that differs is an error.

    Raises:
        ValueError: when a tensor has another number of elements than the model's.
    """
    _require_shapes(state, model.state_dict())
    converted = dict(open_clip.factory.convert_state_dict(model, dict(state)))
    if "positional_embedding" in converted and not hasattr(model, "positional_embedding"):
        converted = dict(open_clip.factory.convert_to_custom_text_state_dict(converted))
    if getattr(model, "logit_bias", None) is not None and "logit_bias" not in converted:
        converted["logit_bias"] = torch.zeros_like(converted["logit_scale"])
    for name in ("logit_scale", "logit_bias"):
        if name in converted and getattr(model, name, None) is not None:
            # a scalar in some files, a vector of one number in others
            converted[name] = converted[name].reshape(getattr(model, name).shape)
    # transformers has not stored these numbers since version 4.31
    position_ids = "text.transformer.embeddings.position_ids"
    if position_ids not in model.state_dict():
        converted.pop(position_ids, None)
    return converted


def _misfit(error: Exception) -> str:
    """Return what torch says of names that are missing or too many, on one line."""
    return first_line(ValueError(" ".join(str(error).split())))


def _require_shapes(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuses weights that OpenCLIP would stretch to fit, as position embeddings of another image size."""
    for name in found.keys() & wanted.keys():
        if found[name].numel() != wanted[name].numel():
            raise ValueError(f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}")
