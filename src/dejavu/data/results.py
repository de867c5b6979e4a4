"""Results of clip-benchmark for a checkpoint, as rows of the utility table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dejavu.errors import InputError
from dejavu.files import first_line

TASK = "clip_benchmark"
# The metrics of this task are named by their dataset; names of other tasks also contain the task.
ZERO_SHOT = "zeroshot_classification"


def read_results(files: Sequence[str | Path], architecture: str | None) -> list[dict]:
    """Return rows of the utility table with the metrics in each file, named by the file's dataset.

    The rows have no number of images, since the files have none.

    Args:
        files: JSON files of ``clip_benchmark eval``, with ``dataset``, ``model``, ``pretrained``, ``task``,
            ``language`` and ``metrics``.
        architecture: architecture of the checkpoint. If it is a name, the files must name the same model; None and the
            path of a file are not compared.

    Raises:
        InputError: when a file is no such JSON or has no finite number, belongs to another model, or to other weights
            than the first file, or when two files have the same metric.
    """
    rows: dict[str, dict] = {}
    weights: dict[str, str | Path] = {}
    for file in files:
        content = _read(Path(file))
        model = content.get("model")
        named = architecture is not None and not architecture.endswith(".json")
        if named and model is not None and _plain(model) != _plain(architecture):
            raise InputError(
                f"{file} has the results of the model {model!r}, but the checkpoint is of {architecture!r}: name the "
                "results of this checkpoint in clip_benchmark."
            )
        weights.setdefault(str(content.get("pretrained")), file)
        if len(weights) > 1:
            (first_weights, first), (second_weights, second) = weights.items()
            raise InputError(
                f"{first} has the results of the weights {first_weights!r}, and {second} of {second_weights!r}: name "
                "the results of one checkpoint in clip_benchmark."
            )
        for metric, value in _numbers(file, content):
            if metric in rows:
                raise InputError(f"{file} has {metric}, which another file has, too: name one of them.")
            rows[metric] = {"task": TASK, "metric": metric, "value": value, "n": None}
    return list(rows.values())


def _plain(model: object) -> str:
    return str(model).replace("/", "-").casefold()


def _numbers(file: str | Path, content: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the metrics of a file by name: dataset, task unless zero-shot, languages other than English, metric."""
    task, language = content.get("task") or ZERO_SHOT, content.get("language") or "en"
    languages = language if isinstance(language, list) else [language]
    parts = [] if task == ZERO_SHOT else [str(task)]
    name = "_".join([content["dataset"], *parts, *(str(entry) for entry in languages if entry != "en")])
    numbers = [
        (f"{name}_{key}", float(value))
        for key, value in content["metrics"].items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    ]
    if not numbers or not all(math.isfinite(value) for _, value in numbers):
        raise InputError(f"{file} has no metric that is a finite number: measure it again, or leave the file out.")
    return numbers


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not a JSON file ({first_line(error)}): replace it.") from None
    is_result = isinstance(content, dict) and isinstance(content.get("dataset"), str)
    if not is_result or not isinstance(content.get("metrics"), dict):
        raise InputError(f"{file} is no result of clip-benchmark, which has dataset and metrics: name another file.")
    return content
