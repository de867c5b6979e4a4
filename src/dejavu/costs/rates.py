"""Rates: how long a unit of work takes on a machine, and how many bytes it leaves on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dejavu.errors import InputError, closest
from dejavu.files import write_json

# unit -> what it is; those of a configuration's `measure` are measured as the configuration has it
COMMON = {
    "start": "starting a job that does not import PyTorch",
    "start_torch": "starting a job that imports PyTorch and OpenCLIP and loads a model",
    "start_search": "starting a search, with the engine that it takes",
    "inventory_file": "looking at one raw file",
    "import_pair": "taking the objects of a sample from imported files",
    "duplicates_pair": "grouping a sample with its duplicates",
    "manifest_pair": "looking at a sample when a role is drawn",
    "manifest_row": "writing a sample of a role",
    "disjoint_pair": "comparing a sample with all roles",
    "query_text": "taking the other queries out of a caption",
    "text_pair": "looking at a sample when captions are read",
    "tfidf_text": "turning a text into TF-IDF",
    "tfidf_product": "comparing a query with a public caption by TF-IDF",
    "score_query": "scoring a sample, asked with every query",
    "object_pair": "looking at a sample when objects are read, for the scores of one population",
    "score_public": "reading the objects of a public sample, for the scores of one population",
    "population": "statistics of a model, whatever the number of its samples",
    "population_query": "statistics, for every sample of a population",
    "attacks": "attacks on a side, whatever the number of samples",
    "attacks_query": "attacks, for every sample of a population",
    "retrieval": "retrieval of a side, whatever the number of samples",
    "retrieval_product": "comparing an image with a caption of the holdout, both ways",
    "database": "a database, whatever its size",
    "database_pair": "a sample of a role in a database",
    "database_query": "a scored sample of a model in a database",
    "figures": "drawing the figures of a split",
    "report": "writing a report",
}
OF_DATASET = {
    "raw_pair": "making a pair of a raw file that the workflow makes",
    "ingest_pair": "ingesting a pair",
    "fingerprint_pair": "hashing a sample",
    "annotate_pair": "taking the objects of a sample from a column",
    "detect_pair": "detecting the objects of a sample",
}
OF_MODEL = {
    "train_pair": "training on a pair, with its share of everything else that a step does",
    "checkpoint": "writing a checkpoint",
    "embed_image": "decoding and embedding an image",
    "embed_caption": "embedding a text",
    "search_query": "ranking and writing the neighbours of a query",
    "search_public": "reading and preparing a public embedding, once for many queries",
    "search_product": "comparing a query with a public embedding",
}
ANY = "*"
KINDS = ("light", "search", "torch")


@dataclass(frozen=True)
class Rate:
    """What a unit of work costs.

    Attributes:
        seconds: of one process, with the threads that its job has.
        written: bytes on disk.
    """

    seconds: float
    written: float = 0.0


@dataclass(frozen=True)
class Rates:
    """The rates of one machine.

    Attributes:
        machine: its name, as a person would say it.
        device: ``cpu`` or ``cuda``.
        source: where they come from.
        memory: MB that a process holds besides its data: ``light``, ``search`` with the engine of
            a search, or ``torch`` once it has imported PyTorch and OpenCLIP.
        common: rates of the units of :data:`COMMON`.
        datasets: name, or :data:`ANY` -> rates of the units of :data:`OF_DATASET`.
        models: name of a model, or of an architecture, or :data:`ANY` -> rates of the units of :data:`OF_MODEL`.
        key: of what they were measured with; empty for rates that are given.
    """

    machine: str
    device: str
    source: str
    memory: Mapping[str, float]
    common: Mapping[str, Rate]
    datasets: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)
    key: str = ""

    def of(self, unit: str, names: Sequence[str] = ()) -> Rate | None:
        """Return the rate of a unit; None where nobody knows it.

        Args:
            unit: its name.
            names: a dataset; or a model, and its architecture. The first that has the unit counts.
        """
        if unit in COMMON:
            return self.common.get(unit)
        named = self.datasets if unit in OF_DATASET else self.models
        return next((named[name][unit] for name in (*names, ANY) if unit in named.get(name, {})), None)

    def write(self, path: Path) -> None:
        """Write them as JSON, in which a rate is ``[seconds, bytes]``."""
        content = asdict(self)
        content["common"] = _pairs(self.common)
        for group, named in (("datasets", self.datasets), ("models", self.models)):
            content[group] = {name: _pairs(rates) for name, rates in named.items()}
        write_json(path, content)


def _pairs(rates: Mapping[str, Rate]) -> dict[str, list[float]]:
    return {unit: [float(f"{rate.seconds:.4g}"), float(f"{rate.written:.4g}")] for unit, rate in rates.items()}


def read_rates(path: Path) -> Rates:
    """Return the rates of a file.

    Raises:
        InputError: when there is no such file, it is not JSON, or has a key or a value that rates do not have.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file of rates {path}: correct --rates, or leave it out to measure.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a JSON file of rates ({error}): mend it, or leave out --rates.") from None
    known = list(Rates.__dataclass_fields__)
    _require_keys(path, "", content, known, required=[key for key in known if key not in ("key", "datasets", "models")])
    _require_keys(path, "memory.", content["memory"], KINDS, required=KINDS)
    if content["device"] not in ("cpu", "cuda"):
        raise InputError(f"{path}: device is {content['device']!r}, but it is cpu or cuda: correct it.")
    content["common"] = _read_rates(path, "common", content["common"], COMMON)
    for group, units in (("datasets", OF_DATASET), ("models", OF_MODEL)):
        given = content.get(group, {})
        content[group] = {name: _read_rates(path, f"{group}.{name}", rates, units) for name, rates in given.items()}
    return Rates(**content)


def _read_rates(path: Path, where: str, given: Any, units: Mapping[str, str]) -> dict[str, Rate]:
    _require_keys(path, f"{where}.", given, list(units))
    for unit, value in given.items():
        numbers = isinstance(value, list) and len(value) == 2 and all(_is_amount(number) for number in value)
        if not numbers:
            raise InputError(f"{path}: {where}.{unit} is {value!r}, but a rate is [seconds, bytes]: correct it.")
    return {unit: Rate(*value) for unit, value in given.items()}


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _require_keys(path: Path, where: str, given: Any, known: Any, required: Any = ()) -> None:
    if not isinstance(given, dict):
        raise InputError(f"{path}: {where.rstrip('.') or 'the whole file'} is no section with keys: mend it.")
    for key in given:
        if key not in known:
            raise InputError(f"{path}: {where}{key} is no key of a file of rates{closest(key, known)}: take it out.")
    for key in required:
        if key not in given:
            raise InputError(f"{path}: the key {where}{key} is missing: add it.")
