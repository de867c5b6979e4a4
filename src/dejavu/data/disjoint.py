"""What a split promises, checked before a model is trained on it: its roles share nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.duplicates import Criteria
from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.files import read_table


def check_disjoint(
    manifests: Mapping[str, Path],
    fingerprints: Sequence[str | Path],
    criteria: Criteria,
    datasets: Mapping[str, str] | None = None,
) -> None:
    """Refuses roles that share a sample, a duplicate group, or a fingerprint of a configured exact criterion.

    It follows from how groups and manifests are made, and is looked at all the same: a manifest that was copied or
    edited, or groups that were made anew beneath it, would let one model see what only the other may.

    Args:
        manifests: role -> its manifest.
        fingerprints: batch folders of the fingerprints of all datasets that the roles come from.
        criteria: what makes two samples the same thing.
        datasets: role -> its dataset, where there are several: keys count within one only.

    Raises:
        InputError: naming the two roles, what they share, and a sample of each.
    """
    roles = list(manifests)
    tables = {role: read_table(path, ["row", "group_id"]) for role, path in manifests.items()}
    owner = np.repeat(np.arange(len(roles)), [tables[role].num_rows for role in roles])
    members = pa.concat_tables(tables.values())
    _refuse_shared("row", members["row"], members, owner, manifests)
    _refuse_shared("group_id", members["group_id"], members, owner, manifests)
    members, owner = _sorted(members, owner)
    found: dict[str, list[pa.ChunkedArray]] = {name: [] for name in criteria.exact}
    for table in SampleStore(fingerprints).read(members["row"].to_numpy(), criteria.exact):
        for name, arrays in found.items():
            arrays.append(table[name])
    for name, arrays in found.items():
        values = pa.chunked_array([chunk for array in arrays for chunk in array.chunks], pa.uint64())
        for counted in _compared(name, roles, datasets or {}):
            within = pa.array(np.isin(owner, counted))
            known = pc.if_else(within, values, pa.scalar(None, pa.uint64()))
            _refuse_shared(name, known, members, owner, manifests)


def _compared(name: str, roles: Sequence[str], datasets: Mapping[str, str]) -> list[list[int]]:
    """The sets of roles, by number, in which a fingerprint is compared."""
    by_dataset: dict[str, list[int]] = {}
    for number, role in enumerate(roles):
        by_dataset.setdefault(datasets.get(role, "") if name == "key" else "", []).append(number)
    return list(by_dataset.values())


def _sorted(members: pa.Table, owner: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    order = np.argsort(members["row"].to_numpy(), kind="stable")
    return members.take(pa.array(order)), owner[order]


_SHARED = {
    "row": "a sample",
    "group_id": "a duplicate group",
    "copy": "copies of a sample",
    "origin": "samples of one raw row",
    "key": "a key",
    "image": "an image",
    "caption": "a caption",
}


def _refuse_shared(
    what: str, values: pa.ChunkedArray, members: pa.Table, owner: np.ndarray, manifests: Mapping[str, Path]
) -> None:
    """Raises where a value occurs under more than one owner; null is no value."""
    table = pa.table({"value": values, "owner": owner}).filter(pc.is_valid(values))
    spread = table.group_by("value").aggregate([("owner", "min"), ("owner", "max")])
    shared = spread.filter(pc.not_equal(spread["owner_min"], spread["owner_max"])).sort_by("value")
    if not shared.num_rows:
        return
    value, one, other = (shared[name][0] for name in ("value", "owner_min", "owner_max"))
    has_it = pc.fill_null(pc.equal(values, value), False).to_numpy()
    rows = members["row"].to_numpy()
    first = {number.as_py(): int(rows[has_it & (owner == number.as_py())].min()) for number in (one, other)}
    roles = list(manifests)
    (role, row), (other_role, other_row) = ((roles[number], row) for number, row in first.items())
    raise InputError(
        f"roles {role} and {other_role} share {_SHARED[what]}: row {row} of {manifests[role]} and row {other_row} of "
        f"{manifests[other_role]}, so a model would be tested on what it has seen. Delete the folder "
        f"{manifests[role].parent} and run again; if the roles come from two datasets, make one dataset "
        "of them, since raw takes several patterns: duplicates are kept in one role only within a dataset."
    )
