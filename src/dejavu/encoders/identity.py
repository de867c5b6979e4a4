"""What tells a model from any other, so that embeddings of it may be used again: the contents of its files."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from dejavu.data.kept_arrays import digest_of
from dejavu.encoders.find import find_model
from dejavu.encoders.interface import Model

# what computes embeddings besides our own code
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")


def identity(model: Model) -> dict[str, str] | None:
    """Return a digest of every file that a model is made of, and the versions of the libraries that run it.

    None where that is not known, as of a text encoder in a cache.
    """
    files = dict(_files(model))
    if not files:
        return None
    return {name: digest_of(path) for name, path in files.items()} | {name: version(name) for name in LIBRARIES}


def _files(model: Model) -> Iterator[tuple[str, Path]]:
    """Yield name -> file."""
    if model.kind == "trained":
        yield "weights", Path(model.weights) / f"{model.seen}.pt"
    else:
        folder = Path(model.source)
        if model.kind == "checkpoint":
            folder = find_model(model.source, model.architecture).weights
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if path.is_file():
                yield f"weights {path.name}", path
    if model.architecture and Path(model.architecture).is_file():
        yield "architecture", Path(model.architecture)
