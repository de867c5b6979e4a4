"""Folders of transformers with a CLIP or a SigLIP model, as models of OpenCLIP are used here."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize as to_unit_length

from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.training.model import Clip
from dejavu.training.openclip import offline

CONFIG = "config.json"
# model_type of a folder -> class of transformers
CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}


def is_folder(folder: Path) -> bool:
    """Whether a folder is one of transformers."""
    return (folder / CONFIG).is_file()


class Towers(torch.nn.Module):
    """A model of transformers with OpenCLIP's methods.

    Args:
        inner: a CLIP or SigLIP model of transformers.
        size: side of its square images, in pixels.
    """

    def __init__(self, inner: Any, size: int) -> None:
        super().__init__()
        self.inner, self.image_size = inner, size
        self.logit_scale = inner.logit_scale
        self.logit_bias = getattr(inner, "logit_bias", None)

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """float (n, 3, size, size) -> float (n, dimension)."""
        return self._features(self.inner.get_image_features(pixel_values=images), normalize)

    def encode_text(self, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """int64 (n, length) -> float (n, dimension)."""
        # what follows a caption's end reaches CLIP's features through no mask, and SigLIP is trained with it
        return self._features(self.inner.get_text_features(input_ids=tokens), normalize)

    def cut(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 (n, length) -> (n, shorter): of CLIP without what follows the end of the longest caption.

        CLIP looks through a causal mask and reads its features at the end. SigLIP looks at padding, too.
        """
        if self.inner.config.model_type != "clip":
            return tokens
        end = self.inner.config.text_config.eos_token_id
        # folders made before transformers 4.31 name the number 2, and there the end is the largest number
        ends = tokens.argmax(dim=-1) if end == 2 else (tokens == end).int().argmax(dim=-1)
        return tokens[:, : int(ends.max()) + 1]

    @staticmethod
    def _features(found: Any, normalize: bool) -> torch.Tensor:
        features = found if isinstance(found, torch.Tensor) else found.pooler_output
        return to_unit_length(features, dim=-1) if normalize else features


class Tokenizer:
    """A tokenizer of transformers as OpenCLIP calls its own.

    Attributes:
        tokenizer: that of transformers.
    """

    def __init__(self, tokenizer: Any, length: int) -> None:
        self.tokenizer, self._length = tokenizer, length

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """int64 (n, length)."""
        return self.tokenizer(
            list(texts), padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
        ).input_ids


def load_folder(folder: Path, device: str = "cpu") -> Clip:
    """Loads a model of transformers; code in the folder is not run, and nothing is downloaded.

    Raises:
        InputError: when it is neither CLIP nor SigLIP, or its files are damaged or missing.
    """
    config = _read(folder / CONFIG)
    kind = config.get("model_type")
    if kind not in CLASSES:
        raise InputError(
            f"{folder} holds a model of transformers of the type {kind!r}, but CLIP and SigLIP are known: name one of "
            "those, or OpenCLIP's form of it."
        )
    transformers = importlib.import_module("transformers")
    try:
        with warnings.catch_warnings(), offline():
            warnings.simplefilter("ignore")
            how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            # weights in safetensors or a state dict: transformers reads neither as code
            inner, loading = getattr(transformers, CLASSES[kind]).from_pretrained(
                folder, output_loading_info=True, dtype=torch.float32, **how
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how)
    except Exception as error:  # transformers has many ways to say that a folder is not whole
        raise InputError(
            f"{folder} cannot be loaded as a model of transformers ({first_line(error)}): replace it, with "
            "its tokenizer."
        ) from error
    if loading["missing_keys"]:
        raise InputError(
            f"{folder} lacks weights of its model, for instance {sorted(loading['missing_keys'])[0]!r}: replace them."
        )
    size = int(inner.config.vision_config.image_size)
    return Clip(
        model=Towers(inner.to(device), size).eval(),
        tokenizer=Tokenizer(tokenizer, int(inner.config.text_config.max_position_embeddings)),
        config=config,
        size=size,
        mean=torch.zeros(1, 3, 1, 1),
        std=torch.ones(1, 3, 1, 1),
        name=folder.name,
    )


def preprocessing(folder: Path) -> dict[str, Any]:
    """How a folder says that images are prepared, in OpenCLIP's words; nothing where it does not say it."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return {}
    said = _read(path)
    found: dict[str, Any] = {}
    for key, name in (("mean", "image_mean"), ("std", "image_std")):
        if isinstance(said.get(name), list):
            found[key] = said[name]
    if said.get("do_normalize") is False:
        found |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    found["resize_mode"] = "shortest" if _crops(said) else "squash"
    if said.get("resample") in _INTERPOLATIONS:
        found["interpolation"] = _INTERPOLATIONS[said["resample"]]
    return found


def _crops(said: Mapping[str, Any]) -> bool:
    size = said.get("size")
    return bool(said.get("do_center_crop")) or isinstance(size, int) or "shortest_edge" in (size or {})


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a JSON file ({first_line(error)}): replace it.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no section of keys: replace it.")
    return content
