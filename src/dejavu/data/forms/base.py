"""What every form of raw data says about a dataset: its files, their columns, and the jobs that make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.paths import RAW, at

# an excerpt reads at most so many files of a dataset, and so many rows of each
FILES = 8
ROWS = 32


@dataclass(frozen=True)
class Making:
    """What a job that makes raw files gets.

    Attributes:
        inputs, outputs: paths by name, as the step declares them.
        values: the parameters of the step.
        wildcards: of the job.
        title: for the progress lines.
    """

    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    values: Mapping[str, Any]
    wildcards: Mapping[str, str]
    title: str


@dataclass(frozen=True)
class Step:
    """A rule of the workflow that makes raw files, or what they are made of.

    Attributes:
        name: of the rule, and of its folders of logs and benchmarks.
        run: what a job of the rule does.
        outputs: name -> path below ``results/<dataset>``.
        inputs: the form and the job's wildcards -> paths by name.
        values: name of a parameter -> the form -> its value. A step runs again when one of them changes.
        each: the wildcard that tells jobs of one dataset apart; empty where there is one job.
        memory_per_gb, minutes_per_gb: MB and minutes that a job asks for, for each GB of its input.
        minutes: that a job asks for besides.
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
        """The name of a job's log and benchmark, with the wildcard that it takes."""
        return f"{self.name}/{{{self.each}}}" if self.each else self.name


@dataclass(frozen=True)
class RawExcerpt:
    """The first rows of some raw files of a dataset.

    Attributes:
        paths: raw file's name -> path of its excerpt.
        pairs: number of pairs in the whole dataset; an estimate where not every file was read.
        whole: raw file's name -> path of the file with all its rows, of those that are there.
        is_complete: whether these hold every row of the dataset.
    """

    paths: dict[str, Path]
    pairs: int
    whole: Mapping[str, str]
    is_complete: bool


@dataclass(frozen=True)
class Form(ABC):
    """A dataset that is given in one form.

    Attributes:
        name: of the dataset.
        section: its section of the configuration.
        key: the key of a section that gives a dataset in this form.
        steps: the rules that make its raw files; none where they are there.
    """

    name: str
    section: Mapping[str, Any]

    key: ClassVar[str]
    steps: ClassVar[Sequence[Step]] = ()

    @classmethod
    def gives(cls, section: Mapping[str, Any]) -> bool:
        """Whether a section of the configuration gives its dataset in this form."""
        return cls.key in section

    def check(self) -> None:  # noqa: B027 - most forms have nothing to check
        """Check the section against itself, without looking at any file.

        Raises:
            InputError: when its keys contradict each other.
        """

    @abstractmethod
    def paths(self) -> dict[str, str]:
        """Return raw file's name relative to the root -> path; also of those that the workflow has yet to make.

        Raises:
            InputError: when a file that is needed is not there.
        """

    @abstractmethod
    def columns(self) -> dict[str, str | None]:
        """Return use -> column of the raw files, as :class:`dejavu.data.raw.Columns` takes it."""

    def columns_read(self) -> dict[str, str | None]:
        """Return those of :meth:`columns` that are read: not the objects where they come from elsewhere."""
        columns = self.columns()
        if self.section.get("annotate", {}).get("from", "column") != "column":
            columns["objects"] = None
        return columns

    @abstractmethod
    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        """Write the first rows of some raw files.

        Args:
            paths: those of :meth:`paths`.
            folder: to write to.
            every_caption: whether each caption of an image makes a pair of its own.

        Raises:
            InputError: when a file is damaged, or lacks a column.
        """

    @property
    def is_made(self) -> bool:
        """Whether the workflow makes the raw files, so that they need not be there yet."""
        return bool(self.steps)

    @property
    def images_are_in_tars(self) -> bool:
        """Whether the images of a raw file are in the tar beside it."""
        return False

    @property
    def image_root(self) -> str:
        """The folder that paths of images are relative to."""
        return str(self.section["image_root"] or self.section["root"])

    @property
    def supply(self) -> tuple[int, int] | None:
        """The number of images, and of captions of each, where the configuration alone says them."""
        return None

    @property
    def world(self) -> int | None:
        """The seed of the world that the data are drawn from; None for data that are not drawn."""
        return None

    def jobs(self, paths: Mapping[str, str]) -> list[str]:
        """Return ``step/subject`` for every job that makes the raw files: the names of their logs and benchmarks."""
        subjects = {"": [""], **self._subjects(paths)}
        return [step.job.format(**{step.each: subject}) for step in self.steps for subject in subjects[step.each]]

    def _subjects(self, paths: Mapping[str, str]) -> dict[str, list[str]]:
        """Return wildcard -> its values, for the wildcards that tell jobs apart."""
        return {"index": [f"{index:05d}" for index in range(len(paths))]}


def part_paths(name: str, files: int) -> dict[str, str]:
    """Return name -> path of the numbered raw files that the workflow makes for a dataset."""
    parts = [f"part-{index:05d}.parquet" for index in range(files)]
    # with the dataset's name, so that the rows of two datasets differ
    return {f"{name}/{part}": at(RAW, dataset=name, file=part) for part in parts}


def file_bounds(pairs: int, files: int, index: int) -> tuple[int, int]:
    """Return the half-open range of pair numbers in file ``index`` of ``files``; sizes differ by at most one."""
    return pairs * index // files, pairs * (index + 1) // files


def spread(entries: Sequence, most: int) -> list:
    """Return at most so many entries, evenly spaced, the first among them."""
    number = min(most, len(entries))
    return [entries[place * len(entries) // number] for place in range(number)]


def write_excerpt(paths: Mapping[str, str], folder: Path, table: pa.Table) -> dict[str, Path]:
    """Write one table as the excerpt of a dataset's first raw file."""
    name = min(paths)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return {name: path}
