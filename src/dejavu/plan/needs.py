"""What jobs would miss after hours: models in the cache, and columns of raw files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from dejavu.data.objects import ObjectsColumn
from dejavu.data.raw import Columns, open_raw
from dejavu.errors import InputError, closest, words
from dejavu.plan.datasets import Dataset
from dejavu.sides import TFIDF


def check_what_is_needed(config: Mapping, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a configuration that names what is not there, as far as that is known without loading a model.

    Args:
        config: checked and complete.
        datasets: those of it.

    Raises:
        InputError: when a text encoder or a detector is neither a folder nor in the cache, or the first raw file of a
            dataset lacks a column, or its objects cannot be read.
    """
    for name, model in config["models"].items():
        for letter, side in model.get("sides", {}).items():
            if side["text_encoder"] not in (None, TFIDF):
                _require_text_encoder(f"models.{name}.sides.{letter}.text_encoder", side["text_encoder"])
    for name, dataset in datasets.items():
        annotate = dataset.section["annotate"]
        if annotate["from"] == "detector":
            _require_cached(f"datasets.{name}.annotate.model", annotate["model"], [annotate["model"]], ["config.json"])
        if not dataset.is_made:
            _check_first_file(dataset)


def _require_text_encoder(where: str, encoder: str) -> None:
    names = [encoder] if "/" in encoder else [f"sentence-transformers/{encoder}", encoder]
    hint = closest(encoder, [TFIDF])
    _require_cached(where, encoder, names, ["modules.json", "config.json"], hint)


def _require_cached(where: str, given: str, names: Sequence[str], files: Sequence[str], hint: str = "") -> None:
    """Refuse a model that is no folder with one of some files, and not in the cache of Hugging Face with one."""
    folder = Path(given)
    if folder.is_dir():
        if not any((folder / file).is_file() for file in files):
            raise InputError(f"{where}: the folder {folder} has no {' and no '.join(files)}: name that of a model.")
        return
    if given.startswith(("/", ".", "~")) or not any(
        isinstance(try_to_load_from_cache(name, file), str) for name in names for file in files
    ):
        raise InputError(
            f"{where}: {given!r} is neither a folder nor in the cache{hint}, and nothing is downloaded here: correct "
            f"it, or fetch it first (huggingface-cli download {names[0]} on a machine with a network)."
        )


def _check_first_file(dataset: Dataset) -> None:
    path = min(dataset.paths.values())
    columns = Columns.of(dataset.columns)
    with open_raw(path, columns) as file:
        if columns.objects is not None:
            ObjectsColumn(words(f"{path}: column {columns.objects!r}"), file.schema_arrow, columns.objects)
