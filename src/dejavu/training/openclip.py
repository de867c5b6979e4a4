"""OpenCLIP, imported without what takes seconds to import and most models do not use.

An import of ``open_clip`` brings transformers and timm, which only towers of theirs need, and through one line of
torchvision all of TorchDynamo. Together that is more than half of the time that a job over a few thousand pairs takes.
Modules of this package take ``open_clip`` from here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import huggingface_hub.constants

# package that OpenCLIP does without where it is not installed: the part and key of an architecture that name a tower
# of it, and OpenCLIP's module and class for such towers
OPTIONAL = {
    "transformers": ("text_cfg", "hf_model_name", "hf_model", "HFTextEncoder"),
    "timm": ("vision_cfg", "timm_model_name", "timm_model", "TimmModel"),
}


@contextmanager
def _not_installed(*names: str) -> Iterator[None]:
    """Lets imports of these fail as if they were not installed; those that are imported already stay."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _dynamo_later() -> Iterator[None]:
    """Stands in for the one function of TorchDynamo that torchvision imports, which then imports it when called."""
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
            # a torchvision that takes something else of it as well
            importlib.import_module("torchvision")
        return importlib.import_module("open_clip")


def require_towers(config: Mapping[str, Any]) -> None:
    """Imports what the towers of an architecture need; call it before such a model is built.

    Args:
        config: the architecture as OpenCLIP's JSON.
    """
    for package, (part, key, module, name) in OPTIONAL.items():
        found = importlib.import_module(f"open_clip.{module}")
        if (config.get(part) or {}).get(key) and getattr(found, package) is None:
            setattr(open_clip.model, name, getattr(importlib.reload(found), name))


@contextmanager
def offline() -> Iterator[None]:
    """Within, Hugging Face's libraries take what is in the cache, and ask no server for it."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


open_clip = _import_quickly()
