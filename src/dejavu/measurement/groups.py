"""The roles whose captions are queries, and their duplicate groups, which are drawn and permuted as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.errors import InputError
from dejavu.files import read_table


@dataclass(frozen=True)
class Groups:
    """The duplicate groups of a role.

    Attributes:
        manifest: of the role.
        rows: int64 (n,), ascending, its samples.
        number: int32 (n,), the group of each, from 0, in the order of their ids.
        count: number of groups.
        sizes: int64 (groups,), how many samples of the dataset are in each, whatever their role; None where chance has
            drawn the roles, so that sizes play no part.
    """

    manifest: Path
    rows: np.ndarray
    number: np.ndarray
    count: int
    sizes: np.ndarray | None = None

    @classmethod
    def of(cls, manifest: Path, sizes: pa.Table | None) -> Groups:
        """Return the groups of a manifest; a group that ``sizes``, as of :func:`group_sizes`, lacks has one sample."""
        # one after the other, since texts take the most memory while they are numbered
        names = read_table(manifest, ["group_id"])["group_id"].dictionary_encode().combine_chunks()
        rows = read_table(manifest, ["row"])["row"].to_numpy()
        by_name = pc.sort_indices(names.dictionary).to_numpy()
        place = np.empty(len(by_name), dtype=np.int32)
        place[by_name] = np.arange(len(by_name), dtype=np.int32)
        order = np.argsort(rows)
        known = None if sizes is None else _sizes_of(names.dictionary.take(pa.array(by_name)), sizes)
        return cls(manifest, rows[order], place[names.indices.to_numpy()[order]], len(place), known)

    def number_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the group of each row, int32 (rows,).

        Raises:
            InputError: when a row is not in the manifest.
        """
        where = np.minimum(np.searchsorted(self.rows, rows), max(0, len(self.rows) - 1))
        if not np.array_equal(self.rows[where], rows):
            raise InputError(
                f"scores name queries that are not in {self.manifest}: one of them comes from another run. "
                "Delete the scores and run again."
            )
        return np.asarray(self.number[where])


def _sizes_of(names: pa.Array, sizes: pa.Table) -> np.ndarray:
    place = pc.index_in(names, value_set=sizes["group_id"].combine_chunks())
    return pc.coalesce(sizes["size"].combine_chunks().take(place), pa.scalar(1, pa.int64())).to_numpy()


def group_sizes(duplicates: Sequence[Path]) -> pa.Table:
    """Return ``group_id`` and ``size`` of the groups of more than one in the tables of duplicates.

    Where several tables name a group, the last one counts; so it comes first.
    """
    columns = pa.schema([("group_id", pa.string()), ("size", pa.int64())])
    tables = [read_table(path, columns.names).cast(columns) for path in reversed(duplicates)]
    return pa.concat_tables([columns.empty_table(), *tables])


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

    def groups(self) -> Iterator[tuple[str, Groups]]:
        """Yield each role and its duplicate groups, with their sizes in the dataset where a role is a list."""
        sizes = group_sizes(self.duplicates) if self.are_listed else None
        for role, manifest in self.manifests.items():
            yield role, Groups.of(manifest, sizes)
