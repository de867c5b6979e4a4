"""Architectures of models: JSON files in OpenCLIP's format, or names that OpenCLIP knows."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from dejavu.errors import InputError, closest


def architecture_path(architecture: str, base: Path) -> Path | None:
    """Return an architecture's JSON file, in the working directory or else the workflow's folder; None for a name."""
    if not architecture.endswith(".json"):
        return None
    path = Path(architecture)
    return path if path.is_file() or path.is_absolute() else base / path


def check_architecture(name: str, architecture: str, base: Path) -> dict | None:
    """Return an architecture's configuration; None for a name where OpenCLIP is not installed.

    Args:
        name: name of the model or of its side, for messages.
        architecture: a name or a path.
        base: the workflow's folder.

    Raises:
        InputError: when OpenCLIP does not know the name, or the file is missing or is no architecture.
    """
    path = architecture_path(architecture, base)
    if path is None:
        # Importing OpenCLIP takes seconds. The names of its configuration files are the names that it knows.
        spec = find_spec("open_clip")
        folders = [Path(place) for place in spec.submodule_search_locations or []] if spec else []
        known = {file.stem: file for folder in folders for file in (folder / "model_configs").glob("*.json")}
        if known and architecture not in known:
            raise InputError(
                f"models.{name}.architecture names {architecture!r}, which OpenCLIP does not know"
                f"{closest(architecture, known)}: name one that it knows, or the path of a JSON file."
            )
        return json.loads(known[architecture].read_text(encoding="utf-8")) if known else None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"models.{name}.architecture: the file {architecture} does not exist: correct the path."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"models.{name}.architecture: {architecture} is not a JSON file ({error}): mend it.") from None
    missing = [
        key for key in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(content, dict) or key not in content
    ]
    if missing:
        raise InputError(
            f"models.{name}.architecture: {architecture} lacks {', '.join(missing)}, which OpenCLIP needs: add them."
        )
    return content
