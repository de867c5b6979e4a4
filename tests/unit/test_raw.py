"""Raw files: missing, truncated, damaged, and how many pairs they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.messages import sentence

from dejavu.data.raw import Columns, open_raw, read_raw
from dejavu.errors import InputError
from dejavu.files import write_json
from dejavu.plan.datasets import Dataset
from dejavu.plan.supply import check_supply

PAIRS = Columns(image="image", caption="caption")
PAIR_COLUMNS = {"image": "image", "caption": "caption"}


@pytest.fixture
def raw_file(tmp_path) -> Path:
    path = tmp_path / "raw.parquet"
    captions = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(20_000)]
    table = pa.table({"image": [c.encode() for c in captions], "caption": captions})
    pq.write_table(table, path, row_group_size=2000, compression="zstd", use_dictionary=False)
    return path


def test_a_missing_raw_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(InputError) as error:
        open_raw(tmp_path / "gone.parquet", PAIRS)
    assert str(tmp_path / "gone.parquet") in sentence(error)
    assert "datasets.*.raw" in sentence(error)


@pytest.mark.parametrize("kept", [0, 3, 5000, -1])
def test_a_truncated_raw_file_is_refused_with_a_sentence(raw_file, kept):
    raw_file.write_bytes(raw_file.read_bytes()[:kept])
    with pytest.raises(InputError) as error:
        open_raw(raw_file, PAIRS)
    assert str(raw_file) in sentence(error)
    assert "replace it" in sentence(error)


def test_a_raw_file_damaged_in_the_middle_is_refused_naming_the_row(raw_file):
    content = bytearray(raw_file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = b"\xff" * 20_000
    raw_file.write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_raw(raw_file, PAIRS, ("image", "caption")))
    assert str(raw_file) in sentence(error)
    assert "damaged after row" in sentence(error)


def test_a_missing_column_is_refused_with_a_suggestion(raw_file):
    with pytest.raises(InputError) as error:
        open_raw(raw_file, Columns(image="image", caption="captoin"))
    message = sentence(error)
    assert "'captoin' (did you mean 'caption'?)" in message
    assert "columns.caption" in message
    assert "image, caption" in message


def test_reading_raw_gives_every_row_once_with_its_number(raw_file):
    seen = [(start, batch["caption"].to_pylist()) for start, batch in read_raw(raw_file, PAIRS, ("caption",))]
    assert [c for _, found in seen for c in found] == pq.read_table(raw_file)["caption"].to_pylist()
    assert [start for start, _ in seen] == [sum(len(f) for _, f in seen[:i]) for i in range(len(seen))]


def test_a_split_that_asks_for_more_than_the_raw_files_hold_is_refused(raw_file, monkeypatch):
    monkeypatch.chdir(raw_file.parent)
    dataset = Dataset("demo", {"raw": [], "columns": PAIR_COLUMNS}, {"raw.parquet": str(raw_file)}, {})
    rows = pq.read_metadata(raw_file).num_rows
    roles = {role: {"dataset": "demo", "limit": rows // 4} for role in ("a", "b", "public", "holdout")}
    check_supply("default", {"roles": roles}, {"demo": dataset})
    roles["b"]["limit"] += 1
    with pytest.raises(InputError) as error:
        check_supply("default", {"roles": roles}, {"demo": dataset})
    assert "splits.default" in sentence(error)
    assert f"hold {rows:,} rows" in sentence(error)


def test_an_inventory_of_an_earlier_run_does_not_hide_files_that_were_added_since(raw_file, monkeypatch):
    monkeypatch.chdir(raw_file.parent)
    pq.write_table(pq.read_table(raw_file).slice(0, 100), "old.parquet")
    write_json("results/mine/inventory.json", {"old.parquet": 100})
    paths = {name: name for name in ("old.parquet", "raw.parquet")}
    dataset = Dataset("mine", {"raw": [], "columns": PAIR_COLUMNS}, paths, {})
    roles = {role: {"dataset": "mine", "limit": 1000} for role in ("a", "b", "public", "holdout")}
    check_supply("default", {"roles": roles}, {"mine": dataset})


def test_an_inventory_that_counts_rows_does_not_hide_captions_that_are_samples_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"image": [b"x"] * 4, "caption": [["a", "b", "c"]] * 4}), "raw.parquet")
    write_json("results/mine/inventory.json", {"raw.parquet": 4})
    roles = {role: {"dataset": "mine", "limit": 3} for role in ("a", "b", "public", "holdout")}
    section = {"raw": [], "columns": PAIR_COLUMNS, "captions": "all"}
    check_supply("default", {"roles": roles}, {"mine": Dataset("mine", section, {"raw.parquet": "raw.parquet"}, {})})


@pytest.mark.parametrize(
    ("use", "column"),
    [
        ("image", pa.array([1, 2])),
        ("image", pa.array([{"data": b"x"}, None])),
        ("caption", pa.array([1.5, 2.5])),
        ("caption", pa.array([[1], [2]])),
        ("key", pa.array([1.5, 2.5])),
        ("status", pa.array([True, False])),
    ],
)
def test_a_column_of_a_type_that_cannot_serve_is_refused_naming_file_and_column(tmp_path, use, column):
    columns = {"image": [b"x", b"y"], "caption": ["a", "b"], "key": ["0", "1"], "status": ["success"] * 2}
    pq.write_table(pa.table({**columns, use: column}), tmp_path / "other.parquet")
    with pytest.raises(InputError) as error:
        open_raw(tmp_path / "other.parquet", Columns("image", "caption", "key", status="status"))
    assert str(tmp_path / "other.parquet") in str(error.value)
    assert repr(use) in str(error.value)
    assert f"columns.{use}" in str(error.value)
