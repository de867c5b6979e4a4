"""Stable splits: where a sample goes depends on the seed and on its duplicate group, on nothing else."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.members import MemberList, find_members
from dejavu.data.samples import SampleStore, count_rows, gathered, scan_file
from dejavu.data.spill import folder_beside, in_order, parts_for, spill_by_range
from dejavu.errors import InputError, words
from dejavu.files import NUMBERS_PER_GROUP, write_table
from dejavu.tables.data import MANIFEST


def position(seed: int, group_id: str) -> float:
    """Return the position of a duplicate group in [0, 1): a 53-bit hash of seed and group."""
    digest = hashlib.blake2b(f"{seed}\0{group_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


@dataclass(frozen=True)
class Role:
    """How the samples of a role are chosen: by the interval of their position, or by a list.

    Attributes:
        split, name: for messages.
        interval: half-open range of positions, or None where the role is listed.
        limit: number of samples to take, those with the smallest positions, or None for all.
        lists: role -> list, or its path, for every role of the split that is listed; what is listed, and every
            duplicate of it, belongs to no other role.
        stratify: whether the limit is taken from every raw file in proportion to its share of the role.
        deduplicate: whether only one sample of each duplicate group is taken, that with the smallest row.
    """

    split: str
    name: str
    interval: tuple[float, float] | None
    limit: int | None
    lists: Mapping[str, MemberList | Path]
    stratify: bool = False
    deduplicate: bool = False

    def list_of(self, role: str) -> MemberList:
        """Return the list of a listed role."""
        given = self.lists[role]
        return given if isinstance(given, MemberList) else MemberList(f"splits.{self.split}.roles.{role}", given)


def write_manifest(groups: Path, samples: Sequence[str | Path], manifest: Path, *, role: Role, seed: int) -> int:
    """Write the manifest of one role: its samples by ascending position, then row; return their number.

    Because a limit takes the smallest positions, a larger manifest contains a smaller one. Rows are sorted on disk,
    beside the manifest, so memory grows with the lists alone and not with the number of rows.

    Args:
        groups: the groups table.
        samples: batch folders of the samples table, for the uid.
        manifest: parquet file to write.
        role: which samples.
        seed: seed of the split.

    Raises:
        InputError: when the role has no sample or fewer than its limit, or lists overlap or do not fit the samples.
    """
    members = {name: find_members(role.list_of(name), samples) for name in role.lists}
    listed = {name: found.rows for name, found in members.items()}
    owners = _owners(groups, listed, role.split) if listed else {}
    read = count_rows(groups)
    low, high = interval = role.interval or (0.0, 1.0)
    parts = parts_for(len(listed[role.name]) if role.interval is None else math.ceil(read * (high - low)))
    with folder_beside(manifest) as folder:
        rows = _with_uids(samples, _chosen(groups, seed, role, listed, owners))
        chosen = spill_by_range(folder / "chosen", MANIFEST, rows, "position", interval, parts)
        in_interval = chosen.rows
        if role.deduplicate:
            distinct = _one_per_group(in_order(chosen, ["position", "row"]))
            chosen = spill_by_range(folder / "distinct", MANIFEST, distinct, "position", interval, parts)
        if chosen.rows == 0 or (role.limit is not None and chosen.rows < role.limit):
            raise InputError(_too_few(role, chosen.rows))
        ordered = in_order(chosen, ["position", "row"])
        if role.stratify:
            placed = _by_source(ordered, _sources(chosen))
            spread = spill_by_range(folder / "spread", _PLACED, placed, "place", (0.0, 1.0), parts)
            ordered = in_order(spread, ["place", "position", "row"])
        counts = {"rows_in": read, "in_interval": in_interval, "distinct": chosen.rows}
        if role.name in members:
            counts |= {"listed": members[role.name].listed, "missing": members[role.name].missing}
        noted = MANIFEST.with_metadata({name: str(count) for name, count in counts.items()})
        return write_table(manifest, _first(ordered, role.limit), noted)


_PLACED = MANIFEST.append(pa.field("place", pa.float64()))


def _with_uids(samples: Sequence[str | Path], chosen: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows with their uid, many at once: neighbours in the groups table are neighbours in the samples."""
    store = SampleStore(samples)
    for part in gathered(chosen, NUMBERS_PER_GROUP):
        part = part.sort_by("row")
        found = pa.concat_tables(store.read(part["row"].to_numpy(), ["uid"])).sort_by("row")
        yield part.append_column("uid", found["uid"])


def _one_per_group(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the first sample of each group; the samples of a group follow one another, since they share a position."""
    last = None
    for part in parts:
        if part.num_rows:
            groups = part["group_id"].to_numpy()
            yield part.filter(pa.array(np.concatenate([[groups[0] != last], groups[1:] != groups[:-1]])))
            last = groups[-1]


def _first(parts: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    for part in parts:
        yield part.slice(0, limit)
        if limit is not None:
            limit -= part.num_rows
            if limit <= 0:
                return


def _sources(chosen: Iterable[pa.Table]) -> dict[int, int]:
    """Return raw file -> number of its rows, ascending."""
    counts: Counter[int] = Counter()
    for part in chosen:
        sources, numbers = np.unique(part["row"].to_numpy() >> 32, return_counts=True)
        counts.update(dict(zip(sources.tolist(), numbers.tolist(), strict=True)))
    return dict(sorted(counts.items()))


def _by_source(ordered: Iterator[pa.Table], counts: Mapping[int, int]) -> Iterator[pa.Table]:
    """Yield the rows with ``place``, a row's rank in its raw file as a share of that file.

    In the order of ``place`` every beginning holds each raw file in proportion. Within a file smaller positions come
    first, so larger limits still contain smaller ones.

    Args:
        ordered: the role's rows by ascending position, then row.
        counts: raw file -> number of them, ascending.
    """
    sources, totals = np.array(list(counts)), np.array(list(counts.values()))
    seen = np.zeros(len(counts), dtype=np.int64)
    for part in ordered:
        source = np.searchsorted(sources, part["row"].to_numpy() >> 32)
        order = np.argsort(source, kind="stable")
        here = np.bincount(source, minlength=len(counts))
        within = np.arange(len(source)) - np.repeat(np.cumsum(here) - here, here)
        place = np.empty(len(source))
        place[order] = (np.repeat(seen, here) + within + 0.5) / np.repeat(totals, here)
        yield part.append_column("place", pa.array(place))
        seen += here


def _too_few(role: Role, number: int) -> str:
    asked = words("but it needs at least one" if role.limit is None else f"but its limit asks for {role.limit:,}")
    key = f"splits.{role.split}.roles.{role.name}"
    if role.interval is None:
        return words(
            f"{key}.uids: {number:,} samples of {role.list_of(role.name).path} are in the dataset, {asked}: mend the "
            "list."
        )
    low, high = role.interval
    return words(
        f"splits.{role.split}: the interval of role {role.name}, [{low}, {high}), holds {number:,} samples, {asked}: "
        f"widen {key}.interval, lower its limit, or bring more data."
    )


def _is_among(rows: pa.ChunkedArray, sorted_rows: np.ndarray) -> pa.Array:
    """Return which rows are among others; a search in a sorted array, since a set would be built for every table."""
    values = rows.to_numpy()
    places = np.searchsorted(sorted_rows, values)
    places[places == len(sorted_rows)] = 0
    return pa.array(sorted_rows[places] == values if len(sorted_rows) else np.zeros(len(values), dtype=bool))


def _owners(groups: Path, listed: Mapping[str, np.ndarray], split: str) -> dict[str, str]:
    """Return duplicate group -> the role whose list holds a member of it."""
    owners: dict[str, str] = {}
    for table in scan_file(groups, ["row", "group_id"]):
        for name, rows in listed.items():
            here = table.filter(_is_among(table["row"], rows))
            for row, group in zip(here["row"].to_pylist(), here["group_id"].to_pylist(), strict=True):
                if owners.setdefault(group, name) != name:
                    raise InputError(
                        f"splits.{split}.roles: the lists of {owners[group]} and {name} share the sample with row "
                        f"{row}, or duplicates of it: a sample may have one role only, so take it from one of them."
                    )
    return owners


def manifest_counts(manifest: Path) -> dict[str, int]:
    """Return how many rows the writer of a manifest read, found in the role's interval, and wrote.

    Returns:
        ``rows_in``; ``in_interval``; ``distinct``, of those one of each group where the split deduplicates;
        ``rows_out``; and of a listed role ``listed``, the uids in the list, and ``missing``, those that the dataset
        lacks.
    """
    with pq.ParquetFile(manifest) as file:
        noted = {name.decode(): value for name, value in file.schema_arrow.metadata.items()}
        return {name: int(noted[name]) for name in _COUNTS if name in noted} | {"rows_out": file.metadata.num_rows}


_COUNTS = ("rows_in", "in_interval", "distinct", "listed", "missing")


def _chosen(
    groups: Path, seed: int, role: Role, listed: Mapping[str, np.ndarray], owners: Mapping[str, str]
) -> Iterator[pa.Table]:
    """Yield row, group and position of the role's samples, before its limit."""
    low, high = role.interval or (0.0, 1.0)
    for table in scan_file(groups, ["row", "group_id"]):
        if role.interval is None:
            table = table.filter(_is_among(table["row"], listed[role.name]))
        names = table["group_id"].to_pylist()
        positions = np.fromiter((position(seed, name) for name in names), np.float64, len(names))
        chosen = (low <= positions) & (positions < high)
        if role.interval is not None and owners:
            chosen &= np.fromiter((name not in owners for name in names), np.bool_, len(names))
        yield table.append_column("position", pa.array(positions)).filter(pa.array(chosen))
