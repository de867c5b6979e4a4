"""Whether weights were trained with the activation of the architecture that is named for them."""

from __future__ import annotations

from dejavu.encoders.find import ModelFiles
from dejavu.encoders.weights import Weights
from dejavu.errors import InputError, words
from dejavu.progress import say
from dejavu.training.model import Clip
from dejavu.training.openclip import open_clip


def require_activation(files: ModelFiles, weights: Weights, clip: Clip) -> None:
    """Refuses weights that fit an architecture in shape, and were trained with another activation."""
    ours = bool(clip.config.get("quick_gelu"))
    if weights.architecture is not None:
        _require_same(weights, clip, files.architecture)
        return
    if weights.form == "OpenAI":
        theirs, by = True, words("it is an archive of OpenAI's")
    elif "quick_gelu" in files.described:
        theirs, by = bool(files.described["quick_gelu"]), files.by
    elif (trained := _named(weights.name)) and trained.endswith("-quickgelu") != ours:
        theirs, by = not ours, words(f"its training was named after {trained}")
    else:
        twin = f"{files.architecture}-quickgelu"
        if files.architecture.endswith(".json") or twin in open_clip.list_models():
            say(
                f"{weights.path} does not say whether the model was trained with QuickGELU, as OpenAI's and some "
                f"others were; {files.architecture} is {'with' if ours else 'without'} it: name another where that is "
                "wrong."
            )
        return
    if theirs != ours:
        raise InputError(
            f"the weights {weights.path} were trained {'with' if theirs else 'without'} QuickGELU ({by}), and the "
            f"architecture {files.architecture} is not: name the architecture that fits, as ViT-B-32-quickgelu."
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
