"""The interface of all forms of raw data: a dataset's files, their columns, and the steps that make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.paths import RAW, at

# An excerpt has at most FILES files of a dataset, and at most ROWS rows of each.
FILES = 8
ROWS = 32


@dataclass(frozen=True)
class Making:
    """The arguments of a job that makes raw files.

    Attributes:
        inputs, outputs: paths by name, as the step declares them.
        values: parameters of the step by name.
        wildcards: wildcards of the job by name.
        title: name of the job, for the progress lines.
    """

    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    values: Mapping[str, Any]
    wildcards: Mapping[str, str]
    title: str


@dataclass(frozen=True)
class Step:
    """A rule of the workflow that makes raw files, or an intermediate file for them.

    Attributes:
        name: name of the rule, and of its folders of logs and cost files.
        run: function that does the work of a job.
        outputs: name -> path below ``results/<dataset>``.
        inputs: function from the form and the job's wildcards to paths by name.
        values: name of a parameter -> function from the form to its value. A job runs again when a value changes.
        each: the wildcard that distinguishes the jobs of one dataset; empty where there is only one job.
        memory_per_gb, minutes_per_gb: memory in MB and time in minutes that a job requests for each GB of its input.
        minutes: time in minutes that a job requests in addition.
    """

    name: str
    run: Callable[[Making], None]
    outputs: Mapping[str, str]
    inputs: Callable[[Any, Any], Mapping[str, str]] = lambda form, wildcards: {}
    values: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    each: str = ""
    memory_per_gb: float = 0
    minutes_per_gb: float = 0
    minutes: int = 30

    @property
    def job(self) -> str:
        """Path of a job's log and cost file without ending, with the wildcard of the job."""
        return f"{self.name}/{{{self.each}}}" if self.each else self.name


@dataclass(frozen=True)
class RawExcerpt:
    """The first rows of some raw files of a dataset.

    Attributes:
        paths: raw file's name -> path of its excerpt.
        pairs: number of pairs in the whole dataset; an estimate where not all files were read.
        whole: raw file's name -> path of the file with all its rows, for the raw files that exist.
        is_complete: whether ``whole`` has every row of the dataset.
    """

    paths: dict[str, Path]
    pairs: int
    whole: Mapping[str, str]
    is_complete: bool


@dataclass(frozen=True)
class Form(ABC):
    """A dataset in one form of raw data.

    Attributes:
        name: name of the dataset.
        section: section of the dataset in the configuration.
        key: the key of the configuration that a dataset in this form has, such as ``synthetic``.
        steps: the rules that make the raw files; none where the user brings them.
    """

    name: str
    section: Mapping[str, Any]

    key: ClassVar[str]
    steps: ClassVar[Sequence[Step]] = ()

    @classmethod
    def gives(cls, section: Mapping[str, Any]) -> bool:
        """Return whether a dataset with this section has this form."""
        return cls.key in section

    def check(self) -> None:  # noqa: B027 - most forms have nothing to check
        """Refuse a section whose keys contradict each other, without opening any file.

        Raises:
            InputError: when they do.
        """

    @abstractmethod
    def paths(self) -> dict[str, str]:
        """Return name relative to the root -> path, for all raw files, including those that the workflow will make.

        Raises:
            InputError: when a file that the user must bring does not exist.
        """

    @abstractmethod
    def columns(self) -> dict[str, str | None]:
        """Return use -> column of the raw files, the arguments of :class:`dejavu.data.raw.Columns`."""

    def columns_read(self) -> dict[str, str | None]:
        """Return the columns that are read: :meth:`columns` without objects if these come from another source."""
        columns = self.columns()
        if self.section.get("annotate", {}).get("from", "column") != "column":
            columns["objects"] = None
        return columns

    @abstractmethod
    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        """Write the first rows of some raw files, and return them as an excerpt.

        Args:
            paths: the result of :meth:`paths`.
            folder: folder to write to.
            every_caption: whether each caption of an image makes a pair.

        Raises:
            InputError: when a file is damaged, or lacks a column.
        """

    @property
    def is_made(self) -> bool:
        """Whether the workflow makes the raw files, so that they may not exist yet."""
        return bool(self.steps)

    @property
    def images_are_in_tars(self) -> bool:
        """Whether the images are in tars beside the raw files."""
        return False

    @property
    def image_root(self) -> str:
        """The folder that paths of images are relative to."""
        return str(self.section["image_root"] or self.section["root"])

    @property
    def supply(self) -> tuple[int, int] | None:
        """The number of images, and of captions for each, if the configuration gives these numbers; else None."""
        return None

    @property
    def world(self) -> int | None:
        """The seed of the world that the data are drawn from; None for other forms."""
        return None

    def jobs(self, paths: Mapping[str, str]) -> list[str]:
        """Return the path of log and cost file, without ending, of every job that makes raw files."""
        subjects = {"": [""], **self._subjects(paths)}
        return [step.job.format(**{step.each: subject}) for step in self.steps for subject in subjects[step.each]]

    def _subjects(self, paths: Mapping[str, str]) -> dict[str, list[str]]:
        """Return wildcard -> its values, for the wildcards that distinguish jobs."""
        return {"index": [f"{index:05d}" for index in range(len(paths))]}


def part_paths(name: str, files: int) -> dict[str, str]:
    """Return name -> path of the numbered raw files that the workflow makes for a dataset."""
    parts = [f"part-{index:05d}.parquet" for index in range(files)]
    # Rows are hashes of these names, so names without the dataset's would give two datasets the same rows.
    return {f"{name}/{part}": at(RAW, dataset=name, file=part) for part in parts}


def file_bounds(pairs: int, files: int, index: int) -> tuple[int, int]:
    """Return the half-open range of pair numbers in file ``index`` of ``files``; sizes differ by at most one."""
    return pairs * index // files, pairs * (index + 1) // files


def spread(entries: Sequence, most: int) -> list:
    """Return at most ``most`` of the entries, evenly spaced, including the first."""
    number = min(most, len(entries))
    return [entries[place * len(entries) // number] for place in range(number)]


def write_excerpt(paths: Mapping[str, str], folder: Path, table: pa.Table) -> dict[str, Path]:
    """Write one table as the excerpt of a dataset's first raw file."""
    name = min(paths)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return {name: path}
