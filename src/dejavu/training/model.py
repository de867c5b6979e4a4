"""OpenCLIP models: building one from an architecture, saving and loading checkpoints."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.func import functional_call

from dejavu.checkpoints import LOCAL
from dejavu.data.images import to_square
from dejavu.errors import InputError, closest, words
from dejavu.files import atomic, first_line
from dejavu.training.marks import Marks
from dejavu.training.openclip import offline, open_clip, require_towers


@dataclass(frozen=True)
class Clip:
    """A model with its preprocessing of images and captions.

    Attributes:
        model: an OpenCLIP model with ``encode_image``, ``encode_text`` and ``logit_scale``.
        tokenizer: captions -> int64 (n, context length).
        config: the architecture in OpenCLIP's JSON form.
        size: height and width of the model's input images, in pixels.
        mean, std: float32 (1, 3, 1, 1), mean and standard deviation of the normalisation, for values in [0, 1].
        view: makes an image square as the model's authors did; None: the central square, as this workflow trains.
        prepared: the preprocessing of images in words, and its source.
        is_guessed: whether the model's own preprocessing is unknown.
        name: name of the architecture, without folder and suffix.
    """

    model: Any
    tokenizer: Any
    config: dict
    size: int
    mean: torch.Tensor
    std: torch.Tensor
    view: Callable[[Image.Image], Image.Image] | None = None
    prepared: str = words("CLIP's mean and std, the central square, bicubic: as in the training of this workflow")
    is_guessed: bool = False
    name: str = ""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Return an RGB image as the square that the model reads, before normalisation; uint8 (size, size, 3)."""
        return to_square(image, self.size) if self.view is None else np.array(self.view(image))

    def normalize(self, images: np.ndarray, device: str) -> torch.Tensor:
        """Return images as the model's input: uint8 (n, size, size, 3) -> float32 (n, 3, size, size)."""
        pixels = torch.from_numpy(images).to(device).float()
        # Normalising in place, whole rows of pixels at once, is eight times as fast as channel by channel, and gives
        # the same numbers.
        rows = pixels.view(*images.shape[:2], -1)
        rows.div_(255).sub_(self.mean.flatten().repeat(self.size).to(device))
        rows.div_(self.std.flatten().repeat(self.size).to(device))
        return pixels.permute(0, 3, 1, 2)

    @cached_property
    def _marks(self) -> Marks:
        return Marks(self.tokenizer)

    def tokenize(self, captions: Sequence[str]) -> torch.Tensor:
        """Return the tokens of captions, cut by :meth:`cut`; int64 (n, length). Special tokens in captions are text."""
        return self.cut(self.tokenizer(self._marks.broken(captions)))

    def cut(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens without the padding after the longest caption: int64 (n, context length) -> (n, length).

        With a causal mask, no token after a caption's end affects its features. Tokens stay as they are where the text
        tower has no causal mask, or does not take a caption's features at the end token.
        """
        tower = _causal_tower(self.model)
        if tower is None:
            return tokens
        ends = tokens.argmax(dim=-1) if tower.pool == "argmax" else (tokens == tower.eos).int().argmax(dim=-1)
        return tokens[:, : int(ends.max()) + 1]

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return the model's text features, for tokens of full length or cut by :meth:`cut`; float (n, dimension)."""
        tower, length = _causal_tower(self.model), tokens.shape[1]
        if tower is None or length == len(tower.positions):
            return self.model.encode_text(tokens, normalize=normalize)
        # OpenCLIP's classes take tokens of full length only, so this call also cuts position embedding and mask.
        shorter = {
            f"{tower.prefix}positional_embedding": tower.positions[:length],
            f"{tower.prefix}attn_mask": tower.mask[:length, :length],
        }
        return functional_call(_EncodeText(self.model), shorter, (tokens, normalize))


@dataclass(frozen=True)
class _CausalTower:
    """The parts of a text tower that depend on the length of captions, and how the tower finds a caption's end."""

    prefix: str
    positions: torch.Tensor
    mask: torch.Tensor
    pool: str
    eos: int


def _causal_tower(model: Any) -> _CausalTower | None:
    """Return the model's text tower if its features depend only on the tokens up to a caption's end, otherwise None."""
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
    """A model's ``encode_text`` as the call of a module: ``functional_call`` replaces parameters in such calls only."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, normalize: bool) -> torch.Tensor:
        return self.model.encode_text(tokens, normalize=normalize)


def build(architecture: str, device: str = "cpu") -> Clip:
    """Build a model with random weights from torch's current random state.

    The weights of towers from transformers are random as well, even where their name is that of a pretrained model.
    Nothing is downloaded: configuration and tokenizer of such towers come from a folder, or from the user's cache.

    Args:
        architecture: a name that OpenCLIP knows, the path of a JSON file in OpenCLIP's form, or ``local-dir:`` and a
            folder with ``open_clip_config.json``.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: when OpenCLIP does not know the architecture or refuses its configuration, or the cache lacks a
            configuration or tokenizer.
    """
    name, config = _architecture(architecture)
    require_towers(config)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), offline():
            warnings.simplefilter("ignore")
            model = open_clip.create_model(
                name, pretrained=None, load_weights=False, pretrained_text=False, device=device
            )
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # OpenCLIP, timm and transformers raise many types of errors
        raise InputError(_cannot_build(architecture, config, error)) from error
    defaults = open_clip.transform.PreprocessCfg()
    size = model.visual.image_size
    sides = set(size) if isinstance(size, (tuple, list)) else {size}
    if len(sides) > 1:
        raise InputError(
            f"the architecture {architecture!r} takes images that are not square, but this workflow supports square "
            "images only: choose another architecture."
        )
    return Clip(
        model=model,
        tokenizer=tokenizer,
        config=config,
        size=int(sides.pop()),
        mean=torch.tensor(defaults.mean).view(1, 3, 1, 1),
        std=torch.tensor(defaults.std).view(1, 3, 1, 1),
        name=name,
    )


FOLDER_CONFIG = "open_clip_config.json"


def _architecture(architecture: str) -> tuple[str, dict]:
    """Return the architecture's name in calls of OpenCLIP, and its configuration."""
    if architecture.startswith(LOCAL):
        return architecture, read_folder(Path(architecture.removeprefix(LOCAL)))["model_cfg"]
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
    return name, config


def read_folder(folder: Path) -> dict:
    """Return the content of ``open_clip_config.json`` in a folder: ``model_cfg``, and perhaps ``preprocess_cfg``.

    Raises:
        InputError: when the file is missing or damaged.
    """
    path = folder / FOLDER_CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no {FOLDER_CONFIG}, which says what the model is: name a folder of OpenCLIP's, or the file "
            "of the weights and their architecture."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a JSON file ({first_line(error)}): replace it.") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_cfg"), dict):
        raise InputError(f"{path} has no section model_cfg, which says what the model is: replace it.")
    return found


def _cannot_build(architecture: str, config: dict, error: Exception) -> str:
    text = config.get("text_cfg") or {}
    parts = sorted({text[key] for key in ("hf_model_name", "hf_tokenizer_name") if text.get(key)})
    if parts and isinstance(error, OSError):
        return words(
            f"the architecture {architecture!r} needs the configuration or the tokenizer of {' and '.join(parts)}, "
            "which are neither a folder nor in the cache, and this workflow downloads nothing: fetch them first "
            f"(huggingface-cli download {parts[0]} on a machine with a network), or name a folder in their place."
        )
    return words(f"OpenCLIP cannot build the architecture {architecture!r}: {first_line(error)}.")


def save_checkpoint(
    path: Path, clip: Clip, step: int, samples_seen: int, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write a checkpoint, atomically: the architecture and ``weights``, or the model's own weights without them."""
    # torch writes the name of a path into the archive, but not that of an open file: equal weights become equal bytes.
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        kept = {name: value.detach().cpu() for name, value in (weights or clip.model.state_dict()).items()}
        about = {"architecture": json.dumps(clip.config), "name": clip.name, "step": step, "samples_seen": samples_seen}
        torch.save({"model": kept, **about}, handle)


def load_checkpoint(path: Path, architecture: str, device: str = "cpu") -> Clip:
    """Build a model with the weights of a checkpoint of this workflow; code in the file is never run.

    Raises:
        InputError: when the file is damaged, holds more than tensors and plain values, or has another architecture.
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
