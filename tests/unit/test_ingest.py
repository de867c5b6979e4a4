"""Ingest: every raw row is a sample or in the quarantine, with an identity that never moves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ImageFile
from tests.harness.messages import sentence
from tests.harness.pictures import png_header
from tests.harness.raw_forms import progress

from dejavu.data.ingest import Ingested, RawFile, ingest_file
from dejavu.data.raw import Columns, file_ids
from dejavu.errors import InputError

PAIRS = Columns(image="image", caption="caption")


def hash_31(name: str) -> int:
    return int(hashlib.blake2b(name.encode(), digest_size=4).hexdigest(), 16) >> 1


RAW = pa.schema([("image", pa.binary()), ("caption", pa.string()), ("key", pa.string())])


def ingest(folder: Path, name: str, records: list[dict], columns: Columns = PAIRS) -> tuple[list[dict], list[dict]]:
    raw, samples, quarantine = folder / "raw" / name, folder / "samples" / name, folder / "quarantine" / name
    raw.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema=RAW), raw)
    ingest_file(RawFile(raw, name, columns), Ingested(samples, quarantine), progress())
    return pq.read_table(samples).to_pylist(), pq.read_table(quarantine).to_pylist()


@pytest.fixture
def mixed(picture) -> list[dict]:
    """Good rows at 0, 3 and 6, and one of every bad kind between them."""
    return [
        {"image": picture(0), "caption": "  a dog\n", "key": "k0"},
        {"image": picture(1), "caption": " \t ", "key": "k1"},
        {"image": None, "caption": "a cat", "key": "k2"},
        {"image": picture(3, 40, 20, "JPEG"), "caption": "cafe\u0301", "key": None},
        {"image": picture(4, 200, 200, "JPEG")[:3000], "caption": "a cut image", "key": "k4"},
        {"image": b"<html>not found</html>", "caption": "no image.jpg", "key": "k5"},
        {"image": picture(6), "caption": "a fox", "key": "k6"},
        {"image": png_header(40_000, 40_000), "caption": "a large image", "key": "k7"},
        {"image": picture(8), "caption": None, "key": "k8"},
        {"image": b"", "caption": "an empty image", "key": "k9"},
    ]


def test_every_raw_row_is_a_sample_or_in_the_quarantine_with_its_reason(tmp_path, mixed):
    samples, quarantine = ingest(tmp_path, "a.parquet", mixed)
    assert [s["source_row"] for s in samples] == [0, 3, 6]
    assert {q["source_row"]: q["reason"] for q in quarantine} == {
        1: "caption is empty",
        2: "image is missing",
        4: "image cannot be decoded",
        5: "image cannot be decoded",
        7: "image has too many pixels",
        8: "caption is empty",
        9: "image is missing",
    }
    assert len(samples) + len(quarantine) == len(mixed)
    assert {(q["stage"], q["source"]) for q in quarantine} == {("ingest", "a.parquet")}
    assert all(q["detail"] for q in quarantine)


def test_a_gigapixel_image_is_refused_before_any_pixel_is_decoded(tmp_path, monkeypatch):
    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    records = [{"image": png_header(40_000, 40_000), "caption": "a large image", "key": None}]
    _, quarantine = ingest(tmp_path, "a.parquet", records)
    assert [q["reason"] for q in quarantine] == ["image has too many pixels"]


def test_samples_keep_key_caption_in_nfc_and_size(tmp_path, mixed):
    samples, _ = ingest(tmp_path, "a.parquet", mixed, Columns("image", "caption", "key"))
    assert [(s["uid"], s["caption"]) for s in (samples[0], samples[2])] == [("k0", "a dog"), ("k6", "a fox")]
    assert samples[1]["caption"] == "caf\u00e9"
    assert (samples[1]["width"], samples[1]["height"]) == (40, 20)
    assert samples[0]["image"] == mixed[0]["image"]


def test_without_a_key_the_uid_is_the_content(tmp_path, picture):
    one, other = ({"image": picture(i), "caption": "a dog", "key": "k"} for i in (0, 1))
    samples, _ = ingest(tmp_path, "a.parquet", [one, other, one])
    uids = [s["uid"] for s in samples]
    assert uids[0] == uids[2] != uids[1]


def test_row_is_the_hash_of_the_file_s_name_and_the_row_in_it(tmp_path, mixed):
    alone, _ = ingest(tmp_path / "alone", "b/part-7.parquet", mixed)
    ingest(tmp_path / "more", "a.parquet", mixed[:1])
    beside, _ = ingest(tmp_path / "more", "b/part-7.parquet", mixed)
    upper = hash_31("b/part-7.parquet")
    assert 0 <= upper < 2**31
    assert [s["row"] for s in alone] == [s["row"] for s in beside] == [(upper << 32) + i for i in (0, 3, 6)]


def test_rows_are_numbered_through_the_whole_file_and_not_by_batch(tmp_path, picture):
    image = picture(0, 8, 8)
    records = [{"image": image, "caption": "x" if i != 700 else "", "key": None} for i in range(1200)]
    samples, quarantine = ingest(tmp_path, "a.parquet", records)
    assert [s["source_row"] for s in samples] == [i for i in range(1200) if i != 700]
    assert [s["row"] & 0xFFFFFFFF for s in samples] == [s["source_row"] for s in samples]
    assert [q["source_row"] for q in quarantine] == [700]


def test_the_quarantine_s_detail_is_the_same_in_every_run(tmp_path, mixed):
    _, quarantine = ingest(tmp_path, "a.parquet", mixed)
    # an address in memory differs from run to run
    assert not [q["detail"] for q in quarantine if " at 0x" in q["detail"]]


def test_two_files_with_the_same_hash_are_refused(monkeypatch):
    monkeypatch.setattr("dejavu.data.raw.file_id", lambda path: 7)
    with pytest.raises(InputError) as error:
        file_ids(["a.parquet", "b.parquet"], "demo")
    assert {"'a.parquet'", "'b.parquet'", "rename"} <= set(sentence(error).replace(";", "").split())
