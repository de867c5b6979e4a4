"""Which samples are the same thing: by key, image, caption, or an image that looks the same.

Every sample gets fingerprints, one for each criterion, in a file beside its samples. Samples that agree in one are
connected, and what is connected, directly or through others, is one group.
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

MEMBERS_KEPT = 6


@dataclass(frozen=True)
class Criteria:
    """What makes two samples the same thing; always so: their whole content, or one raw row that both come from.

    Attributes:
        key: the user's key is the same.
        image: the decoded pixels are the same, which those of equal files are.
        caption: the caption is the same but for case, white space and Unicode's compatible forms (NFKC).
        near_image: the largest number of bits, of 64, in which two images' perceptual hashes differ; None for off.
    """

    key: bool
    image: bool
    caption: bool
    near_image: int | None

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Criteria:
        """From the ``duplicates`` section of a dataset's configuration."""
        return cls(**section)

    @property
    def exact(self) -> list[str]:
        """The columns of the fingerprints in which two samples are compared for equality."""
        return ["copy", "origin", *(name for name in ("key", "image", "caption") if getattr(self, name))]


class Components:
    """Which of the numbers 0 to n - 1 are connected, as pairs of them come in: 4 bytes each, 8 beyond two billion."""

    def __init__(self, number: int) -> None:
        # a connected number of each, the smallest of all pointing at itself
        self._above = np.arange(number, dtype=_numbers(number))

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """The smallest number that each is connected with."""
        labels = self._above[numbers]
        while (labels != (above := self._above[labels])).any():
            labels = above
        self._above[numbers] = labels
        return labels

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Connects ``one[i]`` with ``other[i]``, for all i."""
        for start in range(0, len(one), NUMBERS_PER_GROUP):
            part = slice(start, start + NUMBERS_PER_GROUP)
            self._join(self.labels(one[part]), self.labels(other[part]))

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        apart = one != other
        if not apart.any():
            return
        labels, which = np.unique(np.concatenate([one[apart], other[apart]]), return_inverse=True)
        pairs = (which[: len(which) // 2], which[len(which) // 2 :])
        graph = coo_array((np.ones(len(pairs[0]), dtype=np.int8), pairs), shape=(len(labels), len(labels)))
        component = connected_components(graph, directed=False)[1]
        _, smallest = np.unique(component, return_index=True)
        self._above[labels] = labels[smallest][component]


def _numbers(number: int) -> type[np.signedinteger]:
    return np.int32 if number <= np.iinfo(np.int32).max else np.int64


def group_duplicates(
    folders: Sequence[str | Path], groups: Path, duplicates: Path, criteria: Criteria
) -> dict[str, int]:
    """Writes the group of every sample, and a table of the groups with more than one member.

    A group's name is the smallest content hash among its members, so it depends on them alone. Equal fingerprints are
    found on the disk of ``groups``; memory holds 5 bytes for a sample, and about 50 more for one that is repeated.

    Args:
        folders: batch folders of the fingerprints.
        groups: parquet file to write, in order of row.
        duplicates: parquet file to write, the largest groups first.
        criteria: what makes two samples the same thing.

    Returns:
        ``samples``; ``groups``; ``repeated``, the number of samples in groups of more than one; ``largest``, the
        number of members of the largest group.
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
    write_table(duplicates, _duplicates(repeated, kinds, _on(criteria)), DUPLICATES)
    return {
        "samples": number,
        "groups": number - len(repeated.rows) + len(repeated.sizes),
        "repeated": len(repeated.rows),
        "largest": int(repeated.sizes.max(initial=min(1, number))),
    }


def _on(criteria: Criteria) -> list[str]:
    return [*criteria.exact, *(["near_image"] if criteria.near_image is not None else [])]


def _connected(fingerprints: SampleStore, number: int, criteria: Criteria, path: Path) -> tuple[Components, np.ndarray]:
    """What is connected, by place in the table; uint8 (n,), a bit for every criterion in which a sample has another."""
    connected = Components(number)
    matched = np.zeros(number, dtype=np.uint8)
    for bit, name in enumerate(_on(criteria)):
        firsts: list[tuple[np.ndarray, np.ndarray]] = []
        for values, places in _by_value(fingerprints, name, number, path):
            same = values[1:] == values[:-1]
            one, other = places[:-1][same], places[1:][same]
            connected.join(one, other)
            matched[one] |= 1 << bit
            matched[other] |= 1 << bit
            if name == "near_image":
                first = np.concatenate([[True], ~same])[: len(values)]
                firsts.append((values[first], places[first]))
        if firsts and criteria.near_image is not None:
            hashes, places = (np.concatenate(arrays) for arrays in zip(*firsts, strict=True))
            for one, other in near_pairs(hashes, criteria.near_image):
                connected.join(places[one], places[other])
                matched[places[one]] |= 1 << bit
                matched[places[other]] |= 1 << bit
    return connected, matched


def _by_value(fingerprints: SampleStore, name: str, number: int, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A column's values, sorted, and their places in the table, in parts: equal ones are in one, null is no value."""

    def tables() -> Iterator[pa.Table]:
        start = 0
        for table in fingerprints.scan([name]):
            places = np.arange(start, start + table.num_rows, dtype=_numbers(number))
            start += table.num_rows
            yield pa.table({"value": table[name], "place": places}).filter(table[name].is_valid())

    schema = pa.schema([("value", pa.uint64()), ("place", pa.from_numpy_dtype(_numbers(number)))])
    for part in spill_by_value(path, schema, tables(), "value", parts_for(number)):
        values, places = part["value"].to_numpy(), part["place"].to_numpy()
        order = np.argsort(values, kind="stable")
        yield values[order], places[order]


@dataclass(frozen=True)
class _Repeated:
    """The samples that are in groups of more than one, in order of row, and these groups.

    Attributes:
        rows, groups: int64 (samples,), the row and the number of the group.
        sizes: int64 (groups,).
        names: uint64 (groups,), the smallest content hash of the members.
    """

    rows: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray
    names: np.ndarray

    @classmethod
    def read(cls, fingerprints: SampleStore, matched: np.ndarray, labels: np.ndarray) -> _Repeated:
        """Of samples with labels, those where ``matched`` is not 0."""
        _, groups, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        names = np.full(len(sizes), np.iinfo(np.uint64).max)
        rows = np.empty(len(labels), dtype=np.int64)
        for table, here, part in _with_matched(fingerprints, matched):
            rows[part] = table["row"].to_numpy()[here]
            np.minimum.at(names, groups[part], table["copy"].to_numpy()[here])
        return cls(rows, groups, sizes, names)


def _with_matched(fingerprints: SampleStore, matched: np.ndarray) -> Iterator[tuple[pa.Table, np.ndarray, slice]]:
    """Row and content of the samples, table by table; which are repeated; where these are among all such."""
    start = begin = 0
    for table in fingerprints.scan(["row", "copy"]):
        here = matched[start : start + table.num_rows] != 0
        end = begin + int(here.sum())
        yield table, here, slice(begin, end)
        start, begin = start + table.num_rows, end


def _group_parts(fingerprints: SampleStore, matched: np.ndarray, repeated: _Repeated) -> Iterator[pa.Table]:
    for table, here, part in _with_matched(fingerprints, matched):
        names = table["copy"].to_numpy().copy()
        names[here] = repeated.names[repeated.groups[part]]
        yield pa.table({"row": table["row"], "group_id": _hexadecimal(names)}, schema=GROUPS)


def _hexadecimal(names: np.ndarray) -> pa.Array:
    """Sixteen digits for each number."""
    digits = np.frombuffer(names.astype(">u8").tobytes().hex().encode(), dtype="S16")
    return pa.array(digits).cast(pa.string())


def _duplicates(repeated: _Repeated, matched: np.ndarray, criteria: Sequence[str]) -> Iterator[pa.Table]:
    """The groups of more than one, the largest first; ``matched`` has a bit for each criterion of a repeated sample."""
    order = np.lexsort((repeated.names, -repeated.sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    members = np.argsort(rank[repeated.groups], kind="stable")
    ends = np.concatenate([[0], np.cumsum(repeated.sizes[order])])
    for start in range(0, len(order), ROWS_PER_GROUP):
        some = order[start : start + ROWS_PER_GROUP]
        starts = ends[start : start + len(some)]
        here = members[starts[0] : ends[start + len(some)]]
        yield pa.table(
            {
                "group_id": _hexadecimal(repeated.names[some]),
                "size": repeated.sizes[some],
                "criteria": _counts(matched[here], starts - starts[0], criteria),
                "members": _first_members(repeated.rows[here], starts - starts[0], repeated.sizes[some]),
            },
            schema=DUPLICATES,
        )


def _counts(matched: np.ndarray, starts: np.ndarray, criteria: Sequence[str]) -> pa.Array:
    """For every group the number of members with each bit set, where there are any."""
    has = [np.add.reduceat((matched >> bit) & 1, starts, dtype=np.int64) for bit in range(len(criteria))]
    counts = np.stack(has, 1)
    group, criterion = np.nonzero(counts)
    per_group = np.concatenate([[0], np.cumsum(np.count_nonzero(counts, axis=1))]).astype(np.int32)
    kinds = pa.array(criteria).take(pa.array(criterion))
    return pa.MapArray.from_arrays(per_group, kinds, pa.array(counts[group, criterion]))


def _first_members(rows: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> pa.Array:
    """The smallest rows of every group, a few of each."""
    kept = np.minimum(sizes, MEMBERS_KEPT)
    ends = np.cumsum(kept)
    within = np.arange(kept.sum()) - np.repeat(ends - kept, kept)
    members = rows[np.repeat(starts, kept) + within]
    return pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), pa.array(members))
