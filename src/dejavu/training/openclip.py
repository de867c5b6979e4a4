"""A fast import of OpenCLIP; modules of this package take ``open_clip`` from this module.

``import open_clip`` also imports transformers and timm, which only models with towers of these packages need, and,
through one line of torchvision, all of TorchDynamo. These three imports take more than half of the time of a job over a
few thousand pairs. This module defers them until a model needs them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import huggingface_hub.constants

# Optional packages of OpenCLIP. Each has the section and key by which an architecture names a tower of the package, and
# OpenCLIP's module and class for such towers.
OPTIONAL = {
    "transformers": ("text_cfg", "hf_model_name", "hf_model", "HFTextEncoder"),
    "timm": ("vision_cfg", "timm_model_name", "timm_model", "TimmModel"),
}


@contextmanager
def _not_installed(*names: str) -> Iterator[None]:
    """Within, let imports of packages fail as if they were not installed; packages imported before stay importable."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _dynamo_later() -> Iterator[None]:
    """Within, replace the one function of TorchDynamo that torchvision imports; the stand-in imports it when called."""
    if "torch._dynamo" in sys.modules:
        yield
        return

    def is_compile_supported(device_type: str) -> bool:
        return importlib.import_module("torch._dynamo.utils").is_compile_supported(device_type)

    package, utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    package.__path__, utils.is_compile_supported = [], is_compile_supported  # type: ignore[attr-defined]
    stand_ins = {module.__name__: module for module in (package, utils)}
    sys.modules |= stand_ins
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _import_quickly() -> Any:
    with _not_installed(*OPTIONAL):
        try:
            with _dynamo_later():
                importlib.import_module("torchvision")
        except (ImportError, AttributeError):
            # This version of torchvision imports more from TorchDynamo than the stand-in has.
            importlib.import_module("torchvision")
        return importlib.import_module("open_clip")


def require_towers(config: Mapping[str, Any]) -> None:
    """Import the optional packages that an architecture's towers need; call this before building the model.

    Args:
        config: the architecture in OpenCLIP's JSON form.
    """
    for package, (part, key, module, name) in OPTIONAL.items():
        found = importlib.import_module(f"open_clip.{module}")
        if (config.get(part) or {}).get(key) and getattr(found, package) is None:
            setattr(open_clip.model, name, getattr(importlib.reload(found), name))


@contextmanager
def offline() -> Iterator[None]:
    """Within, let Hugging Face's libraries read their cache and contact no server."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


open_clip = _import_quickly()
