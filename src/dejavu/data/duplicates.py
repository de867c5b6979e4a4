"""Duplicate groups: samples with the same key, image or caption, or with images that look the same.

Every sample has fingerprints, one for each criterion (:mod:`dejavu.data.fingerprints`). Two samples that agree in a
fingerprint are connected. A duplicate group is a connected component.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dejavu.data.near import near_pairs
from dejavu.data.samples import SampleStore, gathered
from dejavu.data.spill import ROWS_PER_PART, folder_beside, parts_for, spill_by_value
from dejavu.files import NUMBERS_PER_GROUP, ROWS_PER_GROUP, write_table
from dejavu.tables.data import DUPLICATES, GROUPS

# number of rows of a group's members that the table of duplicates names
MEMBERS_KEPT = 6


@dataclass(frozen=True)
class Criteria:
    """The criteria of duplicates. Two samples with the same content, or from one raw row, are always duplicates.

    Attributes:
        key: whether samples with the same key are duplicates.
        image: whether samples with the same decoded pixels are duplicates.
        caption: whether samples with the same caption are duplicates; case, white space and Unicode's compatible forms
            (NFKC) make no difference.
        near_image: largest number of bits, of 64, in which the perceptual hashes of duplicates differ; None for off.
    """

    key: bool
    image: bool
    caption: bool
    near_image: int | None

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Criteria:
        """Return the criteria of the section ``duplicates`` of a dataset's configuration."""
        return cls(**section)

    @property
    def exact(self) -> list[str]:
        """The columns of the fingerprints in which duplicates are equal."""
        return ["copy", "origin", *(name for name in ("key", "image", "caption") if getattr(self, name))]


class Components:
    """Connected components of the numbers 0 to n - 1, updated with each pair (union-find).

    Memory is 4 bytes for each number, or 8 bytes if there are more than two billion.
    """

    def __init__(self, number: int) -> None:
        # Each number points to a connected number that is not larger. The smallest of a component points to itself.
        self._above = np.arange(number, dtype=_number_type(number))

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """Return, for each number, the smallest number of its component."""
        labels = self._above[numbers]
        while (labels != (above := self._above[labels])).any():
            labels = above
        self._above[numbers] = labels
        return labels

    def join(self, firsts: np.ndarray, seconds: np.ndarray) -> None:
        """Connect ``firsts[i]`` with ``seconds[i]``, for all i."""
        for start in range(0, len(firsts), NUMBERS_PER_GROUP):
            part = slice(start, start + NUMBERS_PER_GROUP)
            self._join(self.labels(firsts[part]), self.labels(seconds[part]))

    def _join(self, firsts: np.ndarray, seconds: np.ndarray) -> None:
        """Merge the components of pairs of labels."""
        apart = firsts != seconds
        if not apart.any():
            return
        labels, places = np.unique(np.concatenate([firsts[apart], seconds[apart]]), return_inverse=True)
        pairs = (places[: len(places) // 2], places[len(places) // 2 :])
        graph = coo_array((np.ones(len(pairs[0]), dtype=np.int8), pairs), shape=(len(labels), len(labels)))
        component = connected_components(graph, directed=False)[1]
        _, smallest = np.unique(component, return_index=True)
        self._above[labels] = labels[smallest][component]


def _number_type(number: int) -> type[np.signedinteger]:
    """Return the smallest type of integers that can count up to ``number``."""
    return np.int32 if number <= np.iinfo(np.int32).max else np.int64


def group_duplicates(
    folders: Sequence[str | Path], groups: Path, duplicates: Path, criteria: Criteria
) -> dict[str, int]:
    """Write the duplicate group of every sample, and a table of the groups with more than one member.

    A group's name is the smallest content hash of its members, so the name depends on them alone. Equal fingerprints
    are found on the disk of ``groups``. Memory holds 5 bytes for each sample, and about 50 more for each sample that
    has a duplicate.

    Args:
        folders: batch folders of the fingerprints.
        groups: parquet file to write, in order of row.
        duplicates: parquet file to write, the largest groups first.
        criteria: the criteria of duplicates.

    Returns:
        Counts by name: ``samples``; ``groups``; ``repeated``, the samples in groups of more than one; ``largest``, the
        members of the largest group.
    """
    fingerprints = SampleStore(folders)
    number = fingerprints.count()
    with folder_beside(groups) as folder:
        connected, matched = _connected(fingerprints, number, criteria, folder / "values")
    repeated = _Repeated.read(fingerprints, matched, connected.labels(np.flatnonzero(matched)))
    del connected
    parts = gathered(_group_parts(fingerprints, matched, repeated), ROWS_PER_PART)
    write_table(groups, parts, GROUPS, NUMBERS_PER_GROUP)
    kinds = matched[matched != 0]
    del matched
    write_table(duplicates, _duplicates(repeated, kinds, _columns(criteria)), DUPLICATES)
    return {
        "samples": number,
        "groups": number - len(repeated.rows) + len(repeated.sizes),
        "repeated": len(repeated.rows),
        "largest": int(repeated.sizes.max(initial=min(1, number))),
    }


def _columns(criteria: Criteria) -> list[str]:
    """Return the columns of the fingerprints that the criteria use."""
    return [*criteria.exact, *(["near_image"] if criteria.near_image is not None else [])]


def _connected(fingerprints: SampleStore, number: int, criteria: Criteria, path: Path) -> tuple[Components, np.ndarray]:
    """Return the components of the samples, and uint8 (n,), in which a bit for each criterion marks duplicates by it.

    A sample is a number: its place in the table of fingerprints.
    """
    connected = Components(number)
    matched = np.zeros(number, dtype=np.uint8)
    for bit, name in enumerate(_columns(criteria)):
        firsts: list[tuple[np.ndarray, np.ndarray]] = []
        for values, places in _by_value(fingerprints, name, number, path):
            same = values[1:] == values[:-1]
            left, right = places[:-1][same], places[1:][same]
            connected.join(left, right)
            matched[left] |= 1 << bit
            matched[right] |= 1 << bit
            if name == "near_image":
                first = np.concatenate([[True], ~same])[: len(values)]
                firsts.append((values[first], places[first]))
        if firsts and criteria.near_image is not None:
            hashes, places = (np.concatenate(arrays) for arrays in zip(*firsts, strict=True))
            for left, right in near_pairs(hashes, criteria.near_image):
                connected.join(places[left], places[right])
                matched[places[left]] |= 1 << bit
                matched[places[right]] |= 1 << bit
    return connected, matched


def _by_value(fingerprints: SampleStore, name: str, number: int, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a column's sorted values and their places in the table, without nulls, in parts that share no value."""

    def tables() -> Iterator[pa.Table]:
        start = 0
        for table in fingerprints.scan([name]):
            places = np.arange(start, start + table.num_rows, dtype=_number_type(number))
            start += table.num_rows
            yield pa.table({"value": table[name], "place": places}).filter(table[name].is_valid())

    schema = pa.schema([("value", pa.uint64()), ("place", pa.from_numpy_dtype(_number_type(number)))])
    for part in spill_by_value(path, schema, tables(), "value", parts_for(number)):
        values, places = part["value"].to_numpy(), part["place"].to_numpy()
        order = np.argsort(values, kind="stable")
        yield values[order], places[order]


@dataclass(frozen=True)
class _Repeated:
    """The samples in groups of more than one, in order of row, and these groups.

    Attributes:
        rows, groups: int64 (samples,), row of each sample and number of its group.
        sizes: int64 (groups,), number of members.
        names: uint64 (groups,), smallest content hash of the members.
    """

    rows: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray
    names: np.ndarray

    @classmethod
    def read(cls, fingerprints: SampleStore, matched: np.ndarray, labels: np.ndarray) -> _Repeated:
        """Read rows and names of the samples for which ``matched`` is not 0; ``labels`` has the components of these."""
        _, groups, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        names = np.full(len(sizes), np.iinfo(np.uint64).max)
        rows = np.empty(len(labels), dtype=np.int64)
        for table, is_repeated, part in _with_matched(fingerprints, matched):
            rows[part] = table["row"].to_numpy()[is_repeated]
            np.minimum.at(names, groups[part], table["copy"].to_numpy()[is_repeated])
        return cls(rows, groups, sizes, names)


def _with_matched(fingerprints: SampleStore, matched: np.ndarray) -> Iterator[tuple[pa.Table, np.ndarray, slice]]:
    """Yield tables of row and content hash, which of their samples are repeated, and these samples' places among all
    repeated samples.
    """
    start = begin = 0
    for table in fingerprints.scan(["row", "copy"]):
        is_repeated = matched[start : start + table.num_rows] != 0
        end = begin + int(is_repeated.sum())
        yield table, is_repeated, slice(begin, end)
        start, begin = start + table.num_rows, end


def _group_parts(fingerprints: SampleStore, matched: np.ndarray, repeated: _Repeated) -> Iterator[pa.Table]:
    for table, is_repeated, part in _with_matched(fingerprints, matched):
        names = table["copy"].to_numpy().copy()
        names[is_repeated] = repeated.names[repeated.groups[part]]
        yield pa.table({"row": table["row"], "group_id": _hexadecimal(names)}, schema=GROUPS)


def _hexadecimal(names: np.ndarray) -> pa.Array:
    """Return each number as a text of sixteen hexadecimal digits."""
    digits = np.frombuffer(names.astype(">u8").tobytes().hex().encode(), dtype="S16")
    return pa.array(digits).cast(pa.string())


def _duplicates(repeated: _Repeated, matched: np.ndarray, criteria: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the groups of more than one, the largest first; ``matched`` has each repeated sample's criteria as bits."""
    order = np.lexsort((repeated.names, -repeated.sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    members = np.argsort(rank[repeated.groups], kind="stable")
    ends = np.concatenate([[0], np.cumsum(repeated.sizes[order])])
    for start in range(0, len(order), ROWS_PER_GROUP):
        block = order[start : start + ROWS_PER_GROUP]
        starts = ends[start : start + len(block)]
        block_members = members[starts[0] : ends[start + len(block)]]
        yield pa.table(
            {
                "group_id": _hexadecimal(repeated.names[block]),
                "size": repeated.sizes[block],
                "criteria": _counts(matched[block_members], starts - starts[0], criteria),
                "members": _first_members(repeated.rows[block_members], starts - starts[0], repeated.sizes[block]),
            },
            schema=DUPLICATES,
        )


def _counts(matched: np.ndarray, starts: np.ndarray, criteria: Sequence[str]) -> pa.Array:
    """Return, for every group, a map from criterion to the number of members that have a duplicate by it."""
    bit_counts = [np.add.reduceat((matched >> bit) & 1, starts, dtype=np.int64) for bit in range(len(criteria))]
    counts = np.stack(bit_counts, 1)
    group, criterion = np.nonzero(counts)
    per_group = np.concatenate([[0], np.cumsum(np.count_nonzero(counts, axis=1))]).astype(np.int32)
    kinds = pa.array(criteria).take(pa.array(criterion))
    return pa.MapArray.from_arrays(per_group, kinds, pa.array(counts[group, criterion]))


def _first_members(rows: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> pa.Array:
    """Return the smallest rows of every group, at most :data:`MEMBERS_KEPT` of each."""
    kept = np.minimum(sizes, MEMBERS_KEPT)
    ends = np.cumsum(kept)
    within = np.arange(kept.sum()) - np.repeat(ends - kept, kept)
    members = rows[np.repeat(starts, kept) + within]
    return pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), pa.array(members))
