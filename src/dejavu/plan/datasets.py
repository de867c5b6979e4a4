"""The datasets of a configuration: their raw files, and which of them one job works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dejavu.data.forms.base import Form
from dejavu.data.forms.registry import form_of
from dejavu.data.raw import batch_name, file_id, file_ids
from dejavu.data.tars import tar_beside
from dejavu.paths import BATCH, at


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
        """Return the dataset of a section of the configuration.

        The paths of raw files that the workflow makes itself are those that they will have.

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
        """The column of every use; raw files that the workflow makes have columns of their own."""
        return self.form.columns_read()

    @property
    def is_made(self) -> bool:
        """Whether the workflow makes its raw files, so that they need not be there yet."""
        return self.form.is_made

    @property
    def has_objects(self) -> bool:
        """Whether its images have objects."""
        return bool(self.section["annotate"]["from"] != "none")

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
        return [at(BATCH, dataset=self.name, table=kind, batch=batch) for batch in self.batches]


def make_batches(names: Sequence[str], files_per_job: int) -> dict[str, list[str]]:
    """Cut a sorted list of files into batches, so that a new file changes few batches, and not all that follow.

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
