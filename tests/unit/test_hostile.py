"""Data from strangers: nothing crashes, nothing is lost without a row, nothing is executed, nothing else is opened."""

from __future__ import annotations

import io
import os
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFile

from dejavu.data import sources
from dejavu.data.annotate import annotate_file
from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.forms.coco import write_coco, write_coco_file
from dejavu.data.images import decode_rgb
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns, open_raw, read_raw
from dejavu.data.texts import clean_caption
from dejavu.database.tables import create_tables, insert
from dejavu.errors import InputError
from dejavu.memorization.labels import Normalizer
from dejavu.progress import Progress
from dejavu.tables import DATABASE, FINGERPRINTS

PAIRS = Columns("image", "caption")
COPY = Ingestion()
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "'); DROP TABLE samples; --",
    "$(touch pwned) `touch pwned` ${HOME}",
    "=HYPERLINK(1)",
]


def progress() -> Progress:
    return Progress("test", 0, "pairs")


def ingest(
    folder: Path, table: pa.Table, columns: Columns = PAIRS, how: Ingestion = COPY
) -> tuple[list[dict], list[dict]]:
    """Samples and quarantine of a raw file, which together have every row of it."""
    raw, samples, quarantine = (folder / f"{name}.parquet" for name in ("raw", "samples", "quarantine"))
    folder.mkdir(exist_ok=True)
    pq.write_table(table, raw)
    ingest_file(RawFile(raw, "raw.parquet", columns), Ingested(samples, quarantine), progress(), how)
    found = [pq.read_table(file).to_pylist() for file in (samples, quarantine)]
    assert sorted(row["source_row"] for part in found for row in part) == list(range(table.num_rows))
    assert all(row["reason"] and row["detail"] for row in found[1])
    return found[0], found[1]


def reason(folder: Path, picture: Callable[..., bytes], *, image: object = None, caption: object = "a dog") -> str:
    """Why one pair is set aside, beside a good one, which is not."""
    images = [picture(0), picture(1) if image is None else image]
    samples, quarantine = ingest(folder, pa.table({"image": images, "caption": ["a cat", caption]}))
    assert [sample["caption"] for sample in samples] == ["a cat"]
    return quarantine[0]["reason"]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * (width + 1) * min(height, 1000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + body + png_chunk(b"IEND", b"")


# images


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_jpeg_is_set_aside(tmp_path, picture, share):
    whole = picture(1, 200, 200, "JPEG")
    assert reason(tmp_path, picture, image=whole[: int(len(whole) * share)]) == "image cannot be decoded"


@pytest.mark.parametrize("size", [(40_000, 40_000), (2**31 - 1, 2**31 - 1), (200_000_000, 1)])
def test_a_png_of_gigapixels_is_set_aside_before_any_pixel_is_decoded(tmp_path, picture, monkeypatch, size):
    whole = ImageFile.ImageFile.load

    def load(self):
        assert self.width * self.height <= 100_000_000, "decoded"
        return whole(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    image = png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", *size), 1)
    ihdr = image.index(b"IHDR")
    image = image[: ihdr + 17] + struct.pack(">I", zlib.crc32(image[ihdr : ihdr + 17])) + image[ihdr + 21 :]
    assert reason(tmp_path, picture, image=image) == "image has too many pixels"


def test_a_png_whose_text_inflates_to_hundreds_of_megabytes_does_not_fill_the_memory(tmp_path, picture):
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    image = png(8, 8, png_chunk(b"zTXt", b"k\0\0" + packed))
    tracemalloc.start()
    samples, quarantine = ingest(tmp_path, pa.table({"image": [image], "caption": ["a dog"]}))
    assert len(samples) + len(quarantine) == 1
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def test_a_zip_named_jpg_is_set_aside(tmp_path, picture):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.jpg", picture(0))
    (tmp_path / "x.jpg").write_bytes(buffer.getvalue())
    table = pa.table({"image": ["x.jpg"], "caption": ["a dog"]})
    _, quarantine = ingest(tmp_path, table, how=Ingestion(image_root=str(tmp_path)))
    assert [q["reason"] for q in quarantine] == ["image cannot be decoded"]
    assert reason(tmp_path, picture, image=buffer.getvalue()) == "image cannot be decoded"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PPM", "TGA"])
def test_other_formats_never_reach_their_decoders(tmp_path, picture, kind):
    assert reason(tmp_path, picture, image=picture(1, kind=kind)) == "image cannot be decoded"


def test_images_of_random_bytes_never_stop_ingest(tmp_path, picture):
    rng = np.random.default_rng(0)
    images = []
    for i in range(120):
        content = bytearray(picture(i, 24, 24, ("JPEG", "PNG", "WEBP")[i % 3]))
        for place in rng.integers(0, len(content), size=8):
            content[place] = rng.integers(256)
        images.append(bytes(content))
    _, quarantine = ingest(tmp_path, pa.table({"image": images, "caption": ["a dog"] * len(images)}))
    assert quarantine
    # an address in memory differs from run to run
    assert not [q["detail"] for q in quarantine if " at 0x" in q["detail"]]


# captions and keys


def test_a_caption_of_100_megabytes_is_set_aside(tmp_path, picture):
    assert reason(tmp_path, picture, caption="e\u0301" * (100 * 2**20 // 3)) == "caption is too long"


def test_the_longest_caption_is_configured(tmp_path, picture):
    table = pa.table({"image": [picture(0)] * 2, "caption": ["abcde", "abcdef"]})
    samples, quarantine = ingest(tmp_path, table, how=Ingestion(max_caption=5))
    assert [sample["caption"] for sample in samples] == ["abcde"]
    assert [q["reason"] for q in quarantine] == ["caption is too long"]


def test_control_characters_are_removed_and_marks_of_direction_kept():
    assert clean_caption("a\0 dog\x07\x1b[31m\x9f", 100) == "a dog[31m"
    assert clean_caption("one\r\ntwo\tthree\u2028four", 100) == "one  two three four"
    arabic = "\u202e\u0643\u0644\u0628 dog \u200f\u2067x\u2069"
    assert clean_caption(arabic, 100) == arabic
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean_caption(family, 100) == family


@pytest.mark.parametrize("caption", ["\0\0", "\u200b\u200f", "\u3000 \u00a0", "\ufeff"])
def test_a_caption_without_anything_visible_is_set_aside(tmp_path, picture, caption):
    assert reason(tmp_path, picture, caption=caption) == "caption is empty"


def broken_text(values: list[bytes]) -> pa.Array:
    """Texts that are not checked to be UTF-8, as a careless writer leaves them."""
    array = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(array), array.buffers())


def test_texts_that_are_not_utf8_are_set_aside(tmp_path, picture):
    captions, keys = broken_text([b"a dog", b"\xff\xfe", b"a cat"]), broken_text([b"k0", b"k1", b"\x80"])
    table = pa.table({"image": [picture(i) for i in range(3)], "caption": captions, "key": keys})
    samples, quarantine = ingest(tmp_path, table, Columns("image", "caption", "key"))
    assert [sample["uid"] for sample in samples] == ["k0"]
    assert [q["reason"] for q in quarantine] == ["caption is not UTF-8", "key is not UTF-8"]
    lists = pa.ListArray.from_arrays([0, 1, 2, 3], captions)
    samples, quarantine = ingest(tmp_path, table.set_column(1, "caption", lists))
    assert [q["reason"] for q in quarantine] == ["caption is not UTF-8"]


def test_a_key_of_megabytes_is_set_aside(tmp_path, picture):
    table = pa.table({"image": [picture(0)], "caption": ["a dog"], "key": ["k" * 2**20]})
    _, quarantine = ingest(tmp_path, table, Columns("image", "caption", "key"))
    assert [q["reason"] for q in quarantine] == ["key is too long"]


def test_markup_in_captions_keys_and_labels_stays_text(tmp_path, picture, repository, monkeypatch):
    monkeypatch.chdir(tmp_path)
    number = len(MARKUP)
    table = pa.table(
        {
            "image": [picture(i) for i in range(number)],
            "caption": MARKUP,
            "key": MARKUP,
            "objects": [[text] for text in MARKUP],
        }
    )
    columns = Columns("image", "caption", "key", "objects")
    samples, _ = ingest(tmp_path, table, columns)
    assert [(s["caption"], s["uid"]) for s in samples] == list(zip(MARKUP, MARKUP, strict=True))
    annotate_file(tmp_path / "raw.parquet", columns, tmp_path / "samples.parquet", tmp_path / "o.parquet", progress())
    labels = [entry[0]["label"] for entry in pq.read_table("o.parquet")["objects"].to_pylist()]
    assert labels == MARKUP

    schema = DATABASE["samples"][1]
    records = [{"row": s["row"], "uid": s["uid"], "caption": s["caption"], "objects": [s["uid"]]} for s in samples]
    with duckdb.connect() as connection:
        create_tables(connection)
        insert(connection, "samples", pa.Table.from_pylist(records, schema=schema))
        stored = connection.execute("SELECT caption, uid, objects[1] FROM samples ORDER BY row").fetchall()
    assert stored == [(text, text, text) for text in MARKUP]
    assert not (tmp_path / "pwned").exists()


def test_no_template_of_the_report_turns_escaping_off(repository):
    for template in (repository / "workflow" / "report").rglob("*.j2"):
        assert not re.search(r"\|\s*safe\b|autoescape", template.read_text(encoding="utf-8")), template


# rows and files


def test_rows_of_nulls_are_set_aside(tmp_path, picture):
    empty = {"image": pa.nulls(3), "caption": pa.nulls(3), "key": pa.nulls(3)}
    samples, quarantine = ingest(tmp_path, pa.table(empty), Columns("image", "caption", "key"))
    assert (len(samples), len(quarantine)) == (0, 3)
    structs = pa.array(
        [None, {"bytes": None, "path": None}], pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    _, quarantine = ingest(tmp_path, pa.table({"image": structs, "caption": [None, "a dog"]}))
    assert {q["reason"] for q in quarantine} == {"image is missing"}
    ingest(tmp_path, pa.table({"image": pa.array([], pa.binary()), "caption": pa.array([], pa.string())}))


def test_files_whose_schemas_differ_give_the_same_samples(tmp_path, picture):
    image, numbers = picture(0), [7, 8, 9]
    texts = [str(number) for number in numbers]
    keys = [
        pa.array(numbers, pa.int32()),
        pa.array(numbers, pa.uint64()),
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.array(texts).dictionary_encode(),
        pa.array(texts, pa.string_view()),
    ]
    captions = [
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.array(texts).dictionary_encode(),
        pa.array([[text] for text in texts]),
        pa.array([[text] for text in texts], pa.large_list(pa.large_string())),
        pa.array([[text] for text in texts], pa.list_(pa.string(), 1)),
    ]
    images = [pa.array([image] * 3), pa.array([image] * 3, pa.large_binary()), pa.array([{"bytes": image}] * 3)] * 2
    found = []
    for i, (key, caption, picture_column) in enumerate(zip(keys, captions, images, strict=True)):
        table = pa.table({"key": key, "caption": caption, "image": picture_column, f"other {i}": numbers})
        samples, quarantine = ingest(tmp_path / str(i), table, Columns("image", "caption", "key"))
        assert not quarantine
        found.append([(s["uid"], s["caption"], s["image"]) for s in samples])
    assert found == [[(text, text, image) for text in texts]] * len(found)


def test_a_corrupt_footer_or_page_never_ends_in_anything_but_a_sentence(tmp_path, picture):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"image": [picture(0)] * 50, "caption": [f"caption {i}" for i in range(50)]}), whole)
    content = whole.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for start, length in [(footer, 40), (footer + 100, 40), (footer, len(content) - 8 - footer), (40, 200)]:
        for filler in (b"\0", b"\xff"):
            broken = tmp_path / "broken.parquet"
            broken.write_bytes(content[:start] + filler * length + content[start + length :])
            try:
                list(read_raw(broken, PAIRS, ("image", "caption")))
            except InputError as error:
                assert str(broken) in str(error)
                assert "\n" not in str(error)
                refused += 1
    assert refused >= 5


def test_a_file_with_more_rows_than_row_numbers_is_refused(tmp_path, picture):
    raw = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"image": [picture(0)], "caption": ["a dog"]}), raw)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="split it"):
        patch.setattr("dejavu.data.ingest.CAPTIONS_PER_ROW", 2**33)
        how = Ingestion(captions="all")
        ingest_file(RawFile(raw, "raw.parquet", PAIRS), Ingested(tmp_path / "s", tmp_path / "q"), progress(), how)


def test_a_path_that_leaves_the_root_is_set_aside_and_never_opened(tmp_path, picture, monkeypatch):
    root, outside = tmp_path / "root", tmp_path / "root-outside"
    for folder in (root / "in", outside):
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(picture(0))
    (root / "link.png").symlink_to(outside / "x.png")
    (root / "folder").symlink_to(outside)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "good.png").symlink_to(root / "in" / "x.png")
    os.mkfifo(root / "pipe.png")
    opened = []
    whole = os.open

    def open_(path, *others, **more):
        opened.append(str(path))
        return whole(path, *others, **more)

    monkeypatch.setattr(sources.os, "open", open_)
    bad = {
        str(outside / "x.png"): "image path leaves its root",
        "../root-outside/x.png": "image path leaves its root",
        "in/../../root-outside/x.png": "image path leaves its root",
        "link.png": "image is a link out of its root",
        "folder/x.png": "image is a link out of its root",
        "%2e%2e/root-outside/x.png": "image path leaves its root",
        "..\\root-outside\\x.png": "image path leaves its root",
        f"file://{outside}/x.png": "image path leaves its root",
        "https://example.org/x.png": "image is an address",
        "data:image/png;base64,???": "image is an address",
        "/etc/passwd": "image path leaves its root",
        ".": "image path leaves its root",
        "": "image is missing",
        "in": "image is missing",
        "nothing.png": "image is missing",
        "pipe.png": "image is missing",
        "a\0b.png": "image is missing",
        "x" * 5000: "image is missing",
    }
    inside = ["in/x.png", "good.png", "in/../in/x.png", str(root / "in" / "x.png"), "in/x.png\n", "in\\x.png"]
    names = [*bad, *inside, "loop.png"]
    table = pa.table({"image": names, "caption": ["a dog"] * len(names)})
    samples, quarantine = ingest(tmp_path, table, how=Ingestion(image_root=str(root)))
    assert {names[q["source_row"]]: q["reason"] for q in quarantine if q["source_row"] < len(bad)} == bad
    assert [names[s["source_row"]] for s in samples] == inside
    assert opened
    assert all(os.path.realpath(path).startswith(f"{root}/") for path in opened)


def test_a_crash_leaves_no_half_file(tmp_path, picture, monkeypatch):
    raw = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"image": [picture(0)] * 1500, "caption": ["a dog"] * 1500}), raw)
    calls = iter(range(10_000))

    def decode(data):
        if next(calls) == 1200:
            raise MemoryError
        return decode_rgb(data)

    monkeypatch.setattr("dejavu.data.ingest.decode_rgb", decode)
    with pytest.raises(MemoryError):
        outputs = Ingested(tmp_path / "out" / "s", tmp_path / "out" / "q")
        ingest_file(RawFile(raw, "raw.parquet", PAIRS), outputs, progress())
    assert list((tmp_path / "out").iterdir()) == []


def test_half_characters_and_markup_in_coco_annotations_do_no_harm(tmp_path, picture):
    (tmp_path / "x.png").write_bytes(picture(0))
    (tmp_path / "captions.json").write_text(
        '{"images": [{"id": 1, "file_name": "x.png"}, {"id": 2, "file_name": "../\\ud800.png"}], "annotations": '
        '[{"image_id": 1, "caption": "a \\ud800 <b>dog</b>"}, {"image_id": 2, "caption": 5}]}'
    )
    (tmp_path / "instances.json").write_text(
        '{"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, "x", 4]}], '
        '"categories": [{"id": 1, "name": "\\udfff<i>"}]}'
    )
    write_coco(tmp_path / "captions.json", tmp_path / "instances.json", tmp_path / "coco.parquet")
    write_coco_file(tmp_path / "coco.parquet", 1, 0, tmp_path / "part.parquet")
    rows = pq.read_table(tmp_path / "part.parquet").to_pylist()
    assert [row["captions"] for row in rows] == [["a ??? <b>dog</b>".replace("???", "\ufffd" * 3)], [None]]
    assert rows[0]["objects"][0]["box"] is None


# many


def test_two_million_identical_captions_are_one_group(tmp_path):
    number = 2_000_000
    rows = np.arange(number)
    same = np.full(number, 7, dtype=np.uint64)
    columns = {
        "row": rows,
        "copy": rows,
        "origin": rows,
        "key": None,
        "image": rows,
        "caption": same,
        "near_image": same,
    }
    table = pa.table(
        {
            name: pa.nulls(number, FINGERPRINTS.field(name).type) if values is None else pa.array(values)
            for name, values in columns.items()
        }
    ).cast(FINGERPRINTS)
    (tmp_path / "fingerprints").mkdir()
    pq.write_table(table, tmp_path / "fingerprints" / "00000000.parquet", row_group_size=65_536)
    criteria = Criteria(key=True, image=True, caption=True, near_image=3)
    found = group_duplicates([tmp_path / "fingerprints"], tmp_path / "g.parquet", tmp_path / "d.parquet", criteria)
    assert (found["groups"], found["largest"]) == (1, number)


def test_hostile_labels_have_a_normal_form_that_stays():
    normalizer = Normalizer({})
    for text in ["s" * 100_000, "'" * 100_000, "a'" * 50_000, "\u0301" * 100_000, "1" * 100_000, *MARKUP]:
        assert normalizer(normalizer(text)) == normalizer(text)


def test_a_raw_file_that_claims_columns_of_code_runs_none(tmp_path, picture):
    schema = pa.schema(
        [pa.field("image", pa.binary()), pa.field("caption", pa.string())],
        metadata={"pandas": "not json", "ARROW:extension:name": "arrow.py_extension_type", "huggingface": "{"},
    )
    table = pa.Table.from_pylist([{"image": picture(0), "caption": "a dog"}], schema=schema)
    samples, _ = ingest(tmp_path, table)
    assert len(samples) == 1
    assert open_raw(tmp_path / "raw.parquet", PAIRS).metadata.num_rows == 1
    assert Image.open(io.BytesIO(samples[0]["image"])).size == (32, 32)
