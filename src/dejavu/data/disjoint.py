"""A check before training: the roles of a split share no sample, no duplicate group and no fingerprint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.duplicates import Criteria
from dejavu.data.samples import SampleStore, count_rows, gathered, scan_file
from dejavu.data.spill import ROWS_PER_PART, Spill, folder_beside, parts_for, spill_by_value
from dejavu.errors import InputError, words


def check_disjoint(
    manifests: Mapping[str, Path],
    fingerprints: Sequence[str | Path],
    criteria: Criteria,
    datasets: Mapping[str, str] | None = None,
) -> None:
    """Refuse roles that share a sample, a duplicate group, or a fingerprint of a configured exact criterion.

    Groups and manifests of one run cannot share anything. But if a manifest was copied or edited, or if the groups
    below it were made again, one side could be trained on samples that only the other side may see. The comparisons
    spill to the disk of the manifests, so memory does not grow with the number of rows.

    Args:
        manifests: role -> its manifest.
        fingerprints: batch folders of the fingerprints of all datasets that the roles come from.
        criteria: the criteria of duplicates.
        datasets: role -> its dataset, if the roles come from several datasets; keys are compared within a dataset only.

    Raises:
        InputError: with the two roles, what they share, and a sample of each.
    """
    store = SampleStore(fingerprints)
    parts = parts_for(max(store.count(), sum(map(count_rows, manifests.values()))))
    everywhere = [list(range(len(manifests)))]
    with folder_beside(next(iter(manifests.values()))) as folder:
        members = spill_by_value(folder / "members", _MEMBERS, _members(manifests), "row", parts)
        _refuse_shared("row", members, everywhere, manifests)
        groups = spill_by_value(folder / "groups", _GROUPED, _members(manifests), "group_id", parts)
        _refuse_shared("group_id", groups, everywhere, manifests)
        for name in criteria.exact:
            schema = pa.schema([("row", pa.int64()), (name, pa.uint64())])
            known = spill_by_value(folder / "fingerprints", schema, store.scan(schema.names), "row", parts)
            joined = _joined(members, known, name)
            values = spill_by_value(folder / "values", _MEMBERS.append(schema.field(name)), joined, name, parts)
            _refuse_shared(name, values, _compared(name, list(manifests), datasets or {}), manifests)


_MEMBERS = pa.schema([("row", pa.int64()), ("owner", pa.int32())])
_GROUPED = _MEMBERS.append(pa.field("group_id", pa.string()))


def _members(manifests: Mapping[str, Path]) -> Iterator[pa.Table]:
    """Yield row, group and number of the role for every sample in the manifests."""
    for number, path in enumerate(manifests.values()):
        for table in gathered(scan_file(path, ["row", "group_id"]), ROWS_PER_PART):
            yield table.append_column("owner", pa.array(np.full(table.num_rows, number, dtype=np.int32)))


def _joined(members: Spill, fingerprints: Spill, name: str) -> Iterator[pa.Table]:
    """Yield the members that have a fingerprint, together with the fingerprint."""
    missing = 0
    for member_part, fingerprint_part in zip(members, fingerprints, strict=True):
        place = pc.index_in(member_part["row"], value_set=fingerprint_part["row"])
        missing += place.null_count
        joined = member_part.append_column(name, fingerprint_part[name].take(place))
        yield joined.filter(joined[name].is_valid())
    if missing:
        raise InputError(
            f"{missing:,} rows of a manifest are not in any file of fingerprints: the manifest comes from other data. "
            "Delete the manifests folder of this split and run again."
        )


def _compared(name: str, roles: Sequence[str], datasets: Mapping[str, str]) -> list[list[int]]:
    """Return the sets of roles, as numbers, within which a fingerprint is compared: a key only within one dataset."""
    by_dataset: dict[str, list[int]] = {}
    for number, role in enumerate(roles):
        by_dataset.setdefault(datasets.get(role, "") if name == "key" else "", []).append(number)
    return list(by_dataset.values())


# column of the comparison -> what two roles share where they have a value in common
_SHARED = {
    "row": "a sample",
    "group_id": "a duplicate group",
    "copy": "copies of a sample",
    "origin": "samples of one raw row",
    "key": "a key",
    "image": "an image",
    "caption": "a caption",
}


def _refuse_shared(what: str, values: Spill, sets: Sequence[Sequence[int]], manifests: Mapping[str, Path]) -> None:
    """Raise if two roles of a set have a value in common; the error names samples with the smallest such value."""
    for compared in sets:
        collisions = [shared for part in values if (shared := _smallest_shared(what, part, compared))]
        if collisions:
            raise InputError(_shared_by(what, min(collisions), manifests))


# a shared value; the first and the last role that have it, by number, each with its smallest row that has it
_Shared = tuple[Any, tuple[int, int], tuple[int, int]]


def _smallest_shared(what: str, part: pa.Table, compared: Sequence[int]) -> _Shared | None:
    """Return the smallest value of a part that several roles have; None where no value is shared."""
    part = part.filter(pc.is_in(part["owner"], value_set=pa.array(compared, pa.int32())))
    table = pa.table({"value": part[what], "owner": part["owner"], "row": part["row"]})
    spread = table.select(["value", "owner"]).group_by("value").aggregate([("owner", "min"), ("owner", "max")])
    shared = spread.filter(pc.not_equal(spread["owner_min"], spread["owner_max"])).sort_by("value")
    if not shared.num_rows:
        return None
    members = table.filter(pc.equal(table["value"], shared["value"][0]))
    first, last = (
        (owner.as_py(), pc.min(members["row"].filter(pc.equal(members["owner"], owner))).as_py())
        for owner in (shared["owner_min"][0], shared["owner_max"][0])
    )
    return shared["value"][0].as_py(), first, last


def _shared_by(what: str, shared: _Shared, manifests: Mapping[str, Path]) -> str:
    roles = list(manifests)
    (role, row), (other_role, other_row) = ((roles[number], row) for number, row in shared[1:])
    return words(
        f"roles {role} and {other_role} share {_SHARED[what]}: row {row} of {manifests[role]} and row {other_row} of "
        f"{manifests[other_role]}, so a model would be tested on what it has seen. Delete the folder "
        f"{manifests[role].parent} and run again. If the roles come from two datasets, make one "
        "dataset of them (raw takes several patterns), since only duplicates within a dataset are kept in one role."
    )
