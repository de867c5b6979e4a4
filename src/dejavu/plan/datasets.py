"""The datasets of a configuration: their raw files, and which of them one job works on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dejavu.config.datasets import are_shards
from dejavu.data.coco import COLUMNS as COCO_COLUMNS
from dejavu.data.raw import batch_name, file_id, file_ids
from dejavu.data.shards import COLUMNS as SHARD_COLUMNS
from dejavu.data.shards import SHARD, table_of
from dejavu.data.sources import tar_beside
from dejavu.errors import InputError
from dejavu.files import glob_files, require_plain_name
from dejavu.paths import BATCH, RAW, at


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
        paths = _raw_paths(name, section) if "raw" in section else _made_paths(name, section)
        file_ids(sorted(paths), name)
        return cls(name, section, paths, make_batches(sorted(paths), section["files_per_job"]))

    @property
    def columns(self) -> dict[str, str | None]:
        """The column of every use; raw files that the workflow makes have columns of their own."""
        columns: dict[str, str | None]
        if "synthetic" in self.section:
            columns = {"image": "image", "caption": "caption", "key": "key", "objects": "objects"}
        elif self.shards:
            given = self.section["columns"]
            columns = {use: name if given[use] or use == "key" else None for use, name in SHARD_COLUMNS.items()}
        else:
            columns = dict(COCO_COLUMNS if "coco" in self.section else self.section["columns"])
        if self.section.get("annotate", {}).get("from", "column") != "column":
            columns["objects"] = None
        return columns

    @property
    def shards(self) -> dict[str, str]:
        """The tars that raw files are made of: name of what is made, without ending -> path; none for other forms."""
        tars = [name for name in self.paths if name.endswith(SHARD)]
        return {Path(self.paths[name]).stem: str(Path(self.section["root"]) / name) for name in tars}

    @property
    def is_made(self) -> bool:
        """Whether the workflow makes its raw files, so that they need not be there yet."""
        return "raw" not in self.section or bool(self.shards)

    @property
    def every_caption(self) -> bool:
        """Whether each caption of an image makes a pair of its own."""
        return self.section.get("captions") == "all"

    @property
    def ingestion(self) -> dict[str, str | int | None]:
        """How its rows become samples: the attributes of :class:`dejavu.data.ingest.Ingestion`."""
        root = self.section["root"]
        if "coco" in self.section:
            image_root = str(Path(root) / self.section["coco"]["images"])
        else:
            image_root = self.section["image_root"] or root
        keys = ("captions", "store", "short_side", "min_side", "max_caption", "key_unique_in", "image_links")
        return {key: self.section[key] for key in keys} | {"image_root": image_root}

    @property
    def annotations(self) -> dict[str, str]:
        """Paths of COCO's JSON files: ``captions`` and, where there are, ``instances``."""
        files = {key: self.section["coco"][key] for key in ("captions", "instances")}
        return {key: str(Path(self.section["root"]) / file) for key, file in files.items() if file is not None}

    def tars(self, batch: str) -> list[str]:
        """Paths of the tars beside the raw files of a batch; none where the images are elsewhere."""
        return [str(tar_beside(raw)) for raw in self.raw_files(batch)] if self.section["images"] == "tar" else []

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


def _made_paths(name: str, section: Mapping) -> dict[str, str]:
    """The raw files that the workflow makes itself: drawn, or from COCO's annotations."""
    if "coco" in section:
        _check_coco(name, section)
    number = section["synthetic" if "synthetic" in section else "coco"]["files"]
    files = [f"part-{index:05d}.parquet" for index in range(number)]
    # with the dataset's name, so that the rows of two drawn datasets differ
    return {f"{name}/{file}": at(RAW, dataset=name, file=file) for file in files}


def _check_coco(name: str, section: Mapping) -> None:
    for key, is_there in (("captions", Path.is_file), ("instances", Path.is_file), ("images", Path.is_dir)):
        given = section["coco"][key]
        path = Path(section["root"]) / (given or "")
        if given is not None and not is_there(path):
            kind = "folder" if key == "images" else "file"
            raise InputError(
                f"datasets.{name}.coco.{key}: there is no {kind} {path}: correct the path, which is relative to root."
            )


def _raw_paths(name: str, section: Mapping) -> dict[str, str]:
    root = Path(section["root"])
    paths: dict[str, str] = {}
    for pattern in section["raw"]:
        if os.path.isabs(pattern):
            raise InputError(
                f"datasets.{name}.raw: {pattern!r} is absolute: set root to its folder, "
                "and write the pattern relative to it."
            )
        found = glob_files(pattern, root)
        if not found:
            raise InputError(
                f"datasets.{name}.raw: no file matches {pattern!r} in {root.resolve()}: correct the pattern, or root."
            )
        paths |= {Path(path).as_posix(): str(root / path) for path in found}
    for path in paths.values():
        require_plain_name(f"datasets.{name}.raw", path)
    tars = [path for path in paths if path.endswith(SHARD)]
    if tars and (len(tars) < len(paths) or not are_shards(section)):
        raise InputError(
            f"datasets.{name}.raw matches the tar {tars[0]!r}: let all patterns end in .tar, where tars are all there "
            "is, or name the parquet files beside them, with images: tar."
        )
    if tars:
        return {path: table_of(name, file_id(path)) for path in paths}
    alone = [path for path in paths.values() if section.get("images") == "tar" and not tar_beside(path).is_file()]
    if alone:
        raise InputError(
            f"datasets.{name}.images is tar, but {tar_beside(alone[0])} is not beside {alone[0]}"
            + (f", nor are {len(alone) - 1:,} others" if len(alone) > 1 else "")
            + ": bring the tar, or name only files that have one in raw."
        )
    return paths
