"""Results that clip-benchmark has written of a model, taken over as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dejavu.errors import InputError
from dejavu.files import first_line

TASK = "clip_benchmark"
# of this task the metrics are named by the dataset alone
ZERO_SHOT = "zeroshot_classification"


def read_results(files: Sequence[str | Path], architecture: str | None) -> list[dict]:
    """Rows of the utility table: the numbers of each file, named by its dataset; of how many images is not known.

    Args:
        files: JSON as ``clip_benchmark eval`` writes it: ``dataset``, ``model``, ``pretrained``, ``task``,
            ``language``, ``metrics``.
        architecture: of the model whose results they should be, where it has a name; None: it is not compared.

    Raises:
        InputError: when a file is no such JSON, or holds no finite number; when it is of another model, or of other
            weights than the first; or when two files have the same result.
    """
    rows: dict[str, dict] = {}
    weights: dict[str, str | Path] = {}
    for file in files:
        found = _read(Path(file))
        model = found.get("model")
        named = architecture is not None and not architecture.endswith(".json")
        if named and model is not None and _plain(model) != _plain(architecture):
            raise InputError(
                f"{file} has the results of the model {model!r}, but the checkpoint is of {architecture!r}: name the "
                "results of this checkpoint in clip_benchmark."
            )
        weights.setdefault(str(found.get("pretrained")), file)
        if len(weights) > 1:
            (one, first), (other, second) = weights.items()
            raise InputError(
                f"{first} has the results of the weights {one!r}, and {second} of {other!r}: name those of one "
                "checkpoint in clip_benchmark."
            )
        for metric, value in _numbers(file, found):
            if metric in rows:
                raise InputError(f"{file} has {metric}, which another file has, too: name one of them.")
            rows[metric] = {"task": TASK, "metric": metric, "value": value, "n": None}
    return list(rows.values())


def _plain(model: object) -> str:
    return str(model).replace("/", "-").casefold()


def _numbers(file: str | Path, found: dict[str, Any]) -> list[tuple[str, float]]:
    task, language = found.get("task") or ZERO_SHOT, found.get("language") or "en"
    languages = language if isinstance(language, list) else [language]
    more = [str(one) for one in ([] if task == ZERO_SHOT else [task])] + [str(one) for one in languages if one != "en"]
    name = "_".join([found["dataset"], *more])
    numbers = [
        (f"{name}_{key}", float(value))
        for key, value in found["metrics"].items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    ]
    if not numbers or not all(math.isfinite(value) for _, value in numbers):
        raise InputError(f"{file} has no metric that is a finite number: measure it again, or leave the file out.")
    return numbers


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not a JSON file ({first_line(error)}): replace it.") from None
    is_result = isinstance(found, dict) and isinstance(found.get("dataset"), str)
    if not is_result or not isinstance(found.get("metrics"), dict):
        raise InputError(f"{file} is no result of clip-benchmark, which has dataset and metrics: name another file.")
    return found
