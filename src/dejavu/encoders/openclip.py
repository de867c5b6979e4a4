"""Models of OpenCLIP's form as encoders: those that were trained here, and those from elsewhere that are read so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from dejavu.encoders.interface import Model, Preparation, Running
from dejavu.encoders.pooled import at_ends, image_transformer, only_pooled
from dejavu.encoders.precision import halve
from dejavu.encoders.pretrained import load_pretrained
from dejavu.errors import words
from dejavu.training.model import Clip, load_checkpoint

# images or texts that a CPU is given at a time: more are no faster, and take more memory or more padding
IMAGES_ON_CPU = 32
TEXTS_ON_CPU = 128


@dataclass(frozen=True)
class ClipEncoder:
    """A CLIP model and how it is run.

    Attributes:
        clip: the model, in evaluation mode, on the device.
        running: how it is run.
    """

    clip: Clip
    running: Running

    @property
    def at_once(self) -> int:
        """The number of images or texts to hand over at a time."""
        return self.running.batch_size

    @property
    def tokenizer(self) -> Any:
        """Captions -> int64 (n, context length)."""
        return self.clip.tokenizer

    @property
    def size(self) -> str:
        """The number of weights, and the size of the images that it takes, in words."""
        weights = sum(weight.numel() for weight in self.clip.model.parameters())
        return words(f"{weights:,} weights, images of {self.clip.size} pixels")

    @property
    def image_size(self) -> int:
        """The side of the square images that it takes, in pixels."""
        return self.clip.size

    @property
    def preparation(self) -> Preparation:
        """How images are prepared for it."""
        return Preparation(self.clip.prepared, self.clip.is_guessed)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return an RGB image of any size as the model takes it, before normalisation; uint8 (size, size, 3)."""
        return self.clip.pixels(image)

    def encode(self, pixels: np.ndarray) -> torch.Tensor:
        """Return float32 (n, dimension), L2-normalised, on the model's device, of uint8 (n, size, size, 3).

        On ``cuda`` it returns before that is computed, when ``pixels`` are read already.
        """
        model = self.clip.model
        with torch.inference_mode(), only_pooled(image_transformer(model)):
            parts = np.split(pixels, range(self._part(IMAGES_ON_CPU), len(pixels), self._part(IMAGES_ON_CPU)))
            features = [
                model.encode_image(self.clip.normalize(part, self.running.device).to(self._dtype)) for part in parts
            ]
            return normalize(torch.cat(features).float(), dim=-1)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return float32 (images, dimension), L2-normalised, of RGB images of any size."""
        return self.encode(np.stack([self.pixels(image) for image in images])).cpu().numpy()

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised."""
        return self.tokens(self.tokenize(texts))

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Return int64 (texts, length); see :meth:`dejavu.training.model.Clip.tokenize`."""
        return self.clip.tokenize(texts)

    def tokens(self, tokens: torch.Tensor) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised, of int64 (texts, up to the context length).

        Texts of one length are embedded together, so that little is padded; their order is restored.
        """
        order = torch.argsort(lengths(tokens), stable=True)
        parts = [self._encoded(tokens[chosen]) for chosen in order.split(self._part(TEXTS_ON_CPU))]
        features = torch.cat(parts).cpu()
        restored = torch.empty_like(features)
        restored[order] = features
        return restored.numpy()

    def halve(self) -> None:
        """Round the weights to bfloat16; embeddings stay float32."""
        halve(self.clip.model)

    @property
    def _dtype(self) -> torch.dtype:
        return next(weight for weight in self.clip.model.parameters() if weight.ndim > 1).dtype

    def _part(self, on_cpu: int) -> int:
        """Return how many images or texts the model is given at a time, of a batch or of many texts."""
        size = self.running.batch_size
        if self.running.device != "cpu":
            return size
        # oneDNN packs weights in bfloat16 for every product anew, which more rows make up for
        return min(size, on_cpu * (4 if self._dtype == torch.bfloat16 else 1))

    def _encoded(self, tokens: torch.Tensor) -> torch.Tensor:
        # models of transformers cut their own texts
        cut = getattr(self.clip.model, "cut", self.clip.cut)
        tokens = cut(tokens).to(self.running.device)
        with torch.inference_mode(), at_ends(self.clip.model, tokens):
            features = self.clip.encode_text(tokens, normalize=False)
            return normalize(features.float(), dim=-1)


def lengths(tokens: torch.Tensor) -> torch.Tensor:
    """Return int64 (n,): how much of each row of int64 (n, length) stands before its padding, one of that included."""
    padding = (tokens == tokens[:, -1:]).flip(1).long().cumprod(dim=1).sum(dim=1)
    return tokens.shape[1] - padding + 1


def load_trained(model: Model, running: Running) -> ClipEncoder:
    """Load a checkpoint of this workflow.

    Raises:
        InputError: when the file is damaged, or of another architecture.
    """
    assert model.architecture is not None
    path = Path(model.weights) / f"{model.seen}.pt"
    return ClipEncoder(load_checkpoint(path, model.architecture, running.device), running)


def load_foreign(model: Model, running: Running) -> ClipEncoder:
    """Load a checkpoint from elsewhere, or a folder of transformers.

    Raises:
        InputError: as :func:`dejavu.encoders.pretrained.load_pretrained`.
    """
    source = model.weights or model.source
    return ClipEncoder(load_pretrained(source, model.architecture, running.device, model.preprocessing), running)
