"""Stable splits: roles by interval or by list, disjoint by duplicate group, the same whatever else changes."""

from __future__ import annotations

import hashlib
import itertools
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.data import spill
from dejavu.data.split import Role, manifest_counts, position, write_manifest
from dejavu.errors import InputError
from dejavu.tables import GROUPS, SAMPLES


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """What is sorted on disk comes in many parts, as large data do."""
    monkeypatch.setattr(spill, "ROWS_PER_PART", 7)
    monkeypatch.setattr("dejavu.data.split.NUMBERS_PER_GROUP", 16)


@pytest.fixture
def split(tmp_path, write_batch):
    """Writes the manifest of an interval over the given (row, group) pairs, and returns its records."""
    made = iter(range(1000))

    def write(
        members: list[tuple[int, str]],
        interval=(0.0, 1.0),
        limit=None,
        seed=0,
        role="a",
        lists=None,
        stratify=False,
        deduplicate=False,
    ) -> list[dict]:
        folder = tmp_path / f"split-{next(made)}"
        samples = [{"row": row, "uid": f"uid-{row}", "caption": "c"} for row, _ in members]
        batch = write_batch(folder / "samples", SAMPLES, samples)
        groups = folder / "groups.parquet"
        rows, names = zip(*members, strict=True)
        pq.write_table(pa.table({"row": rows, "group_id": names}, schema=GROUPS), groups, row_group_size=10)
        files = {}
        for name, uids in (lists or {}).items():
            files[name] = folder / f"{name}.txt"
            files[name].write_text("\n".join(uids) + "\n")
        chosen = Role("default", role, None if role in files else interval, limit, files, stratify, deduplicate)
        number = write_manifest(groups, [batch], folder / "manifest.parquet", role=chosen, seed=seed)
        assert {path.name for path in folder.iterdir() if path.name.startswith(".")} == set()
        found = pq.read_table(folder / "manifest.parquet").to_pylist()
        assert number == len(found)
        counts = manifest_counts(folder / "manifest.parquet")
        assert (counts["rows_in"], counts["rows_out"]) == (len(members), number)
        return found

    return write


def members(number: int, start: int = 0) -> list[tuple[int, str]]:
    return [((i % 3) << 32 | i, f"group-{i}") for i in range(start, start + number)]


def test_a_position_is_a_hash_of_seed_and_group_in_the_unit_interval():
    places = [position(0, f"g{i}") for i in range(2000)]
    assert all(0 <= place < 1 for place in places)
    assert np.histogram(places, bins=4, range=(0, 1))[0] == pytest.approx([500] * 4, rel=0.15)
    assert position(0, "g1") != position(1, "g1")
    digest = hashlib.blake2b(b"0\0g1", digest_size=8).hexdigest()
    assert position(0, "g1") == pytest.approx(int(digest, 16) / 2**64, abs=2**-52)


def test_a_split_does_not_depend_on_the_order_of_the_samples(split):
    shuffled = members(60)
    random.Random(0).shuffle(shuffled)
    assert split(members(60), (0.2, 0.6)) == split(shuffled, (0.2, 0.6))


def test_positions_stay_when_other_samples_are_added(split):
    before = split(members(60), (0.2, 0.6))
    after = split(members(60) + members(40, start=60), (0.2, 0.6))
    old = {row for row, _ in members(60)}
    assert [record for record in after if record["row"] in old] == before
    assert len(after) > len(before)


def test_a_smaller_limit_is_the_beginning_of_a_larger(split):
    small, large, whole = (split(members(80), (0.1, 0.9), limit) for limit in (10, 30, None))
    assert large[:10] == small
    assert whole[:30] == large
    places = [record["position"] for record in whole]
    assert places == sorted(places)


def test_roles_are_disjoint_and_duplicates_are_in_one_role(split):
    found = [(row, f"group-{row % 40}") for row, _ in members(120)]
    roles = [split(found, interval) for interval in ((0, 0.3), (0.3, 0.5), (0.5, 1))]
    rows = [{r["row"] for r in role} for role in roles]
    groups = [{r["group_id"] for r in role} for role in roles]
    assert sorted(row for role in rows for row in role) == sorted(row for row, _ in found)
    assert sum(map(len, groups)) == 40
    assert [r["uid"] for r in roles[0]] == [f"uid-{r['row']}" for r in roles[0]]


@pytest.mark.parametrize("limit", [21, None])
def test_a_role_that_cannot_be_filled_is_refused_with_a_sentence(split, limit):
    interval = (0.0, 1.0) if limit else (0.0, 1e-9)
    with pytest.raises(InputError) as error:
        split(members(20), interval, limit, role="holdout")
    message = str(error.value)
    assert "splits.default.roles.holdout.interval" in message
    assert f"holds {20 if limit else 0} samples" in message
    assert "widen" in message


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("limit", [None, 9])
def test_deduplicating_takes_the_first_sample_of_each_group(split, limit, stratify):
    everyone = [(row, f"group-{row % 29 if row % 3 else row}") for row, _ in members(150)]
    first = {}
    for row, group in sorted(everyone):
        first.setdefault(group, row)
    distinct = split([(row, group) for group, row in first.items()], (0.1, 0.9), limit, stratify=stratify)
    assert split(everyone, (0.1, 0.9), limit, stratify=stratify, deduplicate=True) == distinct
    assert split(everyone, (0.1, 0.9), limit, stratify=stratify) != distinct


def test_deduplicating_counts_against_the_limit_what_is_left(split):
    everyone = [(row, f"group-{row % 10}") for row, _ in members(60)]
    assert len(split(everyone, limit=10, deduplicate=True)) == 10
    with pytest.raises(InputError, match="holds 10 samples, but its limit asks for 11"):
        split(everyone, limit=11, deduplicate=True)


def test_a_manifest_is_the_plain_sort_of_positions_then_rows(split):
    everyone = [(row, f"group-{row % 37}") for row, _ in members(150)]
    expected = sorted((position(5, group), row, group) for row, group in everyone)
    expected = [(place, row, group) for place, row, group in expected if 0.15 <= place < 0.8]
    found = split(everyone, (0.15, 0.8), seed=5)
    assert [(r["position"], r["row"], r["group_id"]) for r in found] == expected
    assert [r["uid"] for r in found] == [f"uid-{row}" for _, row, _ in expected]


# listed roles


def rows(records: list[dict]) -> set[int]:
    return {record["row"] for record in records}


def test_a_listed_role_has_exactly_the_samples_of_its_list(split):
    chosen = members(60)[10:25]
    found = split(members(60), lists={"a": [f"uid-{row}" for row, _ in chosen]})
    assert rows(found) == {row for row, _ in chosen}
    assert [record["position"] for record in found] == sorted(record["position"] for record in found)


def test_what_is_listed_and_its_duplicates_belong_to_no_other_role(split):
    everyone = [(row, f"group-{row % 20}") for row, _ in members(60)]
    listed = everyone[:5]
    held = {"a": [f"uid-{row}" for row, _ in listed]}
    public = split(everyone, (0.0, 1.0), role="public", lists=held)
    groups = {group for _, group in listed}
    assert rows(public) == {row for row, group in everyone if group not in groups}


def test_a_limit_of_a_list_takes_the_smallest_positions(split):
    uids = [f"uid-{row}" for row, _ in members(60)]
    assert split(members(60), lists={"a": uids}, limit=7) == split(members(60), (0.0, 1.0))[:7]


def test_lists_that_share_a_duplicate_are_refused_naming_both_roles(split):
    everyone = [(1, "same"), (2, "same"), (3, "other")]
    with pytest.raises(InputError) as error:
        split(everyone, lists={"a": ["uid-1"], "b": ["uid-2", "uid-3"]})
    assert "the lists of a and b" in str(error.value) and "take it from one of them" in str(error.value)


def test_a_list_that_cannot_fill_its_role_is_refused(split):
    with pytest.raises(InputError, match="roles.a.uids: 1 samples of .* its limit asks for 2"):
        split(members(20), lists={"a": ["uid-3"]}, limit=2)


# stratified by source


def by_file(records: list[dict]) -> list[int]:
    return [sum(record["row"] >> 32 == file for record in records) for file in (0, 1, 2)]


def uneven(number: int = 90) -> list[tuple[int, str]]:
    """Half of the samples in file 0, a third in file 1, a sixth in file 2."""
    return [((0, 0, 0, 1, 1, 2)[i % 6] << 32 | i, f"group-{i}") for i in range(number)]


def test_a_stratified_limit_takes_every_file_in_proportion(split):
    for limit in (6, 30, 60):
        assert by_file(split(uneven(), limit=limit, stratify=True)) == pytest.approx(
            [limit / 2, limit / 3, limit / 6], abs=1
        )
    assert by_file(split(uneven(), stratify=True)) == [45, 30, 15]


def test_smaller_stratified_limits_lie_in_larger_ones(split):
    found = [rows(split(uneven(), limit=limit, stratify=True)) for limit in (5, 17, 40, 90)]
    assert all(small < large for small, large in itertools.pairwise(found))


def test_a_stratified_order_is_that_of_the_place_in_the_file_as_a_share_of_it(split):
    places = []
    for file in (0, 1, 2):
        here = sorted((position(0, group), row) for row, group in uneven() if row >> 32 == file)
        places += [((rank + 0.5) / len(here), *one) for rank, one in enumerate(here)]
    assert [r["row"] for r in split(uneven(), limit=70, stratify=True)] == [row for _, _, row in sorted(places)[:70]]


def test_within_a_file_a_stratified_limit_takes_the_smallest_positions(split):
    chosen = split(uneven(), limit=30, stratify=True)
    for file in (0, 1, 2):
        all_places = sorted(position(0, group) for row, group in uneven() if row >> 32 == file)
        places = sorted(record["position"] for record in chosen if record["row"] >> 32 == file)
        assert places == all_places[: len(places)]
