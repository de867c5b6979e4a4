"""Which files a dataset consists of, and which of them one job works on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dejavu.data.raw import Columns, batch_name, file_id, file_ids, take_inventory
from dejavu.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """One dataset of the configuration.

    Attributes:
        name: its name.
        section: its section of the configuration.
        paths: raw file's name relative to the root -> path.
        batches: batch name -> names of the raw files that one job works on.
    """

    name: str
    section: Mapping
    paths: Mapping[str, str]
    batches: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, name: str, section: Mapping) -> Dataset:
        """From the dataset's section of the configuration.

        Raises:
            InputError: when a pattern matches no file, or two files share a hash.
        """
        paths = _synthetic_paths(name, section) if "synthetic" in section else _raw_paths(name, section)
        file_ids(sorted(paths), name)
        return cls(name, section, paths, make_batches(sorted(paths), section["files_per_job"]))

    @property
    def columns(self) -> dict[str, str | None]:
        """The column mapping; synthetic files have the standard names."""
        if "synthetic" in self.section:
            return {"image": "image", "caption": "caption", "key": "key", "objects": "objects"}
        return dict(self.section["columns"])

    def raw_files(self, batch: str) -> list[str]:
        """Paths of the raw files of a batch."""
        return [self.paths[name] for name in self.batches[batch]]

    def folders(self, kind: str) -> list[str]:
        """The batch folders of a table of this dataset."""
        return [f"results/{self.name}/{kind}/{batch}" for batch in self.batches]


@dataclass(frozen=True)
class Side:
    """What one side of a model is, and where its files lie.

    Attributes:
        model, letter: whose side it is.
        kind: ``trained`` here, ``model`` (the trained side of another model), ``checkpoint`` or ``text_encoder``.
        source: the recipe, the checkpoint or the text encoder.
        search: what its queries search: ``images`` or ``captions`` of the public samples.
        seen: the number of samples seen that stands in the names of the model's files; 0 where nobody knows.
        embedded: (model, samples seen) that its embeddings are filed under.
    """

    model: str
    letter: str
    kind: str
    source: str
    search: str
    seen: int
    embedded: tuple[str, int]

    @property
    def own(self) -> bool:
        """Whether this is an image-text model that is embedded for this very side."""
        return self.kind in ("trained", "checkpoint")


def side_of(models: Mapping[str, Mapping], model: str, letter: str) -> Side:
    """The side of a model of a checked configuration."""
    section = models[model]
    seen = samples_seen(models, model)
    if "sides" not in section:
        return Side(model, letter, "trained", model, "images", seen, (model, seen))
    side = section["sides"][letter]
    kind = next(kind for kind in ("model", "checkpoint", "text_encoder") if side[kind] is not None)
    source = side[kind]
    embedded = (source, samples_seen(models, source)) if kind == "model" else (model, seen)
    return Side(model, letter, kind, source, side["search"], seen, embedded)


def samples_seen(models: Mapping[str, Mapping], model: str) -> int:
    """Samples that a model has seen when it is measured: of its trained side, 0 where no side was trained here."""
    section = models[model]
    if "sides" not in section:
        return int(section["samples_seen"])
    trained = [side["model"] for side in section["sides"].values() if side["model"] is not None]
    return int(models[trained[0]]["samples_seen"]) if trained else 0


def check_supply(name: str, split: Mapping, dataset: Dataset) -> None:
    """Refuses a split that asks for more samples than the raw files have rows, before any job runs.

    The rows are those of the dataset's inventory, or, for files that are new or newer, of their footers.

    Raises:
        InputError: naming the split, or a raw file that is damaged or lacks a column.
    """
    if "synthetic" in dataset.section:
        return
    wanted = sum(role["limit"] or 1 for role in split["roles"].values())
    inventory = Path("results") / dataset.name / "inventory.json"
    known, made = {}, 0.0
    if inventory.is_file():
        known, made = json.loads(inventory.read_text(encoding="utf-8")), inventory.stat().st_mtime
    old = {name for name, path in dataset.paths.items() if name in known and Path(path).stat().st_mtime <= made}
    rows = {name: known[name] for name in old}
    new = {name: path for name, path in dataset.paths.items() if name not in old}
    rows |= take_inventory(new, Columns.of(dataset.columns))
    if wanted > sum(rows.values()):
        raise InputError(
            f"splits.{name}: its roles ask for {wanted:,} samples, but the raw files hold {sum(rows.values()):,} rows: "
            "lower the limits, or bring more data."
        )


def make_batches(names: Sequence[str], files_per_job: int) -> dict[str, list[str]]:
    """Cuts a sorted list of files into batches so that a new file changes one batch, or few, and not all that follow.

    A batch ends after a file whose hash is a multiple of ``files_per_job``, at the latest after twice as many files;
    it is named by the hash of its first file.
    """
    batches: dict[str, list[str]] = {}
    current: list[str] = []
    for name in names:
        current.append(name)
        if file_id(name) % files_per_job == 0 or len(current) >= 2 * files_per_job:
            batches[batch_name(current[0])] = current
            current = []
    if current:
        batches[batch_name(current[0])] = current
    return batches


def _synthetic_paths(name: str, section: Mapping) -> dict[str, str]:
    files = [f"part-{index:05d}.parquet" for index in range(section["synthetic"]["files"])]
    return {file: f"results/{name}/raw/{file}" for file in files}


def _raw_paths(name: str, section: Mapping) -> dict[str, str]:
    root = Path(section["root"])
    paths: dict[str, str] = {}
    for pattern in section["raw"]:
        found = sorted(root.glob(pattern)) if not os.path.isabs(pattern) else []
        if os.path.isabs(pattern):
            raise InputError(
                f"datasets.{name}.raw: {pattern!r} is absolute: set root to its folder, "
                "and write the pattern relative to it."
            )
        if not found:
            raise InputError(
                f"datasets.{name}.raw: no file matches {pattern!r} in {root.resolve()}: correct the pattern, or root."
            )
        paths |= {path.relative_to(root).as_posix(): str(path) for path in found}
    return paths


def share_sources(folder: Path) -> None:
    """Lets the jobs, which are processes of their own, import this package from its folder."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def check_results_folder(results: Path) -> None:
    """Refuses a results folder that cannot be written to.

    Raises:
        InputError: naming the folder.
    """
    existing = next(folder for folder in [results, *results.resolve().parents] if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{existing.resolve()} cannot be written to, but results go to {results}/: change its permissions, "
            "or run with --directory in a folder of yours."
        )


def lost_metadata(results: Path, metadata: Path) -> bool:
    """Whether there are results without Snakemake's record of how they were made."""
    made = results.is_dir() and any(results.glob("*/*/memorization.duckdb"))
    return made and not (metadata.is_dir() and any(metadata.iterdir()))
