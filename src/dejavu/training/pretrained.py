"""Models that were trained elsewhere: what they are, their weights, and how their authors prepared images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from huggingface_hub import try_to_load_from_cache
from PIL import Image

from dejavu.errors import InputError, closest, words
from dejavu.files import first_line
from dejavu.progress import say
from dejavu.training import huggingface
from dejavu.training.model import FOLDER_CONFIG, LOCAL, Clip, build, load_checkpoint, read_folder
from dejavu.training.openclip import open_clip
from dejavu.training.weights import Weights, read_weights

HUB = "hf-hub:"
# of OpenCLIP's preprocessing, what may be set
PREPROCESSING = ("mean", "std", "resize_mode", "interpolation")


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
        return _prepared(clip, found.described or None, found.by, preprocessing or {}, source)
    weights = read_weights(found.weights)
    clip = build(found.architecture, device)
    _require_activation(found, weights, clip)
    _load(weights, clip, found.architecture)
    clip.model.eval()
    if weights.form == "ours" and not preprocessing:
        return clip
    known, why = _preprocessing(found, weights)
    return _prepared(clip, known, why, preprocessing or {}, source)


@dataclass(frozen=True)
class Found:
    """Where a model is, and what is said of it there.

    Attributes:
        weights: the file, or a folder of transformers.
        architecture: as :func:`build` takes it.
        described: ``quick_gelu`` and the keys of preprocessing, of a tag or a folder.
        by: what describes it.
    """

    weights: Path
    architecture: str
    described: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""


def find_model(source: str, architecture: str | None) -> Found:
    """Where a model is, without loading it; the arguments are those of :func:`load_pretrained`.

    Raises:
        InputError: when there is no such file, folder or tag, or it is not in the cache.
    """
    if source.startswith(HUB):
        return _in_folder(_cached_folder(source.removeprefix(HUB)), source)
    if source.startswith(LOCAL) or os.path.isdir(source):
        return _in_folder(Path(source.removeprefix(LOCAL)), source)
    if architecture is None:
        raise InputError(f"the checkpoint {source!r} is no folder that says what the model is: add its architecture.")
    if os.path.isfile(source):
        path = Path(source)
        if not (path.parent / FOLDER_CONFIG).is_file():
            return Found(path, architecture)
        beside = read_folder(path.parent)
        return Found(path, architecture, _described(beside), str(path.parent / FOLDER_CONFIG))
    return _of_tag(source, architecture)


def _in_folder(folder: Path, source: str) -> Found:
    if not (folder / FOLDER_CONFIG).is_file() and huggingface.is_folder(folder):
        by = words(f"{folder} does not say it")
        found = huggingface.preprocessing(folder)
        return Found(folder, source, found, str(folder / "preprocessor_config.json") if found else by)
    described = read_folder(folder)
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise InputError(f"{source}: there are no weights in {folder}: fetch them, or name their file.")
    return Found(Path(weights), f"{LOCAL}{folder}", _described(described), str(folder / FOLDER_CONFIG))


def _cached_folder(repository: str) -> Path:
    names = (FOLDER_CONFIG, huggingface.CONFIG)
    found = next((path for name in names if isinstance(path := try_to_load_from_cache(repository, name), str)), None)
    if found is None:
        raise InputError(
            f"{HUB}{repository} is not in the cache, and this workflow downloads nothing: fetch it first "
            f"(huggingface-cli download {repository} on a machine with a network), or give its folder."
        )
    return Path(found).parent


def _described(folder: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "quick_gelu": bool(folder["model_cfg"].get("quick_gelu")),
        **{key: value for key, value in (folder.get("preprocess_cfg") or {}).items() if key in PREPROCESSING},
    }


def _of_tag(tag: str, architecture: str) -> Found:
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
    return Found(path, architecture, {"quick_gelu": False, **described}, words(f"the tag {tag!r}"))


def _in_cache(described: Mapping[str, Any]) -> Path | None:
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


def _load(weights: Weights, clip: Clip, architecture: str) -> None:
    try:
        if weights.architecture is not None:
            clip.model.load_state_dict(weights.state)
            return
        _require_shapes(weights.state, clip.model.state_dict())
        # OpenCLIP's own loader, for its conversions of other programs' names
        with patch.object(open_clip.factory, "load_state_dict", lambda *_, **__: weights.state):
            open_clip.load_checkpoint(clip.model, str(weights.path))
    except Exception as error:  # OpenCLIP has many ways to say that weights do not fit
        raise InputError(
            f"{weights.path} does not hold the weights of the architecture {architecture!r} ({_told(error)}): name "
            "the architecture that it was trained with, or another file."
        ) from error


def _told(error: Exception) -> str:
    """What torch says of names that are missing or too many, on one line."""
    return first_line(ValueError(" ".join(str(error).split())))


def _require_shapes(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuses weights that OpenCLIP would stretch to fit, as position embeddings of another image size."""
    for name in found.keys() & wanted.keys():
        if found[name].numel() != wanted[name].numel():
            raise ValueError(f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}")


# activation


def _require_activation(found: Found, weights: Weights, clip: Clip) -> None:
    """Refuses weights that fit an architecture in shape, and were trained with another activation."""
    ours = bool(clip.config.get("quick_gelu"))
    if weights.architecture is not None:
        _require_same(weights, clip, found.architecture)
        return
    if weights.form == "OpenAI":
        theirs, by = True, words("it is an archive of OpenAI's")
    elif "quick_gelu" in found.described:
        theirs, by = bool(found.described["quick_gelu"]), found.by
    elif (trained := _named(weights.name)) and trained.endswith("-quickgelu") != ours:
        theirs, by = not ours, words(f"its training was named after {trained}")
    else:
        twin = f"{found.architecture}-quickgelu"
        if found.architecture.endswith(".json") or twin in open_clip.list_models():
            say(
                f"{weights.path} does not say whether the model was trained with QuickGELU, as OpenAI's and some "
                f"others were; {found.architecture} is {'with' if ours else 'without'} it: name another where that is "
                "wrong."
            )
        return
    if theirs != ours:
        raise InputError(
            f"the weights {weights.path} were trained {'with' if theirs else 'without'} QuickGELU ({by}), and the "
            f"architecture {found.architecture} is not: name the architecture that fits, as ViT-B-32-quickgelu."
        )


def _named(run: str) -> str:
    """The architecture in the name of a training run of ``open_clip_train``; nothing where there is none."""
    _, mark, rest = run.partition("-model_")
    known = [name for name in open_clip.list_models() if rest.startswith(f"{name}-")] if mark else []
    return max(known, key=len, default="")


def _require_same(weights: Weights, clip: Clip, architecture: str) -> None:
    theirs = weights.architecture or {}
    differing = sorted(key for key in theirs.keys() | clip.config.keys() if theirs.get(key) != clip.config.get(key))
    if differing:
        raise InputError(
            f"{weights.path} does not hold the weights of the architecture {architecture!r}: it was made with "
            f"{weights.name or 'another'!r} (they differ in {', '.join(differing)}): name the architecture that it was "
            "trained with, or another file."
        )


# preprocessing


def _preprocessing(found: Found, weights: Weights) -> tuple[dict[str, Any] | None, str]:
    """How images were prepared, and where that is said; None where it cannot be known, and why."""
    if given := {key: found.described[key] for key in PREPROCESSING if key in found.described}:
        return given, found.by
    if weights.form == "ours":
        return {}, words("it was trained by this workflow")
    known = open_clip.list_pretrained_tags_by_model(found.architecture)
    distinct = [_of(open_clip.get_pretrained_cfg(found.architecture, tag)) for tag in known]
    if not distinct:
        return None, words(f"{found.architecture} has no pretrained tags")
    if any(one != distinct[0] for one in distinct):
        return None, words(f"the tags of {found.architecture} differ in it")
    if weights.form == "open_clip_train" and distinct[0] != _of({}):
        return None, words(f"the tags of {found.architecture} have another than training from random weights has")
    return distinct[0], words(f"all tags of {found.architecture} have it so")


def _of(described: Mapping[str, Any]) -> dict[str, Any]:
    """The complete preprocessing of a description, lists as tuples."""
    plain = asdict(open_clip.transform.PreprocessCfg())
    found = plain | {key: value for key, value in described.items() if key in PREPROCESSING}
    return {key: tuple(found[key]) if key in ("mean", "std") else found[key] for key in PREPROCESSING}


def _prepared(clip: Clip, known: Mapping[str, Any] | None, why: str, given: Mapping[str, Any], source: str) -> Clip:
    chosen = _of({**(known or {}), **given})
    told = (
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
    prepared = words(f"{told}: {why}")
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
