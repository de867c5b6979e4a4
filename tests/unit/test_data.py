"""From raw files to manifests: identity, quarantine, objects, stable splits."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFile

from dejavu.data.annotate import annotate_file
from dejavu.data.forms.base import file_bounds
from dejavu.data.images import BadImage, decode_rgb, open_image, to_square
from dejavu.data.ingest import Ingested, RawFile, ingest_file
from dejavu.data.quarantine import check_quarantine
from dejavu.data.raw import Columns, file_ids, open_raw, read_raw, take_inventory
from dejavu.data.samples import SampleStore
from dejavu.data.synthetic import make_pairs, make_world
from dejavu.errors import InputError
from dejavu.files import glob_files, matching_files, write_json
from dejavu.plan.datasets import Dataset, make_batches
from dejavu.plan.supply import check_supply
from dejavu.progress import Progress
from dejavu.tables import QUARANTINE, SAMPLES

COLUMNS = Columns(image="image", caption="caption", key="key", objects="objects")
PAIRS = Columns(image="image", caption="caption")
PAIR_COLUMNS = {"image": "image", "caption": "caption"}


def progress() -> Progress:
    return Progress("test", 0, "rows")


def hash_31(name: str) -> int:
    return int(hashlib.blake2b(name.encode(), digest_size=4).hexdigest(), 16) >> 1


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size; its pixels are a few bytes of nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def sentence(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# synthetic pairs


def test_a_synthetic_pair_depends_on_seed_and_number_alone():
    world = make_world(3)
    together = list(make_pairs(world, 0, 6))
    alone = [next(make_pairs(make_world(3), i, i + 1)) for i in (5, 2, 0)]
    assert alone == [together[5], together[2], together[0]]


def test_another_seed_gives_other_synthetic_pairs():
    one, other = (next(make_pairs(make_world(seed), 0, 1)) for seed in (3, 4))
    assert one["image"] != other["image"]
    assert one["caption"] != other["caption"]
    assert one["key"] != other["key"]


def test_a_synthetic_caption_names_true_objects_and_boxes_lie_in_the_image():
    for pair in make_pairs(make_world(0), 0, 20, size=64):
        labels = [found["label"] for found in pair["objects"]]
        assert 4 <= len(labels) == len(set(labels)) <= 7
        assert labels[0] in pair["caption"]
        assert open_image(pair["image"]).size == (64, 64)
        for left, top, right, bottom in (found["box"] for found in pair["objects"]):
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 64


def test_several_synthetic_captions_say_the_same_in_other_words():
    world = make_world(0)
    for single, several in zip(make_pairs(world, 0, 30), make_pairs(world, 0, 30, captions=7), strict=True):
        captions = several.pop("caption")
        assert captions[0] == single.pop("caption")
        assert several == single
        named = {o["label"] for o in single["objects"] if o["label"] in captions[0]}
        invented = [frozenset(word.strip(",:") for word in text.split()) & set(world.words) for text in captions]
        assert all(len(words) == 3 for words in invented)
        assert len(set(invented)) == len(set(captions)) == 7
        for text in captions:
            assert {o["label"] for o in single["objects"] if o["label"] in text} == named
            assert several["scene"] in text


@pytest.mark.parametrize(("pairs", "files"), [(10, 3), (7, 7), (1000, 6)])
def test_synthetic_files_hold_every_pair_once_in_nearly_equal_parts(pairs, files):
    bounds = [file_bounds(pairs, files, i) for i in range(files)]
    assert [n for low, high in bounds for n in range(low, high)] == list(range(pairs))
    sizes = [high - low for low, high in bounds]
    assert max(sizes) - min(sizes) <= 1


# ingest


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


def test_an_image_within_the_pixel_limit_is_opened():
    assert open_image(png_header(9_500, 10_000)).size == (9_500, 10_000)


def test_a_very_long_image_is_never_enlarged_beyond_the_pixel_limit(monkeypatch):
    asked = []
    whole = Image.Image.resize

    def resize(self, size, *args, **kwargs):
        asked.append(size[0] * size[1])
        assert asked[-1] <= 100_000_000, "would need gigabytes"
        return whole(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", resize)
    image = Image.new("RGB", (65_000, 1))
    try:
        assert to_square(image, 224).shape == (224, 224, 3)
    except BadImage:
        assert not asked


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


def test_transparency_is_laid_on_white(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(path)
    assert decode_rgb(path.read_bytes()).getpixel((0, 0)) == (255, 255, 255)


def test_an_image_is_turned_upright_by_its_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "x.jpg"
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert decode_rgb(path.read_bytes()).size == (20, 30)


@pytest.mark.parametrize("upright", [False, True])
def test_a_square_is_the_middle_of_the_image(upright):
    pixels = np.zeros((32, 96, 3), dtype=np.uint8)
    pixels[:, 32:64] = 200
    image = Image.fromarray(pixels.transpose(1, 0, 2) if upright else pixels)
    assert (to_square(image, 32) == 200).all()


@pytest.mark.parametrize("size", [(100, 50), (33, 32), (7, 9), (1, 3), (31, 31)])
def test_a_square_has_the_size_asked_for(size):
    square = to_square(Image.new("RGB", size, (10, 20, 30)), 32)
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.uint8
    assert (square == (10, 20, 30)).all()


# quarantine


def quarantine_file(path: Path, reasons: list[str]) -> Path:
    rows = [
        {"source": "x.parquet", "source_row": i, "uid": None, "stage": "ingest", "reason": r, "detail": f"d{i}"}
        for i, r in enumerate(reasons)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), path)
    return path


def test_too_large_a_quarantine_stops_with_the_commonest_reasons(tmp_path):
    file = quarantine_file(tmp_path / "q.parquet", ["caption is empty", "image is missing", "image is missing"])
    with pytest.raises(InputError) as error:
        check_quarantine([file], 100, 0.02, "mine")
    message = sentence(error)
    assert "3 of 100 raw rows" in message
    assert "2 x image is missing (first: x.parquet row 1, d1); 1 x caption is empty (first: x.parquet row 0" in message
    assert "datasets.mine.max_quarantined" in message


def test_a_quarantine_of_exactly_the_allowed_share_goes_on(tmp_path):
    file = quarantine_file(tmp_path / "q.parquet", ["caption is empty"] * 3)
    check_quarantine([file], 100, 0.03, "mine")
    check_quarantine([], 0, 0.0, "mine")


# objects


def annotate(tmp_path: Path, picture, objects: pa.Array, features: object = None) -> list[dict]:
    raw, samples, quarantine = (tmp_path / f"{name}.parquet" for name in ("raw", "samples", "quarantine"))
    number = len(objects)
    captions = ["" if i == 1 else f"caption {i}" for i in range(number)]
    table = {"image": [picture(i, 8, 8) for i in range(number)], "caption": captions, "objects": objects}
    noted = {"huggingface": json.dumps({"info": {"features": {"objects": features}}})} if features else None
    pq.write_table(pa.table(table).replace_schema_metadata(noted), raw)
    columns = Columns("image", "caption", objects="objects")
    ingest_file(RawFile(raw, "raw.parquet", columns), Ingested(samples, quarantine), progress())
    annotate_file(raw, columns, samples, tmp_path / "objects.parquet", progress())
    return pq.read_table(tmp_path / "objects.parquet").to_pylist()


def test_objects_may_be_a_list_of_strings(tmp_path, picture):
    found = annotate(tmp_path, picture, pa.array([["dog", "cat"], ["quarantined"], None, [], [None, "fox"]]))
    upper = hash_31("raw.parquet") << 32
    assert [f["row"] - upper for f in found] == [0, 2, 3, 4]
    assert [[o["label"] for o in f["objects"]] for f in found] == [["dog", "cat"], [], [], ["fox"]]
    assert found[0]["objects"][0] == {"label": "dog", "score": 1.0, "box": None}


def test_objects_may_be_a_list_of_structs_with_score_and_box(tmp_path, picture):
    kind = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64()), ("box", pa.list_(pa.float64()))]))
    objects = [
        [{"label": "dog", "score": 0.25, "box": [0.0, 1.0, 2.0, 3.0]}, {"label": "cat", "score": 1, "box": None}]
    ]
    (row,) = annotate(tmp_path, picture, pa.array(objects, kind))
    assert row["objects"] == [
        {"label": "dog", "score": 0.25, "box": [0.0, 1.0, 2.0, 3.0]},
        {"label": "cat", "score": 1.0, "box": None},
    ]


def test_objects_may_be_structs_with_a_label_alone(tmp_path, picture):
    kind = pa.list_(pa.struct([("label", pa.string())]))
    (row,) = annotate(tmp_path, picture, pa.array([[{"label": "dog"}]], kind))
    assert row["objects"] == [{"label": "dog", "score": 1.0, "box": None}]


BOX = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 2.0, 2.0]]
TEXTS, NUMBERS = ["dog", "person"], [1, 0]
CLASS_NAMES = {"names": ["person", "dog"], "_type": "ClassLabel"}
LIST_OF = {"feature": {"category": CLASS_NAMES, "bbox": {"length": 4, "_type": "List"}}, "_type": "List"}
CATEGORIES = pa.dictionary(pa.int32(), pa.string())
FORMS = {
    "struct of lists": (pa.array([{"bbox": BOX, "label": TEXTS}]), None),
    "struct of lists, class numbers": (
        pa.array([{"bbox": BOX, "category": NUMBERS, "area": [12.0, 4.0]}]),
        {"feature": {"category": CLASS_NAMES, "area": {"dtype": "float32", "_type": "Value"}}, "_type": "Sequence"},
    ),
    "list of structs, class numbers": (pa.array([[{"category": n, "bbox": BOX[0]} for n in NUMBERS]]), LIST_OF),
    "list of structs, older note": (pa.array([[{"category": n} for n in NUMBERS]]), [{"category": CLASS_NAMES}]),
    "list of class numbers": (pa.array([NUMBERS]), {"feature": CLASS_NAMES, "_type": "Sequence"}),
    "category as text beside its number": (pa.array([[{"category_id": 7, "category": t} for t in TEXTS]]), None),
    "categories of pandas": (pa.array([TEXTS]).cast(pa.list_(CATEGORIES)), None),
    "texts of another type": (pa.array([TEXTS], pa.large_list(pa.large_string())), None),
    "list of a fixed size": (pa.array([TEXTS], pa.list_(pa.string(), 2)), None),
    "struct with nulls": (pa.array([{"label": TEXTS, "score": None, "box": None}]), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_objects_are_read_in_the_forms_that_datasets_and_pandas_write(tmp_path, picture, form):
    objects, features = FORMS[form]
    (row,) = annotate(tmp_path, picture, objects, features)
    assert row["objects"] == [{"label": label, "score": 1.0, "box": None} for label in TEXTS]


def test_scores_and_boxes_of_a_struct_of_lists_stay_with_their_labels(tmp_path, picture):
    (row,) = annotate(tmp_path, picture, pa.array([{"label": TEXTS, "score": [0.25, 1.0], "box": BOX}]))
    assert [(o["label"], o["score"], o["box"]) for o in row["objects"]] == [
        ("dog", 0.25, BOX[0]),
        ("person", 1.0, BOX[1]),
    ]


def test_class_numbers_that_have_no_name_are_refused(tmp_path, picture):
    with pytest.raises(InputError, match="does not say which names they stand for"):
        annotate(tmp_path, picture, pa.array([NUMBERS]))
    with pytest.raises(InputError, match="row 0: the class number 2 has no name among the 2"):
        annotate(tmp_path, picture, pa.array([[2]]), {"feature": CLASS_NAMES, "_type": "Sequence"})
    (row,) = annotate(tmp_path, picture, pa.array([[-1]]), {"feature": CLASS_NAMES, "_type": "Sequence"})
    assert row["objects"] == [{"label": None, "score": 1.0, "box": None}]


@pytest.mark.parametrize("score", [float("nan"), 87.0, -0.5, float("inf"), None])
def test_a_score_that_is_none_is_refused_naming_the_row(tmp_path, picture, score):
    objects = [[{"label": "dog", "score": 0.5}], [], [{"label": "cat", "score": score}]]
    with pytest.raises(InputError, match=r"'objects', row 2: the score .* is no number from 0 to 1"):
        annotate(tmp_path, picture, pa.array(objects))


@pytest.mark.parametrize("columns", [{"caption": ["a"], "caption.en": [list("abc")]}, {"caption": [["a"]]}])
def test_a_column_whose_name_has_a_dot_is_not_a_part_of_another(tmp_path, columns):
    pq.write_table(pa.table({"image": [b"x"], **columns}), tmp_path / "raw.parquet")
    dotted = Columns("image", "caption.en" if "caption.en" in columns else "caption")
    counts = take_inventory({"raw": str(tmp_path / "raw.parquet")}, dotted, every_caption=True)
    assert counts == {"raw": 3 if "caption.en" in columns else 1}
    if "caption.en" in columns:
        counts = take_inventory({"raw": str(tmp_path / "raw.parquet")}, Columns("image", "caption"), True)
        assert counts == {"raw": 1}


def test_two_columns_of_one_name_are_refused_where_they_are_used(tmp_path):
    arrays = [pa.array([b"x"]), pa.array(["a dog"]), pa.array(["un chien"])]
    pq.write_table(pa.Table.from_arrays(arrays, ["image", "caption", "caption"]), tmp_path / "raw.parquet")
    with pytest.raises(InputError, match="has 2 columns 'caption', so columns.caption is ambiguous"):
        take_inventory({"raw": str(tmp_path / "raw.parquet")}, Columns("image", "caption"))


@pytest.mark.parametrize(
    "objects",
    [
        pa.array(["dog"]),
        pa.array([[1, 2]]),
        pa.array([{"label": "dog"}]),
        pa.array([[{"colour": "dog"}]]),
        pa.array([[{"label": 3}]]),
        pa.array([[{"label": "dog", "score": "high"}]]),
    ],
    ids=["string", "numbers", "struct", "no_label", "label_is_a_number", "score_is_a_text"],
)
def test_objects_of_another_type_are_refused_with_a_sentence(tmp_path, picture, objects):
    with pytest.raises(InputError) as error:
        annotate(tmp_path, picture, objects)
    message = sentence(error)
    assert str(tmp_path / "raw.parquet") in message
    assert "'objects'" in message
    assert "columns.objects" in message


def test_a_raw_file_that_lost_rows_since_it_was_ingested_is_refused(tmp_path, picture):
    annotate(tmp_path, picture, pa.array([["dog"], ["cat"], ["fox"]]))
    raw = tmp_path / "raw.parquet"
    pq.write_table(pq.read_table(raw).slice(0, 2), raw)
    columns = Columns("image", "caption", objects="objects")
    with pytest.raises(InputError) as error:
        annotate_file(raw, columns, tmp_path / "samples.parquet", tmp_path / "objects.parquet", progress())
    assert str(raw) in sentence(error)


# samples by row


def test_a_manifest_of_other_data_is_refused_naming_the_file(tmp_path, write_batch):
    folder = write_batch(tmp_path / "s", SAMPLES, [{"row": 1, "uid": "u", "caption": "c"}])
    with pytest.raises(InputError) as error:
        list(SampleStore([folder]).read(np.array([1, 2]), ["uid"]))
    assert "00000000.parquet" in sentence(error)
    with pytest.raises(InputError, match="1 rows of a manifest"):
        list(SampleStore([folder]).read(np.array([1, 5 << 32]), ["uid"]))


def test_no_rows_are_read_as_none(tmp_path, write_batch):
    folder = write_batch(tmp_path / "s", SAMPLES, [{"row": 1, "uid": "u", "caption": "c"}])
    assert list(SampleStore([folder]).read(np.array([], dtype=np.int64), ["uid"])) == []


# raw files


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


# batches


NAMES = [f"shard/{i:05d}.parquet" for i in range(300)]


@pytest.mark.parametrize("files_per_job", [1, 2, 8, 1000])
def test_batches_hold_every_file_exactly_once_in_order(files_per_job):
    batches = make_batches(NAMES, files_per_job)
    assert [name for found in batches.values() for name in found] == NAMES
    assert max(map(len, batches.values())) <= 2 * files_per_job


def test_adding_a_file_changes_few_batches():
    before = make_batches(NAMES, 8)
    changed = []
    for after_file in range(0, 300, 10):
        names = sorted([*NAMES, f"shard/{after_file:05d}b.parquet"])
        changed.append(sum(before.get(name) != found for name, found in make_batches(names, 8).items()))
    assert sum(changed) / len(changed) <= 3
    assert max(changed) <= 6 < len(before) / 3


def test_raw_patterns_are_relative_to_the_root_and_so_is_identity(tmp_path):
    for name in ("b/2.parquet", "b/1.parquet", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    section = {"root": str(tmp_path), "raw": ["b/*.parquet"], "files_per_job": 4, "columns": {}}
    dataset = Dataset.of("mine", section)
    assert dict(dataset.paths) == {f"b/{i}.parquet": str(tmp_path / f"b/{i}.parquet") for i in (1, 2)}


@pytest.mark.parametrize("pattern", ["nothing-*.parquet", "/absolute/*.parquet"])
def test_a_pattern_without_files_is_refused_with_a_sentence(tmp_path, pattern):
    with pytest.raises(InputError) as error:
        Dataset.of("mine", {"root": str(tmp_path), "raw": [pattern], "files_per_job": 4})
    assert "datasets.mine.raw" in sentence(error)
    assert pattern in sentence(error)


def test_a_pattern_matches_as_a_shell_does_and_files_of_a_folder_table(tmp_path):
    files = {
        "part-0.parquet", "in/part-1.parquet", "._part-0.parquet", ".ipynb_checkpoints/part-0-checkpoint.parquet",
        ".Trash-1000/files/old.parquet", ".part-2.parquet.Xy12Ab", "spark.parquet/part-3.parquet",
        "spark.parquet/key=1/part-4.parquet", "spark.parquet/_SUCCESS", "spark.parquet/_temporary/0/part-5.parquet",
        "spark.parquet/.part-3.parquet.crc", "empty.parquet/_SUCCESS", "notes.txt",
    }  # fmt: skip
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    table = ["spark.parquet/key=1/part-4.parquet", "spark.parquet/part-3.parquet"]
    assert glob_files("*.parquet", tmp_path) == ["part-0.parquet", *table]
    assert glob_files("**/*.parquet", tmp_path) == ["in/part-1.parquet", "part-0.parquet", *table]
    assert glob_files(".ipynb*/*.parquet", tmp_path) == [".ipynb_checkpoints/part-0-checkpoint.parquet"]
    section = {"root": str(tmp_path), "raw": ["**/*.parquet"], "files_per_job": 4}
    assert sorted(Dataset.of("mine", section).paths) == sorted(["in/part-1.parquet", "part-0.parquet", *table])


@pytest.mark.parametrize("name", ["part-{0}.parquet", "a}.parquet"])
def test_a_name_that_snakemake_takes_for_a_pattern_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="has braces in its name, .* rename it"):
        Dataset.of("mine", {"root": str(tmp_path), "raw": ["*.parquet"], "files_per_job": 4})
    with pytest.raises(InputError, match=r"annotate\.files: .* has braces in its name"):
        matching_files("annotate.files", [f"{tmp_path}/*.parquet"])
