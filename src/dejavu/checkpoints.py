"""Checkpoints that were not trained here: the configuration names a file, a folder, a name in the cache, or a tag."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# OpenCLIP's prefixes of a folder, and of a name in the cache of Hugging Face
LOCAL, HUB = "local-dir:", "hf-hub:"
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as the configuration names it.

    Attributes:
        source: the text in the configuration.
        form: ``file``, ``folder``, ``cached`` (``hf-hub:`` and a name) or ``tag`` (a name of OpenCLIP's weights).
        path: the path of the file or folder, which may not exist; None for ``cached`` and ``tag``.
    """

    source: str
    form: str
    path: Path | None

    @classmethod
    def of(cls, source: str) -> Checkpoint:
        """Return the checkpoint that the key ``checkpoint`` of a side names."""
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
        """Whether a file beside the weights names the architecture, so that the configuration need not."""
        return self.form in ("folder", "cached")

    @property
    def weights(self) -> str:
        """The path of the file or folder; empty where nothing is there, as for weights in a cache."""
        return str(self.path) if self.path is not None and self.path.exists() else ""
