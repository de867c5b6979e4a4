"""Duplicates: what counts as the same thing, and groups that depend on content alone."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.harness.raw_forms import encoded

from dejavu.config.schema import read_schema
from dejavu.data import duplicates as duplicates_module
from dejavu.data import spill
from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns, table_name
from dejavu.data.synthetic import make_pairs, make_world
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.progress import Progress
from dejavu.report.queries import Queries
from dejavu.tables import DUPLICATES, FINGERPRINTS, GROUPS, SAMPLES

NOTHING = Criteria(key=False, image=False, caption=False, near_image=None)
EXACT = Criteria(key=True, image=True, caption=True, near_image=None)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """What is compared on disk comes in many parts, and pairs and tables a few at a time, as with large data."""
    monkeypatch.setattr(spill, "ROWS_PER_PART", 3)
    monkeypatch.setattr(duplicates_module, "NUMBERS_PER_GROUP", 5)
    monkeypatch.setattr(duplicates_module, "ROWS_PER_GROUP", 2)


def progress() -> Progress:
    return Progress("test", 0, "samples")


@pytest.fixture(scope="module")
def scenes() -> list[dict]:
    """Drawn pairs; there are twelve kinds of background, so many share one."""
    return list(make_pairs(make_world(0), 0, 600))


@pytest.fixture
def grouped(tmp_path, write_batch):
    """Fingerprints and groups of samples; returns row -> group, and the table of duplicates by group."""
    made = iter(range(1000))

    def group(records: Sequence[dict], criteria: Criteria) -> tuple[dict[int, str], dict[str, dict]]:
        folder = tmp_path / f"dataset-{next(made)}"
        full = [
            {"uid": f"uid-{r['row']}", "caption": f"caption {r['row']}", "source": "f", "source_row": r["row"]} | r
            for r in records
        ]
        samples = Path(write_batch(folder / "samples", SAMPLES, full))
        for file in samples.glob("*.parquet"):
            fingerprint_file(file, folder / "fingerprints" / file.name, progress())
        return read_groups([folder / "fingerprints"], folder, criteria)

    return group


def read_groups(
    fingerprints: Sequence[Path], folder: Path, criteria: Criteria
) -> tuple[dict[int, str], dict[str, dict]]:
    counts = group_duplicates(fingerprints, folder / "groups.parquet", folder / "duplicates.parquet", criteria)
    groups = pq.read_table(folder / "groups.parquet")
    duplicates = pq.read_table(folder / "duplicates.parquet")
    assert (groups.schema.names, duplicates.schema.names) == (GROUPS.names, DUPLICATES.names)
    assert counts["samples"] == groups.num_rows
    assert counts["groups"] == len(groups["group_id"].unique())
    assert counts["repeated"] == sum(duplicates["size"].to_pylist())
    of_row = dict(zip(groups["row"].to_pylist(), groups["group_id"].to_pylist(), strict=True))
    return of_row, {d["group_id"]: d | {"criteria": dict(d["criteria"])} for d in duplicates.to_pylist()}


def partition(of_row: dict[int, str]) -> set[frozenset[int]]:
    members: dict[str, set[int]] = {}
    for row, group in of_row.items():
        members.setdefault(group, set()).add(row)
    return {frozenset(rows) for rows in members.values()}


@pytest.mark.parametrize(
    ("criterion", "same"),
    [
        ("key", {"uid": "the same"}),
        ("image", {"image": encoded(Image.new("RGB", (8, 8), "red"))}),
        ("caption", {"caption": "a dog"}),
    ],
)
def test_each_criterion_merges_only_while_it_is_on(grouped, picture, criterion, same):
    records = [{"row": row, "image": picture(row)} | same for row in (1, 2)] + [{"row": 3, "image": picture(3)}]
    apart, none = grouped(records, NOTHING)
    assert len(set(apart.values())) == 3 and none == {}
    together, found = grouped(records, Criteria(**vars(NOTHING) | {criterion: True}))
    assert partition(together) == {frozenset({1, 2}), frozenset({3})}
    assert found[together[1]] == {
        "group_id": together[1],
        "size": 2,
        "criteria": {criterion: 2},
        "members": [1, 2],
    }


def test_an_image_encoded_anew_without_loss_is_the_same_image(grouped, picture):
    png = picture(0)
    image = Image.open(io.BytesIO(png))
    others = [encoded(image, "PNG", compress_level=0), encoded(image, "WEBP", lossless=True)]
    records = [{"row": row, "image": data} for row, data in enumerate([png, *others, picture(1)])]
    found, _ = grouped(records, Criteria(**vars(NOTHING) | {"image": True}))
    assert partition(found) == {frozenset({0, 1, 2}), frozenset({3})}


def test_images_of_the_same_bytes_in_another_shape_are_not_the_same(grouped):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    images = [encoded(Image.fromarray(p)) for p in (pixels, pixels.reshape(8, 4, 3))]
    found, _ = grouped([{"row": row, "image": data} for row, data in enumerate(images)], EXACT)
    assert found[0] != found[1]


def test_captions_agree_whatever_their_case_white_space_and_compatible_forms(grouped, picture):
    captions = ["A  large\tﬁsh", "a large fish ", "a large fish", "a large-fish"]
    records = [{"row": row, "image": picture(row), "caption": text} for row, text in enumerate(captions)]
    found, _ = grouped(records, EXACT)
    assert partition(found) == {frozenset({0, 1, 2}), frozenset({3})}


def test_the_captions_of_one_raw_row_are_one_group_whatever_the_criteria(grouped, picture):
    one = {"image": picture(0), "source_row": 7}
    records = [{"row": 1} | one, {"row": 2} | one, {"row": 3, "image": picture(0), "source_row": 8}]
    found, duplicates = grouped(records, NOTHING)
    assert partition(found) == {frozenset({1, 2}), frozenset({3})}
    assert duplicates[found[1]]["criteria"] == {"origin": 2}


def test_copies_in_everything_are_one_group_whatever_the_criteria(grouped, picture):
    same = {"uid": "u", "caption": "c", "image": picture(0)}
    found, duplicates = grouped([{"row": 1} | same, {"row": 2} | same], NOTHING)
    assert found[1] == found[2]
    assert duplicates[found[1]]["criteria"] == {"copy": 2}


@pytest.fixture
def ingested(tmp_path):
    """The fingerprints of raw rows, which are in ``f/``, as records."""

    def run(raw: pa.Table, how: Ingestion) -> list[dict]:
        pq.write_table(raw, tmp_path / "raw.parquet")
        columns = Columns(image="image", caption="caption", key="id")
        samples = tmp_path / "samples" / table_name("raw")
        quarantine = tmp_path / "quarantine.parquet"
        ingest_file(RawFile(tmp_path / "raw.parquet", "raw", columns), Ingested(samples, quarantine), progress(), how)
        assert pq.read_metadata(quarantine).num_rows == 0
        fingerprint_file(samples, tmp_path / "f" / samples.name, progress())
        return pq.read_table(tmp_path / "f" / samples.name).to_pylist()

    return run


@pytest.mark.parametrize("captions", ["first", "all"])
def test_a_uid_made_of_the_content_is_no_key(ingested, picture, captions):
    raw = pa.table({"image": [picture(0)] * 2, "caption": ["a"] * 2, "id": ["mine", None]})
    mine, content = (record["key"] for record in ingested(raw, Ingestion(captions=captions)))
    assert mine is not None and content is None


def test_images_that_are_only_referenced_have_the_fingerprints_of_stored_ones(ingested, picture):
    raw = pa.table({"image": [picture(0), picture(1)], "caption": ["a", "b"], "id": ["k", None]})
    stored, referenced = (ingested(raw, Ingestion(store=store)) for store in ("copy", "reference"))
    assert stored == referenced
    assert all(record["image"] is not None for record in stored)


def test_all_captions_of_an_image_are_one_group_whatever_the_criteria(ingested, picture, tmp_path):
    raw = pa.table({"image": [picture(0), picture(1)], "caption": [["a", "b"], ["c", "d", "e"]], "id": ["k", "l"]})
    assert len(ingested(raw, Ingestion(captions="all"))) == 5
    _, duplicates = read_groups([tmp_path / "f"], tmp_path, NOTHING)
    assert [d["criteria"] for d in duplicates.values()] == [{"origin": 3}, {"origin": 2}]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.one_of(st.none(), st.integers(0, 12))] * 3, st.one_of(st.none(), st.integers(0, 2**8 - 1))),
        min_size=1,
        max_size=30,
    ),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([None, 0, 1, 2])),
)
def test_groups_are_those_of_a_plain_search(tmp_path_factory, values, switches):
    criteria = Criteria(*switches)
    folder = tmp_path_factory.mktemp("groups")
    records = [
        {"row": (i % 3) << 32 | i, "copy": 1000 + i, "origin": i, "key": k, "image": m, "caption": c, "near_image": h}
        for i, (k, m, c, h) in enumerate(values)
    ]
    found, duplicates = read_groups([write_fingerprints(folder, records)], folder, criteria)

    def alike(one: dict, other: dict, name: str) -> bool:
        if one[name] is None or other[name] is None:
            return False
        if name == "near_image":
            return (one[name] ^ other[name]).bit_count() <= criteria.near_image
        return one[name] == other[name]

    on = [*criteria.exact, *(["near_image"] if criteria.near_image is not None else [])]
    group = {r["row"]: {r["row"]} for r in records}
    matched: dict[str, set[int]] = {name: set() for name in on}
    for one in records:
        for other in records:
            for name in on:
                if one is not other and alike(one, other, name):
                    matched[name] |= {one["row"], other["row"]}
                    if group[one["row"]] is not group[other["row"]]:
                        joined = group[one["row"]] | group[other["row"]]
                        group.update(dict.fromkeys(joined, joined))
    copy_of = {r["row"]: r["copy"] for r in records}
    for row, members in group.items():
        assert found[row] == f"{min(copy_of[m] for m in members):016x}"
        if len(members) > 1:
            assert duplicates[found[row]] == {
                "group_id": found[row],
                "size": len(members),
                "criteria": {n: len(matched[n] & members) for n in on if matched[n] & members},
                "members": sorted(members)[:6],
            }
    assert set(duplicates) == {found[row] for row, members in group.items() if len(members) > 1}


def write_fingerprints(folder: Path, records: Sequence[dict]) -> Path:
    for upper in {r["row"] >> 32 for r in records}:
        here = [r for r in records if r["row"] >> 32 == upper]
        write_table(folder / "f" / f"{upper:08x}.parquet", pa.Table.from_pylist(here, FINGERPRINTS), FINGERPRINTS, 7)
    return folder / "f"


def test_groups_do_not_depend_on_the_order_of_files_and_rows(grouped, picture):
    content = [{"uid": f"u{i % 17}", "caption": f"c{i % 13}", "image": picture(i)} for i in range(60)]

    def groups_of_contents(order: Sequence[int]) -> list[str]:
        rows = {number: (place % 4 << 32) + place for place, number in enumerate(order)}
        found, _ = grouped([{"row": rows[i], "source_row": rows[i]} | content[i] for i in order], EXACT)
        return [found[rows[i]] for i in range(60)]

    shuffled = list(range(60))
    random.Random(0).shuffle(shuffled)
    assert groups_of_contents(range(60)) == groups_of_contents(shuffled)


def test_unrelated_files_change_no_group(grouped, picture):
    records = [{"row": row, "caption": f"c{row % 5}", "image": picture(row)} for row in range(8)]
    more = [{"row": 1 << 32 | row, "image": picture(50 + row), "source": "g"} for row in range(8)]
    before, _ = grouped(records, EXACT)
    after, _ = grouped(records + more, EXACT)
    assert {row: after[row] for row in before} == before


def test_a_dataset_without_samples_has_no_group(tmp_path):
    (tmp_path / "f").mkdir()
    assert read_groups([tmp_path / "f"], tmp_path, EXACT) == ({}, {})


def test_a_damaged_file_of_fingerprints_is_met_with_a_sentence(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "00000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="00000000.parquet cannot be read .* delete it and run again"):
        group_duplicates([tmp_path / "f"], tmp_path / "groups.parquet", tmp_path / "duplicates.parquet", EXACT)


def test_flat_images_are_not_near_one_another(grouped):
    images = [encoded(Image.new("RGB", (16, 16), color)) for color in ("white", "black", "white")]
    records = [{"row": row, "image": image} for row, image in enumerate(images)]
    found, _ = grouped(records, Criteria(**vars(NOTHING) | {"near_image": 8}))
    assert len(set(found.values())) == 3
    found, _ = grouped(records, EXACT)
    assert partition(found) == {frozenset({0, 2}), frozenset({1})}


def test_drawn_scenes_are_all_different_by_default(grouped, scenes, repository):
    schema = read_schema(repository / "workflow" / "schemas" / "config.schema.yaml")
    keys = schema["properties"]["datasets"]["additionalProperties"]["properties"]["duplicates"]["properties"]
    by_default = Criteria.of({name: key["default"] for name, key in keys.items()})
    assert by_default == EXACT
    # their perceptual hashes would merge some: of 10,000 scenes 16 at a distance of 2, and 171 at 4
    records = [
        {"row": row, "uid": pair["key"], "caption": pair["caption"], "image": pair["image"]}
        for row, pair in enumerate(scenes)
    ]
    found, duplicates = grouped(records, by_default)
    assert len(set(found.values())) == len(records) and duplicates == {}


def test_the_report_counts_groups_by_criterion_and_lists_the_largest(tmp_path, repository):
    groups = [
        {"group_id": f"{i:016x}", "size": size, "criteria": criteria, "members": list(range(size))}
        for i, (size, criteria) in enumerate(
            [(5, {"caption": 3, "image": 4}), (2, {"caption": 2}), *[(3, {"near_image": 3})] * 12]
        )
    ]
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        duplicates = pa.Table.from_pylist(groups, DUPLICATES)
        samples = pa.table({"row": [1, 2], "group_id": [f"{0:016x}"] * 2, "role": ["b", "b"]})
        stages = pa.table({"stage": ["duplicates", "ingest"], "rows_out": [100, 101]})
        connection.execute("CREATE TABLE duplicates AS SELECT *, 'd' AS dataset FROM duplicates")
        connection.execute("CREATE TABLE samples AS SELECT * FROM samples")
        connection.execute("CREATE TABLE stages AS SELECT * FROM stages")
        del duplicates, samples, stages
    queries = Queries(tmp_path / "d.duckdb", repository / "workflow" / "sql")
    found = {
        r["criterion"]: (r["groups"], r["samples"], r["largest"], r["of_samples"]) for r in queries.rows("duplicates")
    }
    assert list(found) == [None, "image", "caption", "near_image"]
    assert found == {
        None: (14, 43, 5, 100),
        "image": (1, 4, 5, 100),
        "caption": (2, 5, 5, 100),
        "near_image": (12, 36, 3, 100),
    }
    largest = queries.rows("duplicate_groups")
    assert [g["size"] for g in largest] == [5] + [3] * 9
    assert (largest[0]["role"], largest[0]["used"]) == ("b", 2)
    assert (largest[1]["role"], largest[1]["used"]) == (None, 0)
    assert {e["key"]: e["value"] for e in largest[0]["criteria"]} == {"caption": 3, "image": 4}
