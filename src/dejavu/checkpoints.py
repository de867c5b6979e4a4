"""What the configuration means by a checkpoint from elsewhere: a file, a folder, a name in the cache, or a tag."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# how OpenCLIP marks a folder, and a name in the cache of Hugging Face
LOCAL, HUB = "local-dir:", "hf-hub:"
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as the configuration names it.

    Attributes:
        source: as it is written.
        form: ``file``, ``folder``, ``cached`` (``hf-hub:`` and a name) or ``tag`` (of OpenCLIP's).
        path: of a file or a folder; of what looks like a path, though nothing is there; None for the others.
    """

    source: str
    form: str
    path: Path | None

    @classmethod
    def of(cls, source: str) -> Checkpoint:
        """From the key ``checkpoint`` of a side."""
        if source.startswith(HUB):
            return cls(source, "cached", None)
        path = Path(source.removeprefix(LOCAL))
        if source.startswith(LOCAL) or path.is_dir():
            return cls(source, "folder", path)
        if path.exists() or os.sep in source or path.suffix in SUFFIXES:
            return cls(source, "file", path)
        return cls(source, "tag", None)

    @property
    def names_architecture(self) -> bool:
        """Whether the description beside the weights says what the model is."""
        return self.form in ("folder", "cached")

    @property
    def weights(self) -> str:
        """The path of the file or folder; empty where the weights are in a cache."""
        return str(self.path) if self.path is not None and self.path.exists() else ""
