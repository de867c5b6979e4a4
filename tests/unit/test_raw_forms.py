"""The same pairs in every form that raw files may have give the same samples."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tests.harness.raw_forms import (
    FORMS,
    ingest,
    with_bytes,
    with_paths,
    with_tar,
)

from dejavu.data.samples import SampleStore, scan_file
from dejavu.errors import InputError


def by_uid(samples: list[dict], *without: str) -> dict[str, dict]:
    left_out = {"row", "source", "source_row", *without}
    found = {s["uid"]: {key: value for key, value in s.items() if key not in left_out} for s in samples}
    assert len(found) == len(samples)
    return found


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_raw_files_gives_the_same_samples(tmp_path, pairs, form):
    samples, quarantine = ingest(form(tmp_path, pairs), tmp_path)
    assert not quarantine
    expected = {}
    for pair in pairs:
        width, height = Image.open(io.BytesIO(pair.image)).size
        uid = str(pair.key)
        expected[uid] = {
            "uid": uid,
            "caption": pair.caption,
            "image": pair.image,
            "width": width,
            "height": height,
            "other_captions": [],
        }
    assert by_uid(samples) == expected


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_images_that_are_only_referenced_are_read_as_if_they_were_copied(tmp_path, pairs, form):
    made = form(tmp_path, pairs)
    copied, _ = ingest(made, tmp_path / "copy")
    referenced, _ = ingest(replace(made, how=replace(made.how, store="reference")), tmp_path / "reference")
    assert {s["image"] for s in referenced} == {None}
    assert by_uid(referenced, "image") == by_uid(copied, "image")
    stored = [SampleStore([tmp_path / kind / "samples"]) for kind in ("copy", "reference")]
    rows = np.random.default_rng(1).permutation([s["row"] for s in copied])[:90]
    for read in (
        lambda store: store.read(rows, ["caption", "image"]),
        lambda store: store.read(rows[:1], ["image"]),
        lambda store: store.batches(rows, ["image"], 40),
        lambda store: store.scan(["image", "row", "source_row"]),
        lambda store: scan_file(next(iter(store.files.values())), ["image"]),
    ):
        one, other = (pa.concat_tables(read(store)) for store in stored)
        assert one.column_names == other.column_names
        assert one.to_pylist() == other.to_pylist()


@pytest.mark.parametrize("form", [with_bytes, with_paths, with_tar])
def test_a_referenced_image_that_is_gone_is_named(tmp_path, pairs, form):
    made = form(tmp_path, pairs)
    samples, _ = ingest(replace(made, how=replace(made.how, store="reference")), tmp_path / "out")
    if form is with_paths:
        (tmp_path / "images" / pairs[5].file).unlink()
    else:
        (tmp_path / ("raw.tar" if form is with_tar else "raw.parquet")).unlink()
    with pytest.raises(InputError) as error:
        list(SampleStore([tmp_path / "out" / "samples"]).read(np.array([samples[5]["row"]]), ["image"]))
    assert ("raw.tar" if form is with_tar else "row 5 of") in str(error.value)
