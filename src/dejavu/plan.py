"""What is known before any job runs: a dataset's files, which of them one job works on, and the state of results."""

from __future__ import annotations

import json
import os
import shlex
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from dejavu.data.forms.base import Form
from dejavu.data.forms.registry import form_of
from dejavu.data.objects import ObjectsColumn
from dejavu.data.raw import Columns, batch_name, file_id, file_ids, open_raw, take_inventory
from dejavu.data.tars import tar_beside
from dejavu.devices import CLUSTER_JOB
from dejavu.errors import InputError, closest, words
from dejavu.processes import STARTER
from dejavu.sides import TFIDF


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

        Of what is not there yet, since the workflow makes it, the paths are those that it will have.

        Raises:
            InputError: when a pattern matches no file, a file that is needed is not there, or two files share a hash.
        """
        paths = form_of(name, section).paths()
        file_ids(sorted(paths), name)
        return cls(name, section, paths, make_batches(sorted(paths), section["files_per_job"]))

    @cached_property
    def form(self) -> Form:
        """The form that it is given in."""
        return form_of(self.name, self.section)

    @property
    def columns(self) -> dict[str, str | None]:
        """The column mapping; files that are made here have names of their own."""
        columns = self.form.columns()
        if self.section.get("annotate", {}).get("from", "column") != "column":
            columns["objects"] = None
        return columns

    @property
    def is_made(self) -> bool:
        """Whether the workflow makes its raw files, so that they need not be there yet."""
        return self.form.is_made

    @property
    def every_caption(self) -> bool:
        """Whether each caption of an image makes a pair of its own."""
        return self.section.get("captions") == "all"

    @property
    def ingestion(self) -> dict[str, str | int | None]:
        """How its rows become samples: the attributes of :class:`dejavu.data.ingest.Ingestion`."""
        keys = ("captions", "store", "short_side", "min_side", "max_caption", "key_unique_in", "image_links")
        return {key: self.section[key] for key in keys} | {"image_root": self.form.image_root}

    def tars(self, batch: str) -> list[str]:
        """Paths of the tars beside the raw files of a batch; none where the images are elsewhere."""
        return [str(tar_beside(raw)) for raw in self.raw_files(batch)] if self.form.images_are_in_tars else []

    def raw_files(self, batch: str) -> list[str]:
        """Paths of the raw files of a batch."""
        return [self.paths[name] for name in self.batches[batch]]

    def folders(self, kind: str) -> list[str]:
        """The batch folders of a table of this dataset."""
        return [f"results/{self.name}/{kind}/{batch}" for batch in self.batches]


def check_supply(name: str, split: Mapping, datasets: Mapping[str, Dataset]) -> None:
    """Refuses a split that asks for more samples than the raw files have rows, before any job runs.

    The rows are those of a dataset's inventory, or, for files that are new or newer, of their footers.

    Args:
        name: of the split.
        split: its section of the configuration.
        datasets: all datasets by name.

    Raises:
        InputError: naming the split, or a raw file that is damaged or lacks a column.
    """
    roles = split["roles"].values()
    used = {role["dataset"]: datasets[role["dataset"]] for role in roles}
    _require_distinct_rows(name, used)
    for dataset in used.values():
        if dataset.is_made:
            continue
        wanted = sum(role["limit"] or 1 for role in roles if role["dataset"] == dataset.name)
        rows = _rows_of(dataset)
        if wanted > rows:
            # an inventory may count for another choice of captions
            rows = _counted(dataset, dataset.paths)
        if wanted > rows:
            raise InputError(
                f"splits.{name}: its roles ask for {wanted:,} samples, but the raw files of {dataset.name} hold "
                f"{rows:,} rows: lower the limits, or bring more data."
            )


def _require_distinct_rows(name: str, datasets: Mapping[str, Dataset]) -> None:
    """Rows come from the names of raw files, so the datasets of one split must not share a name."""
    seen: dict[int, tuple[str, str]] = {}
    for dataset in datasets.values():
        for file in dataset.paths:
            other, same = seen.setdefault(file_id(file), (dataset.name, file))
            if other != dataset.name:
                raise InputError(
                    f"splits.{name} takes roles from the datasets {other} and {dataset.name}, whose raw files {same!r} "
                    f"and {file!r} would give their samples the same rows: set root of one of them to its parent "
                    "folder, and begin its patterns with the folder's name."
                )


def _rows_of(dataset: Dataset) -> int:
    inventory = Path("results") / dataset.name / "inventory.json"
    known, made = {}, 0.0
    if inventory.is_file():
        known, made = json.loads(inventory.read_text(encoding="utf-8")), inventory.stat().st_mtime
    old = {name for name, path in dataset.paths.items() if name in known and Path(path).stat().st_mtime <= made}
    new = {name: path for name, path in dataset.paths.items() if name not in old}
    return sum(known[name] for name in old) + _counted(dataset, new)


def _counted(dataset: Dataset, paths: Mapping[str, str]) -> int:
    return sum(take_inventory(paths, Columns.of(dataset.columns), dataset.every_caption).values())


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


def tell_jobs(folder: Path, on_cluster: bool) -> None:
    """Lets the jobs, which are processes of their own, import this package from its folder.

    They die with this process, and know whether a cluster's scheduler has started them or a Snakemake of their machine,
    which may itself be in a cluster's job.
    """
    os.environ[STARTER] = str(os.getpid())
    os.environ.pop(CLUSTER_JOB, None)
    if on_cluster:
        os.environ[CLUSTER_JOB] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def check_results_folder(results: Path) -> None:
    """Refuses a results folder that cannot be written to.

    Raises:
        InputError: naming the folder.
    """
    existing = next(folder for folder in [results, *results.resolve().parents] if folder.exists())
    if existing.is_dir() and os.statvfs(existing).f_flag & os.ST_RDONLY:
        raise InputError(
            f"{existing.resolve()} is on a read-only file system, but results go to {results}/: make it writable, "
            "or run with --directory in a folder of yours."
        )
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{existing.resolve()} cannot be written to, but results go to {results}/: change its permissions, "
            "or run with --directory in a folder of yours."
        )


def lost_metadata(results: Path, metadata: Path) -> bool:
    """Whether there are results without Snakemake's record of how they were made."""
    made = results.is_dir() and any(results.glob("*/*/memorization.duckdb"))
    return made and not (metadata.is_dir() and any(metadata.iterdir()))


# archives keep whole seconds
SECONDS_APART = 1.0
NAMED = 3


def check_unchanged(results: Path, records: Path) -> str | None:
    """Refuses results that were changed, replaced or cut short since their jobs ended.

    Snakemake looks at modification times only where it has to order a job and its input, so such a file would go into
    what is made next, or stay unnoticed. Its record of an output has the time that the output had when its job ended.
    What an interrupted job left is not looked at: Snakemake makes it again.

    Args:
        results: the folder, as outputs are named in the records.
        records: Snakemake's folder, ``.snakemake``; a list of more than three such outputs goes there.

    Returns:
        A sentence of warning where most outputs differ, as in a copy that was made without keeping times; or None.

    Raises:
        InputError: naming the first of them, and how to delete them all.
    """
    kept = {
        output: record
        for output, record in recorded_outputs(records)
        if Path(output).is_relative_to(results) and os.path.exists(output)
    }
    changed = sorted(output for output, record in kept.items() if _is_changed(Path(output), record))
    if not changed:
        return None
    if 2 * len(changed) > len(kept):
        return (
            f"{len(changed):,} of {len(kept):,} outputs in {results}/ have other times than in Snakemake's records, as "
            "in a copy that did not keep them, so whether one was changed cannot be seen: copy results/ and .snakemake "
            "again with cp -a, or add --touch --forceall once to take them as they are."
        )
    raise InputError(
        f"{', '.join(changed[:NAMED])}{f' and {len(changed) - NAMED:,} more' if len(changed) > NAMED else ''} in "
        f"{Path.cwd()}: changed or replaced since the workflow wrote {'it' if len(changed) == 1 else 'them'}: delete "
        f"with `{_deletion(changed, records)}` and run again, what is needed is made anew."
    )


def recorded_outputs(records: Path) -> Iterator[tuple[str, Path]]:
    """Output and record of every job that ended well.

    Args:
        records: Snakemake's folder, ``.snakemake``.
    """
    unfinished = dict(_recorded(records / "incomplete"))
    yield from ((output, record) for output, record in _recorded(records / "metadata") if output not in unfinished)


def _recorded(folder: Path) -> Iterator[tuple[str, Path]]:
    """Output and file of every record; a name is base64, cut into folders that begin with @ where it is long."""
    for parent, _, names in os.walk(folder):
        parts = [part.removeprefix("@") for part in Path(parent).relative_to(folder).parts]
        for name in names:
            try:
                output = urlsafe_b64decode("".join([*parts, name])).decode()
            except ValueError:
                continue  # no record
            yield output, Path(parent, name)


def _is_changed(output: Path, record: Path) -> bool:
    try:
        ended = json.loads(record.read_bytes())["endtime"]
    except (ValueError, KeyError):
        return False  # Snakemake ignores half a record, too
    if ended is None:
        return False
    if not output.is_dir():
        return abs(output.lstat().st_mtime - ended) > SECONDS_APART
    mark = output / ".snakemake_timestamp"
    if not mark.exists() or abs(mark.stat().st_mtime - ended) > SECONDS_APART:
        return True
    # what file managers and file systems leave is hidden
    files = (Path(parent, name) for parent, _, names in os.walk(output) for name in names if not name.startswith("."))
    return any(file.lstat().st_mtime > ended + SECONDS_APART for file in files)


def _deletion(outputs: Sequence[str], records: Path) -> str:
    if len(outputs) <= NAMED:
        return f"rm -r {shlex.join(outputs)}"
    listed = records / "changed.txt"
    listed.write_text("".join(f"{output}\n" for output in outputs), encoding="utf-8")
    return f"xargs -d '\\n' rm -r < {listed}"


def check_what_is_needed(config: Mapping, datasets: Mapping[str, Dataset]) -> None:
    """Refuses what would be missed after hours, as far as it is known without loading anything.

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
    """Refuses a model that is neither a folder with one of some files, nor in the cache of Hugging Face with one."""
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
