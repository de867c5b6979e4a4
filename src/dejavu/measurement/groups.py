"""The duplicate groups of a role: what is drawn, and permuted, as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dejavu.files import read_table


@dataclass(frozen=True)
class Groups:
    """The duplicate groups of a role.

    Attributes:
        manifest: of the role.
        rows: int64 (n,), ascending, its samples.
        number: int64 (n,), the group of each, from 0.
        sizes: int64 (groups,), how many samples of the dataset are in each, whatever their role.
    """

    manifest: Path
    rows: np.ndarray
    number: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, manifest: Path, sizes: Mapping[str, int]) -> Groups:
        """Of a manifest; a group that ``sizes`` does not name has one sample."""
        table = read_table(manifest, ["row", "group_id"]).sort_by("row")
        names, number = np.unique(np.asarray(table["group_id"].to_pylist()), return_inverse=True)
        known = np.array([sizes.get(name, 1) for name in names.tolist()], dtype=np.int64)
        return cls(manifest, table["row"].to_numpy(), number, known)


def group_sizes(duplicates: Sequence[Path]) -> dict[str, int]:
    """Group -> number of its samples, of the groups of more than one in the tables of duplicates."""
    tables = [read_table(path, ["group_id", "size"]) for path in duplicates]
    return {g: n for table in tables for g, n in zip(*(table[c].to_pylist() for c in table.column_names), strict=True)}
