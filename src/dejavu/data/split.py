"""Stable splits: where a sample goes depends on the seed and on its duplicate group, on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dejavu.data.samples import SampleStore, scan_file
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.progress import say
from dejavu.tables import MANIFEST


def position(seed: int, group_id: str) -> float:
    """Where a duplicate group lies in [0, 1): a 53-bit hash of seed and group."""
    digest = hashlib.blake2b(f"{seed}\0{group_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


@dataclass(frozen=True)
class Role:
    """How the samples of a role are chosen: by the interval of their position, or by a list.

    Attributes:
        split, name: for messages.
        interval: half-open range of positions, or None where the role is listed.
        limit: number of samples, those with the smallest positions, or None for all.
        lists: role -> file of uids, for every role of the split that is listed; what is listed, and every duplicate of
            it, belongs to no other role.
        stratify: whether the limit is taken from every raw file in proportion to its share of the role.
    """

    split: str
    name: str
    interval: tuple[float, float] | None
    limit: int | None
    lists: Mapping[str, Path]
    stratify: bool = False


def write_manifest(groups: Path, samples: Sequence[str | Path], manifest: Path, *, role: Role, seed: int) -> int:
    """Writes the manifest of one role: its samples by ascending position, then row; returns their number.

    Because a limit takes the smallest positions, a smaller manifest is contained in a larger one.

    Args:
        groups: the groups table.
        samples: batch folders of the samples table, for the uid.
        manifest: parquet file to write.
        role: which samples.
        seed: seed of the split.

    Raises:
        InputError: when the role has no sample, or fewer than the limit, or lists overlap.
    """
    listed = {name: _listed_rows(samples, path) for name, path in role.lists.items()}
    owners = _owners(groups, listed, role.split) if listed else {}
    read, rows, positions, names = _chosen(groups, seed, role, listed, owners)
    if len(rows) == 0 or (role.limit is not None and len(rows) < role.limit):
        raise InputError(_too_few(role, len(rows)))
    order = _by_source(rows, positions) if role.stratify else np.lexsort((rows, positions))
    order = order[: role.limit]
    rows, positions = rows[order], positions[order]
    uid_of: dict[int, str] = {}
    for table in SampleStore(samples).read(rows, ["uid"]):
        uid_of.update(zip(table["row"].to_pylist(), table["uid"].to_pylist(), strict=True))
    columns = {
        "row": rows,
        "uid": [uid_of[row] for row in rows.tolist()],
        "group_id": [names[i] for i in order],
        "position": positions,
    }
    counts = {"rows_in": str(read), "in_interval": str(len(names))}
    return write_table(manifest, pa.table(columns, schema=MANIFEST), MANIFEST.with_metadata(counts))


def _by_source(rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """An order whose beginnings hold every raw file in proportion: by the place within the file, as a share of it.

    Within a file smaller positions come first, so smaller limits are still contained in larger ones.
    """
    source = rows >> 32
    within = np.lexsort((rows, positions, source))
    _, starts, counts = np.unique(source[within], return_index=True, return_counts=True)
    place = np.empty(len(rows))
    place[within] = (np.arange(len(rows)) - np.repeat(starts, counts) + 0.5) / np.repeat(counts, counts)
    return np.lexsort((rows, positions, place))


def _too_few(role: Role, number: int) -> str:
    asked = "but it needs at least one" if role.limit is None else f"but its limit asks for {role.limit:,}"
    key = f"splits.{role.split}.roles.{role.name}"
    if role.interval is None:
        return f"{key}.uids: {number:,} samples of {role.lists[role.name]} are in the dataset, {asked}: mend the list."
    low, high = role.interval
    return (
        f"splits.{role.split}: the interval of role {role.name}, [{low}, {high}), holds {number:,} samples, {asked}: "
        f"widen {key}.interval, lower its limit, or bring more data."
    )


def read_uids(path: Path) -> pa.Array:
    """The uids that a file lists: the column ``uid`` of a parquet file, or the lines of a UTF-8 text.

    Raises:
        InputError: when the file cannot be read or lists nothing.
    """
    if path.suffix == ".parquet":
        table = read_table(path)
        if "uid" not in table.column_names:
            raise InputError(f"{path} has no column uid: name it so, or give a text file with one uid per line.")
        uids = [str(uid) for uid in table["uid"].to_pylist() if uid is not None]
    else:
        try:
            uids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as UTF-8 text ({error}): mend it.") from None
    if not uids:
        raise InputError(f"{path} lists no uid: add one per line.")
    return pa.array(sorted(set(uids)), pa.string())


def _listed_rows(samples: Sequence[str | Path], path: Path) -> np.ndarray:
    """Rows of the samples whose uid is listed, ascending. Uids that no sample has are said, not refused."""
    wanted = read_uids(path)
    rows: list[np.ndarray] = []
    found: set[str] = set()
    for table in SampleStore(samples).scan(["row", "uid"]):
        here = table.filter(pc.is_in(table["uid"], value_set=wanted))
        rows.append(here["row"].to_numpy())
        found.update(here["uid"].to_pylist())
    missing = len(wanted) - len(found)
    if missing:
        first = next(uid for uid in wanted.to_pylist() if uid not in found)
        say(f"{path}: {missing:,} of {len(wanted):,} uids are not in the dataset, for instance {first!r}")
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *rows]))


def _owners(groups: Path, listed: Mapping[str, np.ndarray], split: str) -> dict[str, str]:
    """Duplicate group -> the role whose list holds a member of it."""
    owners: dict[str, str] = {}
    for table in scan_file(groups, ["row", "group_id"]):
        for name, rows in listed.items():
            here = table.filter(pc.is_in(table["row"], value_set=pa.array(rows)))
            for row, group in zip(here["row"].to_pylist(), here["group_id"].to_pylist(), strict=True):
                if owners.setdefault(group, name) != name:
                    raise InputError(
                        f"splits.{split}.roles: the lists of {owners[group]} and {name} share the sample with row "
                        f"{row}, or duplicates of it: a sample may have one role only, so take it from one of them."
                    )
    return owners


def manifest_counts(manifest: Path) -> dict[str, int]:
    """Rows that the making of a manifest read (``rows_in``), found in its interval, and wrote (``rows_out``)."""
    with pq.ParquetFile(manifest) as file:
        noted = file.schema_arrow.metadata
        return {name: int(noted[name.encode()]) for name in ("rows_in", "in_interval")} | {
            "rows_out": file.metadata.num_rows
        }


def _chosen(
    groups: Path, seed: int, role: Role, listed: Mapping[str, np.ndarray], owners: Mapping[str, str]
) -> tuple[int, np.ndarray, np.ndarray, list[str]]:
    """Number of rows read; rows, positions and group of the role's samples, before its limit."""
    read = 0
    rows: list[int] = []
    positions: list[float] = []
    names: list[str] = []
    low, high = role.interval or (0.0, 1.0)
    for table in scan_file(groups, ["row", "group_id"]):
        read += table.num_rows
        if role.interval is None:
            table = table.filter(pc.is_in(table["row"], value_set=pa.array(listed[role.name])))
        for row, group in zip(table["row"].to_pylist(), table["group_id"].to_pylist(), strict=True):
            place = position(seed, group)
            if low <= place < high and (role.interval is None or group not in owners):
                rows.append(row)
                positions.append(place)
                names.append(group)
    return read, np.array(rows, dtype=np.int64), np.array(positions), names
