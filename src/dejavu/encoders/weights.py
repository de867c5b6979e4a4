"""Files of weights in the forms that training programs leave, read without running code that they may hold."""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dejavu.errors import InputError
from dejavu.files import first_line

# what wrappers of training put before every name
PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")
# of OpenAI's archives: numbers that the architecture says as well
_NUMBERS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class Weights:
    """What a file holds.

    Attributes:
        path: the file.
        form: ``ours``, ``open_clip_train``, ``OpenAI`` or ``state dict``.
        state: name -> tensor, without prefixes of wrappers.
        architecture: as OpenCLIP's JSON, where the file says it, which ours do.
        name: of the architecture, or of the training run, where the file says it.
    """

    path: Path
    form: str
    state: dict[str, torch.Tensor]
    architecture: dict | None = None
    name: str = ""


def read_weights(path: Path) -> Weights:
    """Reads a file of weights; code in it is never run.

    Raises:
        InputError: when it is damaged, holds anything but tensors and plain values, or numbers that are not finite.
    """
    try:
        weights = _read(path)
    except pickle.UnpicklingError as error:
        # the rest of what torch says is advice to load such a file nevertheless
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise InputError(f"{path} is no whole file of weights: replace it, or name another.") from error
        raise InputError(
            f"{path} holds more than tensors and plain values ({code.group(1)}): it was not loaded, because such a "
            "file can run code; save its state_dict alone."
        ) from error
    except Exception as error:  # torch and safetensors have many ways to say that a file is damaged
        raise InputError(f"{path} cannot be read as a file of weights ({first_line(error)}): replace it.") from error
    if not weights.state:
        raise InputError(f"{path} holds no tensor: name the file of the weights.")
    for name, value in weights.state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(
                f"{path}: {name} holds numbers that are not finite, and no embedding would be: give another checkpoint."
            )
    return weights


def _read(path: Path) -> Weights:
    if path.suffix == ".safetensors":
        return Weights(path, "state dict", _bare(load_file(path)))
    if _is_torchscript(path):
        state = _of_torchscript(path)
        bare = _bare({name: value for name, value in state.items() if name not in _NUMBERS})
        return Weights(path, "OpenAI" if set(_NUMBERS) <= state.keys() else "state dict", bare)
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(saved, Mapping):
        raise ValueError(f"it holds a {type(saved).__name__}")
    if "architecture" in saved and "model" in saved:
        return Weights(path, "ours", dict(saved["model"]), json.loads(saved["architecture"]), saved.get("name", ""))
    if isinstance(saved.get("state_dict"), Mapping):
        return Weights(path, "open_clip_train", _bare(saved["state_dict"]), name=str(saved.get("name", "")))
    inside = saved.get("model") or saved.get("model_state_dict")
    return Weights(path, "state dict", _bare(inside if isinstance(inside, Mapping) else saved))


def _bare(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors, without what wrappers have put before all their names."""
    found = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    while found and (prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in found)), None)):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


# TorchScript archives, which hold a program beside the tensors


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Module:
    """Stands in for every class of a program: what is kept of its object are its attributes."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})


class _Tensors(pickle.Unpickler):
    """Reads the objects of an archive; of all that they name only tensors and stand-ins are made."""

    def __init__(self, file: Any, read: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._storage = read

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name.endswith("Storage"):
            return getattr(torch, name)
        if module == "torch.jit._pickle":
            return lambda *values: values[0] if values else None
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, _ = pid
        data = bytearray(self._storage(str(key)))
        untyped = torch.UntypedStorage.from_buffer(data, dtype=torch.uint8) if data else torch.UntypedStorage(0)
        with warnings.catch_warnings():
            # what torch itself passes to the function that makes tensors
            warnings.simplefilter("ignore")
            return torch.storage.TypedStorage(wrap_storage=untyped, dtype=kind.dtype, _internal=True)


def _of_torchscript(path: Path) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(path) as archive:
        (entry,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        folder = entry.removesuffix("data.pkl")
        with archive.open(entry) as file:
            root = _Tensors(file, lambda key: archive.read(f"{folder}data/{key}")).load()
    state: dict[str, torch.Tensor] = {}
    _collect(root, "", state)
    return state


def _collect(module: Any, prefix: str, state: dict[str, torch.Tensor]) -> None:
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            state[prefix + name] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", state)
