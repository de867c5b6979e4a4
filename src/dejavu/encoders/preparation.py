"""How the authors of a model prepared its images, and whether that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from PIL import Image

from dejavu.encoders.find import PREPROCESSING, ModelFiles
from dejavu.encoders.weights import Weights
from dejavu.errors import words
from dejavu.progress import say
from dejavu.training.model import Clip
from dejavu.training.openclip import open_clip


def known_preprocessing(files: ModelFiles, weights: Weights) -> tuple[dict[str, Any] | None, str]:
    """How images were prepared, and where that is said; None where it cannot be known, and why."""
    if given := {key: files.described[key] for key in PREPROCESSING if key in files.described}:
        return given, files.by
    if weights.form == "ours":
        return {}, words("it was trained by this workflow")
    known = open_clip.list_pretrained_tags_by_model(files.architecture)
    distinct = [_of(open_clip.get_pretrained_cfg(files.architecture, tag)) for tag in known]
    if not distinct:
        return None, words(f"{files.architecture} has no pretrained tags")
    if any(preprocessing != distinct[0] for preprocessing in distinct):
        return None, words(f"the tags of {files.architecture} differ in it")
    if weights.form == "open_clip_train" and distinct[0] != _of({}):
        return None, words(f"the tags of {files.architecture} have another than training from random weights has")
    return distinct[0], words(f"all tags of {files.architecture} have it so")


def _of(described: Mapping[str, Any]) -> dict[str, Any]:
    """The complete preprocessing of a description, lists as tuples."""
    plain = asdict(open_clip.transform.PreprocessCfg())
    complete = plain | {key: value for key, value in described.items() if key in PREPROCESSING}
    return {key: tuple(complete[key]) if key in ("mean", "std") else complete[key] for key in PREPROCESSING}


def prepared(clip: Clip, known: Mapping[str, Any] | None, why: str, given: Mapping[str, Any], source: str) -> Clip:
    chosen = _of({**(known or {}), **given})
    settings = (
        f"mean {_numbers(chosen['mean'])}, std {_numbers(chosen['std'])}, resize {chosen['resize_mode']}, "
        f"interpolation {chosen['interpolation']}"
    )
    is_guessed = known is None and set(given) != set(PREPROCESSING)
    if set(given) == set(PREPROCESSING):
        why = words("as the configuration says")
    elif is_guessed:
        why = words(
            f"OpenCLIP's default, since how the model's images were prepared cannot be known ({why}): set it in "
            "preprocessing where it was otherwise"
        )
    prepared = words(f"{settings}: {why}")
    say(f"{source}: images are prepared with {prepared}")
    return replace(
        clip,
        mean=torch.tensor(chosen["mean"]).view(1, 3, 1, 1),
        std=torch.tensor(chosen["std"]).view(1, 3, 1, 1),
        view=_view(chosen, clip.size),
        prepared=prepared,
        is_guessed=is_guessed,
    )


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _view(chosen: Mapping[str, Any], size: int) -> Callable[[Image.Image], Image.Image]:
    """OpenCLIP's own transform of images up to the pixels."""
    whole = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=size, **chosen), is_train=False
    )
    steps = []
    for step in whole.transforms:
        if type(step).__name__ in ("MaybeToTensor", "ToTensor"):
            break
        steps.append(step)

    def view(image: Image.Image) -> Image.Image:
        for step in steps:
            image = step(image)
        return image

    return view
