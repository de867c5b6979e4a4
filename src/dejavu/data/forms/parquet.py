"""The form ``raw`` with parquet files: images in a column, in files that a column names, or in tars beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.forms.base import FILES, ROWS, Form, RawExcerpt, spread
from dejavu.data.raw import Columns, open_raw, take_inventory
from dejavu.data.tars import TAR, tar_beside
from dejavu.errors import InputError
from dejavu.files import glob_files, require_plain_name


def are_shards(section: Mapping[str, Any]) -> bool:
    """Return whether a section gives WebDataset shards without parquet files: all its patterns end in ``.tar``."""
    patterns = section.get("raw", [])
    return bool(patterns) and all(pattern.endswith(TAR) for pattern in patterns)


def matched_files(name: str, section: Mapping[str, Any]) -> dict[str, str]:
    """Return name relative to the root -> path, for the files that the patterns of ``raw`` match.

    Args:
        name: name of the dataset, for messages.
        section: section of the dataset in the configuration.

    Raises:
        InputError: when a pattern is absolute or matches no file, or a file has braces in its name.
    """
    root = Path(section["root"])
    paths: dict[str, str] = {}
    for pattern in section["raw"]:
        if os.path.isabs(pattern):
            raise InputError(
                f"datasets.{name}.raw: {pattern!r} is absolute: set root to its folder, "
                "and write the pattern relative to it."
            )
        files = glob_files(pattern, root)
        if not files:
            raise InputError(
                f"datasets.{name}.raw: no file matches {pattern!r} in {root.resolve()}: correct the pattern, or root."
            )
        paths |= {Path(file).as_posix(): str(root / file) for file in files}
    for path in paths.values():
        require_plain_name(f"datasets.{name}.raw", path)
    return paths


class Parquet(Form):
    """A dataset of parquet files."""

    key = "raw"

    @classmethod
    def gives(cls, section: Mapping[str, Any]) -> bool:
        return cls.key in section and not are_shards(section)

    @property
    def images_are_in_tars(self) -> bool:
        return bool(self.section.get("images") == "tar")

    def paths(self) -> dict[str, str]:
        paths = matched_files(self.name, self.section)
        tars = [path for path in paths if path.endswith(TAR)]
        if tars:
            raise InputError(
                f"datasets.{self.name}.raw matches the tar {tars[0]!r} beside other files: if the data are tars only, "
                "let all patterns end in .tar; otherwise name the parquet files beside the tars, and set images: tar."
            )
        alone = [path for path in paths.values() if self.images_are_in_tars and not tar_beside(path).is_file()]
        if alone:
            raise InputError(
                f"datasets.{self.name}.images is tar, but {tar_beside(alone[0])} is not beside {alone[0]}"
                + (f", nor are {len(alone) - 1:,} others" if len(alone) > 1 else "")
                + ": bring the tar, or name only files that have one in raw."
            )
        return paths

    def columns(self) -> dict[str, str | None]:
        return dict(self.section["columns"])

    def excerpt(self, paths: Mapping[str, str], folder: Path, every_caption: bool) -> RawExcerpt:
        columns = Columns.of(self.columns_read())
        pairs = sum(take_inventory(paths, columns, every_caption).values())
        names = spread(sorted(paths), FILES)
        excerpts = {name: self._first_rows(Path(paths[name]), columns, folder / "raw" / name) for name in names}
        return RawExcerpt(excerpts, pairs, paths, is_complete=True)

    def _first_rows(self, path: Path, columns: Columns, excerpt: Path) -> Path:
        excerpt.parent.mkdir(parents=True, exist_ok=True)
        with open_raw(path, columns) as file:
            # Reading rows finds a damaged page at the beginning of the file, which opening the file does not.
            batch = next(file.iter_batches(batch_size=ROWS), None)
            table = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
            pq.write_table(table.replace_schema_metadata(file.schema_arrow.metadata), excerpt)
        if self.images_are_in_tars:
            tar_beside(excerpt).symlink_to(tar_beside(path).resolve())
        return excerpt


FORM = Parquet
