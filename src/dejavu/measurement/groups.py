"""The roles whose captions are queries, and their duplicate groups, which are drawn and permuted as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        """Return the groups of a manifest; a group that ``sizes`` does not name has one sample."""
        table = read_table(manifest, ["row", "group_id"]).sort_by("row")
        names, number = np.unique(np.asarray(table["group_id"].to_pylist()), return_inverse=True)
        known = np.array([sizes.get(name, 1) for name in names.tolist()], dtype=np.int64)
        return cls(manifest, table["row"].to_numpy(), number, known)


def group_sizes(duplicates: Sequence[Path]) -> dict[str, int]:
    """Return group -> number of its samples, of the groups of more than one in the tables of duplicates."""
    tables = [read_table(path, ["group_id", "size"]) for path in duplicates]
    return {g: n for table in tables for g, n in zip(*(table[c].to_pylist() for c in table.column_names), strict=True)}


@dataclass(frozen=True)
class Drawing:
    """How samples come to have a role.

    Attributes:
        dataset: where they come from.
        listed: whether the user's list says so, or chance.
    """

    dataset: str
    listed: bool


def is_by_chance(drawings: Iterable[Drawing]) -> bool:
    """Return whether chance alone drew the roles from one dataset, which makes the holdout a control of samples."""
    drawings = list(drawings)
    return len({drawing.dataset for drawing in drawings}) == 1 and not any(drawing.listed for drawing in drawings)


@dataclass(frozen=True)
class QueryRoles:
    """The files of the roles whose captions are queries, and how samples come to have these roles.

    Attributes:
        scores: role (``a``, ``b``, ``holdout``) -> its per-sample scores.
        manifests: role -> its manifest, for the duplicate groups.
        drawings: role -> how its samples were chosen; empty where chance has chosen all from one dataset.
        duplicates: tables of the duplicate groups of the roles' datasets, for the sizes of groups.
    """

    scores: Mapping[str, Path]
    manifests: Mapping[str, Path]
    drawings: Mapping[str, Drawing] = field(default_factory=dict)
    duplicates: Sequence[Path] = ()

    @property
    def are_listed(self) -> bool:
        """Whether a list says which samples have one of the roles."""
        return any(drawing.listed for drawing in self.drawings.values())

    def groups(self) -> dict[str, Groups]:
        """Return role -> its duplicate groups, with their sizes in the dataset."""
        sizes = group_sizes(self.duplicates)
        return {role: Groups.of(manifest, sizes) for role, manifest in self.manifests.items()}
