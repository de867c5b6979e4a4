"""Results that clip-benchmark has written of a model, taken over as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dejavu.errors import InputError
from dejavu.files import first_line

TASK = "clip_benchmark"


def read_results(files: Sequence[str | Path], architecture: str | None) -> list[dict]:
    """Rows of the utility table: the numbers of each file, named by its dataset; of how many images is not known.

    Args:
        files: JSON as ``clip_benchmark eval`` writes it: ``dataset``, ``model``, ``task``, ``language``, ``metrics``.
        architecture: of the model whose results they should be, where it has a name; None: it is not compared.

    Raises:
        InputError: when a file is no such JSON, is of another model, or two files have the same result.
    """
    rows: dict[str, dict] = {}
    for file in files:
        found = _read(Path(file))
        model = found.get("model")
        if architecture is not None and not architecture.endswith(".json") and model not in (None, architecture):
            raise InputError(
                f"{file} has the results of the model {model!r}, but the checkpoint is of {architecture!r}: name the "
                "results of this checkpoint in clip_benchmark."
            )
        language = found.get("language") or "en"
        name = "_".join([str(found["dataset"]), *([] if language == "en" else [str(language)])])
        for key, value in found["metrics"].items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                metric = f"{name}_{key}"
                if metric in rows:
                    raise InputError(f"{file} has {key} of {name}, which another file has, too: name one of them.")
                rows[metric] = {"task": TASK, "metric": metric, "value": float(value), "n": None}
    return list(rows.values())


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not a JSON file ({first_line(error)}): replace it.") from None
    if not isinstance(found, dict) or "dataset" not in found or not isinstance(found.get("metrics"), dict):
        raise InputError(f"{file} is no result of clip-benchmark, which has dataset and metrics: name another file.")
    return found
