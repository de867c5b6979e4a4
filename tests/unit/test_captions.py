"""Which captions of an image become samples."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.harness.raw_forms import (
    Form,
    encoded,
    ingest,
)

from dejavu.data.images import decode_rgb
from dejavu.data.ingest import Ingestion
from dejavu.data.raw import Columns, take_inventory
from dejavu.data.samples import SampleStore


def several(folder: Path, lists: list, keys: list | None = None, **how: object) -> tuple[list[dict], list[dict]]:
    images = [encoded(Image.new("RGB", (4, 4), (i, 0, 0)), "PNG") for i in range(len(lists))]
    table = {"image": images, "caption": pa.array(lists, pa.list_(pa.string()))}
    if keys is not None:
        table["key"] = keys
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / "raw.parquet")
    columns = Columns("image", "caption", None if keys is None else "key")
    return ingest(Form(folder / "raw.parquet", columns, Ingestion(**how)), folder)


LISTS = [["one", "two"], [], None, ["", "three"], [None], ["four"]]


def test_the_first_caption_that_is_not_blank_is_taken(tmp_path):
    samples, quarantine = several(tmp_path, LISTS, list("abcdef"))
    assert [(s["uid"], s["caption"]) for s in samples] == [("a", "one"), ("d", "three"), ("f", "four")]
    assert [(q["source_row"], q["reason"]) for q in quarantine] == [(i, "caption is empty") for i in (1, 2, 4)]


def test_every_caption_can_be_a_sample_of_its_own(tmp_path):
    samples, quarantine = several(tmp_path, LISTS, list("abcdef"), captions="all")
    expected = [("a#0", "one", 0), ("a#1", "two", 1), ("d#1", "three", 3 * 64 + 1), ("f#0", "four", 5 * 64)]
    assert [(s["uid"], s["caption"], s["row"] & 0xFFFFFFFF) for s in samples] == expected
    assert [s["source_row"] for s in samples] == [0, 0, 3, 5]
    assert [(q["source_row"], q["uid"]) for q in quarantine] == [(1, "b#0"), (2, "c#0"), (3, "d#0"), (4, "e#0")]
    # the inventory counts the captions from the footer alone
    inventory = take_inventory({"x": str(tmp_path / "raw.parquet")}, Columns("image", "caption"), every_caption=True)
    assert inventory == {"x": len(samples) + len(quarantine)}


def test_captions_beyond_the_64th_are_set_aside_one_by_one(tmp_path):
    samples, quarantine = several(tmp_path, [[f"caption {i}" for i in range(70)]], captions="all")
    assert [s["row"] & 0xFFFFFFFF for s in samples] == list(range(64))
    assert len({s["uid"] for s in samples}) == 64
    assert [q["reason"] for q in quarantine] == ["row has too many captions"] * 6


MESSY = ["one", " ", "two  ", None, "one", "cafe\u0301", "far too long", "three"]


@pytest.mark.parametrize("captions", ["first", "hash", "all"])
def test_the_other_captions_of_an_image_that_can_be_used_are_kept_beside_each(tmp_path, captions):
    samples, _ = several(tmp_path, [MESSY, ["alone"]], list("ab"), captions=captions, max_caption=10)
    every = ["one", "two", "caf\u00e9", "three"]
    of_first = [s for s in samples if s["source_row"] == 0]
    assert len(of_first) == (5 if captions == "all" else 1)
    for sample in of_first:
        assert sample["caption"] in every
        assert sample["other_captions"] == [text for text in every if text != sample["caption"]]
    assert [s["other_captions"] for s in samples if s["source_row"] == 1] == [[]]


def test_of_very_many_captions_the_first_64_are_kept(tmp_path):
    (sample,), _ = several(tmp_path, [[f"caption {i}" for i in range(1000)]])
    assert sample["other_captions"] == [f"caption {i}" for i in range(1, 64)]


def test_several_captions_of_a_referenced_image_are_read_with_it(tmp_path):
    several(tmp_path, LISTS, captions="all", store="reference")
    images = pa.concat_tables(SampleStore([tmp_path / "samples"]).scan(["image"]))["image"].to_pylist()
    assert [decode_rgb(image).getpixel((0, 0))[0] for image in images] == [0, 0, 3, 5]


def test_a_caption_chosen_by_hash_does_not_depend_on_order_or_neighbours(tmp_path):
    lists = [[f"{word} {i}" for word in "abcde"] for i in range(60)]
    keys = [f"k{i}" for i in range(60)]
    samples, _ = several(tmp_path / "one", lists, keys, captions="hash")
    turned, _ = several(tmp_path / "other", [c[::-1] for c in lists[::-1]], keys[::-1], captions="hash")
    chosen = {s["uid"]: s["caption"] for s in samples}
    assert chosen == {s["uid"]: s["caption"] for s in turned}
    assert {caption[0] for caption in chosen.values()} == set("abcde")


def test_without_a_key_a_caption_is_chosen_by_a_hash_of_the_image(tmp_path):
    lists = [[f"{word} dog" for word in "abcde"]] * 40
    one, other = (several(tmp_path / name, lists, captions="hash")[0] for name in ("one", "other"))
    assert [s["caption"] for s in one] == [s["caption"] for s in other]
    assert len({s["caption"] for s in one}) == 5
