"""OpenCLIP models: built from an architecture, saved to and loaded from checkpoints."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.func import functional_call

from dejavu.data.images import to_square
from dejavu.errors import InputError, closest
from dejavu.files import atomic, first_line
from dejavu.training.marks import Marks
from dejavu.training.openclip import open_clip, require_towers


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
        name: of the architecture, without folder and suffix.
    """

    model: Any
    tokenizer: Any
    config: dict
    size: int
    mean: torch.Tensor
    std: torch.Tensor
    crop: bool = True
    bilinear: bool = False
    name: str = ""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """An RGB image as the model takes it, before normalisation; uint8 (size, size, 3)."""
        return to_square(image, self.size, crop=self.crop, bilinear=self.bilinear)

    def normalize(self, images: np.ndarray, device: str) -> torch.Tensor:
        """uint8 (n, size, size, 3) -> float32 (n, 3, size, size) as the model takes them."""
        pixels = torch.from_numpy(images).to(device).float()
        # in place, and a row of pixels at a time: the same numbers, eight times as fast as channel by channel
        rows = pixels.view(*images.shape[:2], -1)
        rows.div_(255).sub_(self.mean.flatten().repeat(self.size).to(device))
        rows.div_(self.std.flatten().repeat(self.size).to(device))
        return pixels.permute(0, 3, 1, 2)

    @cached_property
    def _marks(self) -> Marks:
        return Marks(self.tokenizer)

    def tokenize(self, captions: Sequence[str]) -> torch.Tensor:
        """int64 (n, length): the tokens of captions, cut as :meth:`cut` does; marks of the tokenizer are plain text."""
        return self.cut(self.tokenizer(self._marks.broken(captions)))

    def cut(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 (n, context length) -> (n, length): without what comes after the end of the longest caption.

        Through a causal mask nothing after a caption's end reaches its features. Where the text tower is of another
        kind, or does not read its features at the end, nothing is cut.
        """
        tower = _causal_tower(self.model)
        if tower is None:
            return tokens
        ends = tokens.argmax(dim=-1) if tower.pool == "argmax" else (tokens == tower.eos).int().argmax(dim=-1)
        return tokens[:, : int(ends.max()) + 1]

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """The model's own ``encode_text``, which also takes what :meth:`cut` left; float (n, dimension)."""
        tower, length = _causal_tower(self.model), tokens.shape[1]
        if tower is None or length == len(tower.positions):
            return self.model.encode_text(tokens, normalize=normalize)
        # OpenCLIP's classes take the full length only, so for this call position embedding and mask are cut as well
        shorter = {
            f"{tower.prefix}positional_embedding": tower.positions[:length],
            f"{tower.prefix}attn_mask": tower.mask[:length, :length],
        }
        return functional_call(_EncodeText(self.model), shorter, (tokens, normalize))


@dataclass(frozen=True)
class _CausalTower:
    """Where a text tower keeps what depends on length, and how it finds a caption's end."""

    prefix: str
    positions: torch.Tensor
    mask: torch.Tensor
    pool: str
    eos: int


def _causal_tower(model: Any) -> _CausalTower | None:
    """The text tower whose features depend on the tokens up to the end alone; None for any other."""
    if type(model) is open_clip.CLIP:
        prefix, tower, pool, eos = "model.", model, model.text_pool_type, model.text_eos_id
    elif type(model) is open_clip.CustomTextCLIP and type(model.text) is open_clip.transformer.TextTransformer:
        prefix, tower, pool, eos = "model.text.", model.text, model.text.pool_type, model.text.eos_id
        if tower.cls_emb is not None or tower.use_pad_mask:
            return None
    else:
        return None
    positions, mask = tower.positional_embedding, tower.attn_mask
    if mask is None or pool not in ("argmax", "eos"):
        return None
    return _CausalTower(prefix, positions, mask, pool, eos)


class _EncodeText(torch.nn.Module):
    """A model's ``encode_text`` as a module's call, in which torch can replace parameters."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, normalize: bool) -> torch.Tensor:
        return self.model.encode_text(tokens, normalize=normalize)


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
    require_towers(config)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = open_clip.create_model(name, pretrained=None, device=device)
            tokenizer = open_clip.get_tokenizer(name)
    except (TypeError, RuntimeError, AssertionError, ValueError, KeyError, OSError) as error:
        raise InputError(f"OpenCLIP cannot build the architecture {architecture!r}: {first_line(error)}.") from error
    defaults = open_clip.transform.PreprocessCfg()
    size = model.visual.image_size
    return Clip(
        model=model,
        tokenizer=tokenizer,
        config=config,
        size=size[0] if isinstance(size, (tuple, list)) else size,
        mean=torch.tensor(getattr(model.visual, "image_mean", None) or defaults.mean).view(1, 3, 1, 1),
        std=torch.tensor(getattr(model.visual, "image_std", None) or defaults.std).view(1, 3, 1, 1),
        name=name,
    )


def save_checkpoint(
    path: Path, clip: Clip, step: int, samples_seen: int, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Writes weights (the model's own, or those given) and architecture, atomically."""
    # an open file, because torch writes the name of a path into the archive, and equal weights should be equal bytes
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        kept = {name: value.detach().cpu() for name, value in (weights or clip.model.state_dict()).items()}
        about = {"architecture": json.dumps(clip.config), "name": clip.name, "step": step, "samples_seen": samples_seen}
        torch.save({"model": kept, **about}, handle)


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
            f"{path} was made with the architecture {saved.get('name', 'of another file')!r}, and not with "
            f"{architecture!r} (they differ in {', '.join(differing)}): delete the checkpoint and run again, or name "
            "its architecture."
        )
    clip.model.load_state_dict(weights)
    clip.model.eval()
    return clip
