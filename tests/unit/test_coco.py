"""COCO's annotations become samples and objects."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from tests.harness.raw_forms import (
    PAIRS,
    Form,
    coco_json,
    ingest,
    progress,
    write_files,
)

from dejavu.data.annotate import annotate_file
from dejavu.data.forms.coco import COLUMNS as COCO_COLUMNS
from dejavu.data.forms.coco import write_coco, write_coco_file
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns
from dejavu.errors import InputError


def test_a_coco_set_goes_from_its_annotations_to_samples_and_objects(tmp_path, pairs):
    write_files(tmp_path / "images", pairs)
    assert write_coco(*coco_json(tmp_path, pairs), tmp_path / "coco.parquet") == PAIRS
    columns = Columns.of(COCO_COLUMNS)
    uids, found = [], {}
    for index in range(4):
        raw, samples, objects = (tmp_path / f"{index}-{name}.parquet" for name in ("raw", "samples", "objects"))
        write_coco_file(tmp_path / "coco.parquet", 4, index, raw)
        how = Ingestion(image_root=str(tmp_path / "images"))
        ingest_file(
            RawFile(raw, raw.name, columns), Ingested(samples, tmp_path / "quarantine.parquet"), progress(), how
        )
        annotate_file(raw, columns, samples, objects, progress())
        uids.append([int(uid) for uid in pq.read_table(samples)["uid"].to_pylist()])
        for uid, entry in zip(uids[-1], pq.read_table(objects)["objects"].to_pylist(), strict=True):
            found[uid] = [(o["label"], o["score"], tuple(o["box"])) for o in entry]
    # images come in order of their id, in nearly equal parts
    assert sum(uids, []) == [pair.key for pair in pairs]
    assert {len(part) for part in uids} == {PAIRS // 4}
    assert found == {
        pair.key: [(label, 1.0, (x, y, x + w, y + h)) for label, (x, y, w, h) in pair.boxes] for pair in pairs
    }


def test_a_coco_image_without_captions_is_not_lost(tmp_path, pairs):
    write_files(tmp_path / "images", pairs[:2])
    captions, instances = coco_json(tmp_path, pairs[:2])
    content = json.loads(captions.read_text())
    content["annotations"] = content["annotations"][:1]
    captions.write_text(json.dumps(content))
    write_coco(captions, instances, tmp_path / "coco.parquet")
    write_coco_file(tmp_path / "coco.parquet", 1, 0, tmp_path / "raw.parquet")
    how = Ingestion(image_root=str(tmp_path / "images"))
    samples, quarantine = ingest(Form(tmp_path / "raw.parquet", Columns.of(COCO_COLUMNS), how), tmp_path)
    assert [s["uid"] for s in samples] == [str(pairs[0].key)]
    assert [(q["uid"], q["reason"]) for q in quarantine] == [(str(pairs[1].key), "caption is empty")]


@pytest.mark.parametrize(
    ("captions", "instances", "says"),
    [
        ("{", {"annotations": [], "categories": []}, "is not a whole JSON file"),
        ({"annotations": []}, {"annotations": [], "categories": []}, "no list 'images'"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}], "annotations": []},
            {"annotations": [], "categories": []},
            "image id 1",
        ),
        ({"images": [{"id": 1}], "annotations": []}, {"annotations": [], "categories": []}, "images[0]"),
        (
            {"images": [], "annotations": []},
            {"annotations": [{"image_id": 1, "category_id": 7}], "categories": []},
            "annotations[0] has the category_id 7",
        ),
    ],
)
def test_annotations_that_are_not_coco_s_are_refused_with_a_sentence(tmp_path, captions, instances, says):
    files = []
    for name, content in (("captions", captions), ("instances", instances)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as error:
        write_coco(*files, tmp_path / "coco.parquet")
    assert says in str(error.value)
    assert ".json" in str(error.value)
    assert "\n" not in str(error.value)
