"""What a model is asked for, whatever kind of side it is: images to array, texts to array."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from dejavu.sides import side_of


@dataclass(frozen=True)
class Model:
    """Which model a side is.

    Attributes:
        kind: ``trained`` (here), ``checkpoint`` (from elsewhere) or ``text_encoder``; see :mod:`dejavu.sides`.
        source: the recipe, the checkpoint or the text encoder, as the configuration names it.
        weights: the folder of checkpoints that training made, or a file or folder; empty for what is in a cache.
        architecture: a name that OpenCLIP knows, or the path of a JSON file; None where a folder says it.
        preprocessing: what the configuration says of how images are prepared.
        seen: samples seen of the checkpoint, in a folder of training.
    """

    kind: str
    source: str
    weights: str = ""
    architecture: str | None = None
    preprocessing: Mapping[str, Any] | None = None
    seen: int = 0

    @classmethod
    def of_job(cls, job: Any) -> Model:
        """From a job of the workflow.

        Args:
            job: Snakemake's object of a script, with the wildcards ``model``, ``side`` and ``seen``, the parameter
                ``source``, and, for models with images, ``architecture`` and ``preprocessing`` (JSON).
        """
        params, wildcards = job.params, job.wildcards
        architecture = job.input.get("architecture") or params.get("architecture")
        return cls(
            kind=side_of(job.config["models"], wildcards.model, wildcards.side).kind,
            source=params.source,
            weights=str(job.input.get("weights") or ""),
            architecture=str(architecture) if architecture else None,
            preprocessing=json.loads(params.get("preprocessing", "null")),
            seen=int(wildcards.seen),
        )


@dataclass(frozen=True)
class Running:
    """How a model is run.

    Attributes:
        batch_size: images or texts at a time.
        device: ``cpu`` or ``cuda``.
    """

    batch_size: int
    device: str = "cpu"


@dataclass(frozen=True)
class Preparation:
    """How images are prepared for a model.

    Attributes:
        text: how, and who says so.
        is_guessed: whether that cannot be known.
    """

    text: str
    is_guessed: bool = False


class TextEncoder(Protocol):
    """A model that embeds texts."""

    @property
    def at_once(self) -> int:
        """The number of images or texts to hand over at a time."""
        ...

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised."""
        ...

    def halve(self) -> None:
        """Round the weights to bfloat16; embeddings stay float32."""
        ...


class Encoder(TextEncoder, Protocol):
    """A model that embeds images and texts into one space."""

    @property
    def size(self) -> str:
        """The number of weights, and the size of the images that it takes, in words."""
        ...

    @property
    def preparation(self) -> Preparation:
        """How images are prepared for it."""
        ...

    @property
    def image_size(self) -> int:
        """The side of the square images that it takes, in pixels."""
        ...

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return an RGB image of any size as the model takes it, before normalisation; uint8 (size, size, 3)."""
        ...

    def encode(self, pixels: np.ndarray) -> torch.Tensor:
        """Return float32 (n, dimension), L2-normalised, on the model's device, of uint8 (n, size, size, 3).

        On ``cuda`` it returns before that is computed, when ``pixels`` are read already.
        """
        ...

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return float32 (images, dimension), L2-normalised, of RGB images of any size."""
        ...


class TokenEncoder(Encoder, Protocol):
    """A model whose captions can be masked before it embeds them.

    Attributes:
        tokenizer: captions -> int64 (n, context length), as :class:`dejavu.training.text.TextRandomizer` takes it.
    """

    tokenizer: Any

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Return int64 (texts, length)."""
        ...

    def tokens(self, tokens: torch.Tensor) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised, of int64 (texts, up to the context length)."""
        ...
