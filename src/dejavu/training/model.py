"""OpenCLIP models: built from an architecture, saved to and loaded from checkpoints."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image

from dejavu.data.images import to_square
from dejavu.errors import InputError, closest
from dejavu.files import atomic, first_line


@dataclass(frozen=True)
class Clip:
    """A model with what it needs to read images and captions.

    Attributes:
        model: an OpenCLIP model with ``encode_image``, ``encode_text`` and ``logit_scale``.
        tokenizer: captions -> int64 (n, context length).
        config: the architecture as OpenCLIP's JSON.
        size: side of the square images it takes, in pixels.
        mean, std: float32 (1, 3, 1, 1), of its normalisation, for values in [0, 1].
        crop, bilinear: how it takes images that are not of its size, see ``to_square``.
    """

    model: Any
    tokenizer: Any
    config: dict
    size: int
    mean: torch.Tensor
    std: torch.Tensor
    crop: bool = True
    bilinear: bool = False

    def pixels(self, image: Image.Image) -> np.ndarray:
        """An RGB image as the model takes it, before normalisation; uint8 (size, size, 3)."""
        return to_square(image, self.size, crop=self.crop, bilinear=self.bilinear)

    def normalize(self, images: np.ndarray, device: str) -> torch.Tensor:
        """uint8 (n, size, size, 3) -> float32 (n, 3, size, size) as the model takes them."""
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
        return (pixels - self.mean.to(device)) / self.std.to(device)


def build(architecture: str, device: str = "cpu") -> Clip:
    """Builds a model with random weights from torch's current random state.

    Args:
        architecture: a name that OpenCLIP knows, or the path of a JSON file in its form.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: when OpenCLIP does not know the architecture or refuses its configuration.
    """
    name = architecture
    if architecture.endswith(".json"):
        open_clip.add_model_config(Path(architecture))
        name = Path(architecture).stem
    config = open_clip.get_model_config(name)
    if config is None:
        known = open_clip.list_models()
        raise InputError(
            f"OpenCLIP does not know the architecture {architecture!r}{closest(name, known)}: name one of its "
            "architectures, or the path of a JSON file with embed_dim, vision_cfg and text_cfg."
        )
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = open_clip.create_model(name, pretrained=None, device=device)
            tokenizer = open_clip.get_tokenizer(name)
    except (TypeError, RuntimeError, AssertionError, ValueError, KeyError, OSError) as error:
        raise InputError(f"OpenCLIP cannot build the architecture {architecture!r}: {first_line(error)}.") from error
    defaults = PreprocessCfg()
    size = model.visual.image_size
    return Clip(
        model=model,
        tokenizer=tokenizer,
        config=config,
        size=size[0] if isinstance(size, (tuple, list)) else size,
        mean=torch.tensor(getattr(model.visual, "image_mean", None) or defaults.mean).view(1, 3, 1, 1),
        std=torch.tensor(getattr(model.visual, "image_std", None) or defaults.std).view(1, 3, 1, 1),
    )


def save_checkpoint(path: Path, clip: Clip, step: int, samples_seen: int) -> None:
    """Writes weights and architecture, atomically."""
    # an open file, because torch writes the name of a path into the archive, and equal weights should be equal bytes
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        weights = {name: value.detach().cpu() for name, value in clip.model.state_dict().items()}
        torch.save(
            {"model": weights, "architecture": json.dumps(clip.config), "step": step, "samples_seen": samples_seen},
            handle,
        )


def load_checkpoint(path: Path, architecture: str, device: str = "cpu") -> Clip:
    """Builds a model and loads the weights of one of our checkpoints; code in the file is never run.

    Raises:
        InputError: when the file is damaged, holds more than tensors and plain values, or is of another architecture.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        weights, config = saved["model"], json.loads(saved["architecture"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a whole checkpoint of this workflow ({first_line(error)}): delete it and run again."
        ) from error
    clip = build(architecture, device)
    if config != clip.config:
        differing = sorted(key for key in config.keys() | clip.config.keys() if config.get(key) != clip.config.get(key))
        raise InputError(
            f"{path} was made with another architecture than {architecture!r} (they differ in {', '.join(differing)}): "
            "delete the checkpoint and run again, or name its architecture."
        )
    clip.model.load_state_dict(weights)
    clip.model.eval()
    return clip
