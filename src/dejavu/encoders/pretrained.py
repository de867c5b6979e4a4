"""Models that were trained elsewhere: what they are, their weights, and how their authors prepared images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dejavu.encoders import huggingface
from dejavu.encoders.activation import require_activation
from dejavu.encoders.find import find_model
from dejavu.encoders.preparation import known_preprocessing, prepared
from dejavu.encoders.weights import Weights, read_weights
from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.training.model import Clip, build
from dejavu.training.openclip import open_clip


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
    files = find_model(source, architecture)
    if files.form == "transformers":
        clip = huggingface.load_folder(files.weights, device)
        return prepared(clip, files.described or None, files.by, preprocessing or {}, source)
    weights = read_weights(files.weights)
    clip = build(files.architecture, device)
    require_activation(files, weights, clip)
    _load(weights, clip, files.architecture)
    clip.model.eval()
    if weights.form == "ours" and not preprocessing:
        return clip
    known, why = known_preprocessing(files, weights)
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


def _require_shapes(files: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuses weights that OpenCLIP would stretch to fit, as position embeddings of another image size."""
    for name in files.keys() & wanted.keys():
        if files[name].numel() != wanted[name].numel():
            raise ValueError(f"{name} is {tuple(files[name].shape)}, not {tuple(wanted[name].shape)}")
