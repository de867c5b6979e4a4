"""Models of OpenCLIP's form as encoders: those that were trained here, and those from elsewhere that are read so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dejavu.encoders.interface import Model, Preparation, Running
from dejavu.encoders.pretrained import load_pretrained
from dejavu.errors import words
from dejavu.training.model import Clip, load_checkpoint


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
    def preparation(self) -> Preparation:
        """How images are prepared for it."""
        return Preparation(self.clip.prepared, self.clip.is_guessed)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return float32 (images, dimension), L2-normalised, of RGB images of any size."""
        pixels = np.stack([self.clip.pixels(image) for image in images])
        with torch.inference_mode():
            batch = self.clip.normalize(pixels, self.running.device)
            return self.clip.model.encode_image(batch, normalize=True).float().cpu().numpy()

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised."""
        return self._encoded(self.tokenize(texts)).numpy()

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Return int64 (texts, length); see :meth:`dejavu.training.model.Clip.tokenize`."""
        return self.clip.tokenize(texts)

    def tokens(self, tokens: torch.Tensor) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised, of int64 (texts, context length)."""
        # short texts together, so that little is padded; the order is restored
        order = torch.argsort((tokens != 0).sum(dim=1), stable=True)
        parts = [self._encoded(self.clip.cut(tokens[chosen])) for chosen in order.split(self.running.batch_size)]
        encoded = torch.empty_like(torch.cat(parts))
        encoded[order] = torch.cat(parts)
        return encoded.numpy()

    def _encoded(self, tokens: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.clip.encode_text(tokens.to(self.running.device)).float().cpu()


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
