"""Roles share nothing, by any criterion, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from dejavu.data import duplicates as duplicates_module
from dejavu.data import spill
from dejavu.data.disjoint import check_disjoint
from dejavu.data.duplicates import Criteria
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.tables import FINGERPRINTS, MANIFEST

EXACT = Criteria(key=True, image=True, caption=True, near_image=None)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """What is compared on disk comes in many parts, and pairs and tables a few at a time, as with large data."""
    monkeypatch.setattr(spill, "ROWS_PER_PART", 3)
    monkeypatch.setattr(duplicates_module, "NUMBERS_PER_GROUP", 5)
    monkeypatch.setattr(duplicates_module, "ROWS_PER_GROUP", 2)


def write_fingerprints(folder: Path, records: Sequence[dict]) -> Path:
    for upper in {r["row"] >> 32 for r in records}:
        here = [r for r in records if r["row"] >> 32 == upper]
        write_table(folder / "f" / f"{upper:08x}.parquet", pa.Table.from_pylist(here, FINGERPRINTS), FINGERPRINTS, 7)
    return folder / "f"


@pytest.fixture
def roles(tmp_path):
    """Writes manifests of roles, from their samples' fingerprints, and checks them."""

    def check(members: dict[str, list[dict]], criteria: Criteria = EXACT, datasets: dict | None = None) -> None:
        every = [
            {"key": None, "image": None, "caption": None, "near_image": None, "copy": r["row"], "origin": r["row"]} | r
            for records in members.values()
            for r in records
        ]
        unique = {r["row"]: {name: r[name] for name in FINGERPRINTS.names} for r in every}
        folder = write_fingerprints(tmp_path, [unique[row] for row in sorted(unique)])
        manifests = {}
        for role, records in members.items():
            manifests[role] = tmp_path / "manifests" / f"{role}.parquet"
            rows = [
                {"row": r["row"], "uid": "u", "group_id": r.get("group", f"g{r['row']}"), "position": 0.5}
                for r in reversed(records)
            ]
            write_table(manifests[role], pa.Table.from_pylist(rows, MANIFEST), MANIFEST)
        check_disjoint(manifests, [folder], criteria, datasets)

    return check


def test_roles_that_share_nothing_pass(roles):
    roles(
        {
            "a": [{"row": 1, "key": 5, "image": 1, "caption": 1}, {"row": 2, "key": 5, "image": 1, "caption": 2}],
            "b": [{"row": 3, "key": 1, "image": 5, "caption": 7}, {"row": 5 << 32}],
            "public": [{"row": 4}],
        }
    )


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"row": 9}, "share a sample"),
        ({"group": "g"}, "share a duplicate group"),
        ({"copy": 77}, "share copies of a sample"),
        ({"key": 77}, "share a key"),
        ({"image": 77}, "share an image"),
        ({"caption": 77}, "share a caption"),
    ],
)
def test_roles_that_share_anything_are_refused_naming_both(roles, shared, words):
    with pytest.raises(InputError) as error:
        roles({"a": [{"row": 1}, {"row": 2} | shared], "b": [{"row": 3}], "public": [{"row": 4} | shared]})
    message = str(error.value)
    assert f"roles a and public {words}: row {shared.get('row', 2)} of " in message
    assert f"row {shared.get('row', 4)} of " in message and "Delete the folder" in message
    assert "\n" not in message


def test_roles_may_share_what_is_no_criterion(roles):
    members = {"a": [{"row": 1, "caption": 7}], "b": [{"row": 2, "caption": 7}]}
    roles(members, Criteria(key=True, image=True, caption=False, near_image=None))
    with pytest.raises(InputError, match="share a caption"):
        roles(members)


def test_of_all_that_is_shared_the_smallest_value_is_named(roles):
    pairs = {"a": [], "b": []}
    for number in range(40):
        shared = {"caption": 1000 - number}
        pairs["a"].append({"row": number} | shared)
        pairs["b"].append({"row": 1 << 32 | number} | shared)
    with pytest.raises(InputError, match=f"row 39 of .* and row {1 << 32 | 39} of "):
        roles(pairs)


def test_manifests_of_other_data_are_refused(tmp_path):
    folder = write_fingerprints(tmp_path, [{"row": row, "copy": row, "origin": row} for row in range(20)])
    manifests = {}
    for role, start in (("a", 0), ("b", 15)):
        manifests[role] = tmp_path / "manifests" / f"{role}.parquet"
        rows = [{"row": r, "uid": "u", "group_id": f"g{r}", "position": 0.5} for r in range(start, start + 10)]
        write_table(manifests[role], pa.Table.from_pylist(rows, MANIFEST), MANIFEST)
    with pytest.raises(InputError, match="5 rows of a manifest are not in any file .* Delete the manifests folder"):
        check_disjoint(manifests, [folder], EXACT)
    assert sorted(path.name for path in (tmp_path / "manifests").iterdir()) == ["a.parquet", "b.parquet"]


def test_keys_count_within_a_dataset_and_images_between_them(roles):
    datasets = {"a": "one", "b": "one", "public": "other"}
    same_key = [{"row": 1, "key": 7}]
    roles({"a": same_key, "b": [{"row": 2}], "public": [{"row": 3, "key": 7}]}, datasets=datasets)
    with pytest.raises(InputError, match="roles a and b share a key"):
        roles({"a": same_key, "b": [{"row": 2, "key": 7}], "public": [{"row": 3}]}, datasets=datasets)
    with pytest.raises(InputError, match="roles b and public share an image: .* make one dataset of them"):
        roles({"a": same_key, "b": [{"row": 2, "image": 5}], "public": [{"row": 3, "image": 5}]}, datasets=datasets)
