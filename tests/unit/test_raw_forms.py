"""The same pairs in every form that raw files may have give the same samples."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dejavu.config import load_config
from dejavu.data.annotate import annotate_file
from dejavu.data.forms.coco import COLUMNS as COCO_COLUMNS
from dejavu.data.forms.coco import write_coco, write_coco_file
from dejavu.data.forms.webdataset import COLUMNS as SHARD_COLUMNS
from dejavu.data.forms.webdataset import link_tar, write_shard
from dejavu.data.images import decode_rgb
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_changed, ingest_file
from dejavu.data.raw import Columns, file_id, open_raw, take_inventory
from dejavu.data.reuse import Kept
from dejavu.data.samples import SampleStore, scan_file
from dejavu.errors import InputError
from dejavu.plan.datasets import Dataset
from dejavu.progress import Progress

PAIRS = 300
KINDS = ("JPEG", "PNG", "WEBP")
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


def progress() -> Progress:
    return Progress("test", 0, "pairs")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Pair:
    key: int
    image: bytes
    caption: str
    kind: str
    boxes: tuple[tuple[str, tuple[int, int, int, int]], ...]

    @property
    def file(self) -> str:
        return f"{self.key % 3}/{self.key:09d}.{ENDINGS[self.kind]}"


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(PAIRS):
        kind = KINDS[i % 3]
        pixels = rng.integers(0, 256, size=(12 + i % 5, 10 + i % 7, 3), dtype=np.uint8)
        boxes = ((("dog", (1, 2, 3, 4)),), (("cat", (0, 0, 5, 6)), ("sofa", (2, 2, 2, 2))))[i % 2]
        made.append(Pair(1000 + i, encoded(Image.fromarray(pixels), kind), f"caption {i}, caf\u00e9", kind, boxes))
    return made


def write_files(folder: Path, pairs: list[Pair]) -> Path:
    for pair in pairs:
        (folder / pair.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / pair.file).write_bytes(pair.image)
    return folder


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@dataclass(frozen=True)
class Form:
    raw: Path
    columns: Columns
    how: Ingestion


BY_KEY = Columns("image", "caption", "key")


def with_bytes(folder: Path, pairs: list[Pair]) -> Form:
    columns = {"key": [p.key for p in pairs], "image": [p.image for p in pairs], "caption": [p.caption for p in pairs]}
    pq.write_table(pa.table(columns), folder / "raw.parquet", row_group_size=70)
    return Form(folder / "raw.parquet", BY_KEY, Ingestion())


def with_structs(folder: Path, pairs: list[Pair]) -> Form:
    write_files(folder / "images", pairs)
    structs = [{"bytes": p.image if p.key % 2 else None, "path": p.file} for p in pairs]
    image = pa.array(structs, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    columns = {"key": [str(p.key) for p in pairs], "image": image, "caption": [[p.caption] for p in pairs]}
    pq.write_table(pa.table(columns), folder / "raw.parquet")
    return Form(folder / "raw.parquet", BY_KEY, Ingestion(image_root=str(folder / "images")))


def with_paths(folder: Path, pairs: list[Pair]) -> Form:
    write_files(folder / "images", pairs)
    keys = pa.array([str(p.key) for p in pairs]).dictionary_encode()
    captions = pa.array([p.caption for p in pairs], pa.large_string())
    columns = {"key": keys, "image": [p.file for p in pairs], "caption": captions}
    pq.write_table(pa.table(columns), folder / "raw.parquet", row_group_size=100)
    return Form(folder / "raw.parquet", BY_KEY, Ingestion(image_root=str(folder / "images")))


def with_tar(folder: Path, pairs: list[Pair]) -> Form:
    order = sorted(pairs, key=lambda p: p.key % 7)  # the order of the tar is not that of the rows
    write_tar(folder / "raw.tar", {f"{p.key}.{'jpeg' if p.key % 2 else ENDINGS[p.kind]}": p.image for p in order})
    columns = {
        "key": [str(p.key) for p in pairs],
        "caption": [p.caption for p in pairs],
        "status": ["success"] * len(pairs),
        "error_message": [None] * len(pairs),
    }
    pq.write_table(pa.table(columns), folder / "raw.parquet")
    return Form(folder / "raw.parquet", Columns(None, "caption", "key"), Ingestion())


def coco_json(folder: Path, pairs: list[Pair]) -> tuple[Path, Path]:
    images = [{"id": p.key, "file_name": p.file, "width": 1, "height": 1} for p in reversed(pairs)]
    captions = [{"id": 5 * p.key, "image_id": p.key, "caption": p.caption} for p in pairs]
    names = {"dog": 18, "cat": 17, "sofa": 63}
    objects = [
        {
            "id": 10 * p.key + i,
            "image_id": p.key,
            "category_id": names[label],
            "bbox": list(box),
            "segmentation": [[0.0] * 8],
            "iscrowd": 0,
        }
        for p in pairs
        for i, (label, box) in enumerate(p.boxes)
    ]
    categories = [{"id": number, "name": name, "supercategory": "thing"} for name, number in names.items()]
    (folder / "captions.json").write_text(json.dumps({"info": {}, "images": images, "annotations": captions}))
    instances = {"images": images, "annotations": objects, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))
    return folder / "captions.json", folder / "instances.json"


def with_coco(folder: Path, pairs: list[Pair]) -> Form:
    write_files(folder / "images", pairs)
    write_coco(*coco_json(folder, pairs), folder / "coco.parquet")
    write_coco_file(folder / "coco.parquet", 1, 0, folder / "raw.parquet")
    how = Ingestion(image_root=str(folder / "images"))
    return Form(folder / "raw.parquet", Columns.of(COCO_COLUMNS), how)


def as_shard(folder: Path, members: dict[str, bytes]) -> Form:
    write_tar(folder / "shard.tar", members)
    write_shard(folder / "shard.tar", folder / "raw.parquet", "title", "things")
    link_tar(folder / "shard.tar", folder / "raw.tar")
    return Form(folder / "raw.parquet", Columns.of(SHARD_COLUMNS), Ingestion())


def with_shard(folder: Path, pairs: list[Pair]) -> Form:
    members = {}
    for pair in pairs:
        members[f"./{pair.key}.{ENDINGS[pair.kind].upper()}"] = pair.image
        members[f"./{pair.key}.txt"] = f"\ufeff{pair.caption}\n".encode()
        members[f"./{pair.key}.json"] = json.dumps({"title": "not this one"}).encode()
    return as_shard(folder, members)


def with_shard_of_json(folder: Path, pairs: list[Pair]) -> Form:
    notes = {f"{p.key}.json": json.dumps({"title": [p.caption], "width": None}).encode() for p in pairs}
    return as_shard(folder, notes | {f"{p.key}.{ENDINGS[p.kind]}": p.image for p in reversed(pairs)})


FORMS = {
    form.__name__: form
    for form in (with_bytes, with_structs, with_paths, with_tar, with_coco, with_shard, with_shard_of_json)
}


def ingest(form: Form, folder: Path) -> tuple[list[dict], list[dict]]:
    samples, quarantine = folder / "samples" / f"{file_id('x'):08x}.parquet", folder / "quarantine.parquet"
    ingest_file(RawFile(form.raw, "x", form.columns), Ingested(samples, quarantine), progress(), form.how)
    return pq.read_table(samples).to_pylist(), pq.read_table(quarantine).to_pylist()


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


# captions


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
    # the inventory knows their number from the footer alone
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


# images


def one_image(folder: Path, data: bytes, **how: object) -> tuple[dict | None, str | None]:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"image": [data], "caption": ["a dog"]}), folder / "raw.parquet")
    samples, quarantine = ingest(Form(folder / "raw.parquet", Columns("image", "caption"), Ingestion(**how)), folder)
    return (samples or [None])[0], (quarantine or [{"reason": None}])[0]["reason"]


GREY_16 = np.full((6, 8), 0x8000, dtype=np.uint16)
MODES = {
    "grey": (Image.new("L", (8, 6), 128), "PNG", (128, 128, 128)),
    "grey with alpha": (Image.new("LA", (8, 6), (0, 0)), "PNG", (255, 255, 255)),
    "palette": (Image.new("RGB", (8, 6), (255, 0, 0)).quantize(4), "PNG", (255, 0, 0)),
    "alpha": (Image.new("RGBA", (8, 6), (0, 0, 255, 0)), "WEBP", (255, 255, 255)),
    "black and white": (Image.new("1", (8, 6), 1), "PNG", (255, 255, 255)),
    "cmyk": (Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
    "16 bits": (Image.fromarray(GREY_16), "PNG", (128, 128, 128)),
}


@pytest.mark.parametrize("name", MODES)
def test_images_of_every_mode_become_rgb(tmp_path, name):
    image, kind, color = MODES[name]
    sample, _ = one_image(tmp_path, encoded(image, kind))
    assert sample is not None
    assert (sample["width"], sample["height"]) == (8, 6)
    assert np.abs(np.asarray(decode_rgb(sample["image"])).astype(int) - color).max() <= 3


def test_an_image_is_shrunk_only_when_its_short_side_is_larger(tmp_path, picture):
    large, small = picture(1, 90, 60), picture(2, 200, 30)
    sample, _ = one_image(tmp_path / "large", large, store="shrink", short_side=30)
    assert (sample["width"], sample["height"]) == (45, 30)
    assert decode_rgb(sample["image"]).size == (45, 30)
    again, _ = one_image(tmp_path / "again", large, store="shrink", short_side=30)
    assert again["image"] == sample["image"]
    kept, _ = one_image(tmp_path / "small", small, store="shrink", short_side=30)
    assert kept["image"] == small
    copied, _ = one_image(tmp_path / "copy", large)
    assert copied["uid"] == sample["uid"]


def test_a_shrunk_image_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)
    sample, _ = one_image(tmp_path, data, store="shrink", short_side=20)
    assert (sample["width"], sample["height"]) == (20, 30)
    assert Image.open(io.BytesIO(sample["image"])).size == (20, 30)


def test_an_image_below_the_smallest_side_is_set_aside(tmp_path, picture):
    assert one_image(tmp_path / "a", picture(0, 40, 15), min_side=16)[1] == "image is too small"
    assert one_image(tmp_path / "b", picture(0, 40, 16), min_side=16)[0] is not None


def named(root: Path, names: list[str], **how) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """The names whose images were found, and why the others were not."""
    table = pa.table({"key": [str(i) for i in range(len(names))], "image": names, "caption": ["a dog"] * len(names)})
    pq.write_table(table, root.parent / "raw.parquet")
    form = Form(root.parent / "raw.parquet", BY_KEY, Ingestion(image_root=str(root), **how))
    samples, quarantine = ingest(form, root.parent)
    return [names[s["source_row"]] for s in samples], {
        names[q["source_row"]]: (q["reason"], q["detail"]) for q in quarantine
    }


@pytest.mark.parametrize("through_link", [False, True])
def test_a_path_means_the_file_that_its_author_meant(tmp_path, picture, through_link):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("plain.png", "a b#c?.png", "100%.png", "sub/x.png", unicodedata.normalize("NFD", "café.png")):
        (folder / name).write_bytes(picture(0))
    (folder / "UPPER.PNG").write_bytes(picture(0))
    root = tmp_path / "link" if through_link else folder
    if through_link:
        root.symlink_to(folder)
    encoded_text = base64.b64encode(picture(1)).decode()
    good = [
        "plain.png", "./plain.png", str(root / "plain.png"), str(folder / "plain.png"), f"file://{folder}/plain.png",
        f"file://localhost{folder}/a%20b%23c%3F.png", "a b#c?.png", "a%20b%23c%3F.png", "100%.png", "plain.png ",
        "sub\\x.png", unicodedata.normalize("NFC", "café.png"), encoded_text, f"data:image/png;base64,{encoded_text}",
    ]  # fmt: skip
    found, lost = named(root, [*good, "UPPER.png", "http://example.org/plain.png"])
    assert found == good
    assert lost["UPPER.png"] == ("image is missing", f"'UPPER.png' is not in {root}, but 'UPPER.PNG' is")
    assert lost["http://example.org/plain.png"][0] == "image is an address"


@pytest.mark.parametrize("store", ["hub", "annex", "dvc", "named", "elsewhere"])
def test_links_into_the_store_of_a_known_tool_or_one_that_is_named_are_followed(tmp_path, picture, store):
    root, blobs = {
        "hub": ("datasets--x/snapshots/0123/images", "datasets--x/blobs"),
        "annex": ("work/images", "work/.git/annex/objects/aB"),
        "dvc": ("work/images", "work/.dvc/cache/files/md5"),
    }.get(store, ("images", "objects"))
    for folder in (root, blobs):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / blobs / "0123").write_bytes(picture(0))
    (tmp_path / root / "x.png").symlink_to(tmp_path / blobs / "0123")
    how = {"image_links": [str(tmp_path / blobs)]} if store == "named" else {}
    found, lost = named(tmp_path / root, ["x.png", str(tmp_path / blobs / "0123")], **how)
    assert found == ([] if store == "elsewhere" else ["x.png"])
    if store == "elsewhere":
        reason, detail = lost["x.png"]
        assert reason == "image is a link out of its root"
        assert f"is a link to {tmp_path / blobs / '0123'}: name the folder that it leads into in image_links" in detail
    # what is not named through a link is not below the root
    assert lost[str(tmp_path / blobs / "0123")][0] == "image path leaves its root"


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8))


def png_texts(*texts: str, zip_: bool = True) -> PngInfo:
    info = PngInfo()
    for number, text in enumerate(texts):
        info.add_itxt(f"text {number}", text, zip=zip_)
    return info


def with_exif(exif: bytes) -> bytes:
    return encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + exif)


METADATA = {
    "a large colour profile": lambda: encoded(PICTURE, "PNG", icc_profile=b"\0" * 1_500_000),
    "a large text": lambda: encoded(PICTURE, "PNG", pnginfo=png_texts("<x/>" * 300_000)),
    "many texts": lambda: encoded(PICTURE, "PNG", pnginfo=png_texts(*["y" * 1_000_000] * 70)),
    "a large text behind the pixels": lambda: text_behind(encoded(PICTURE, "PNG")),
    "EXIF that is cut": lambda: with_exif(b"MM\0*\0\0\0\x08\0\xff\x01\x12"),
    "EXIF that is nonsense": lambda: with_exif(b"nonsense"),
    "EXIF of a text where a number is expected": lambda: with_exif(
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0"
    ),
    "a comment": lambda: encoded(PICTURE, "JPEG", comment="taken by somebody"),
    "a damaged profile": lambda: encoded(PICTURE, "JPEG", icc_profile=b"nonsense"),
}


def text_behind(data: bytes) -> bytes:
    chunk = b"zTXt" + b"k\0\0" + zlib.compress(b"y" * 3_000_000)
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    end = data.index(b"IEND") - 4
    return data[:end] + (len(chunk) - 4).to_bytes(4, "big") + chunk + crc + data[end:]


@pytest.mark.parametrize("kind", METADATA)
def test_a_picture_is_not_lost_for_what_is_not_the_picture(tmp_path, kind):
    data = METADATA[kind]()
    sample, reason = one_image(tmp_path, data)
    assert sample is not None, reason
    pixels = np.asarray(decode_rgb(sample["image"]))
    lossless = data.startswith(b"\x89PNG")
    assert np.array_equal(pixels, np.asarray(PICTURE if lossless else Image.open(io.BytesIO(encoded(PICTURE, "JPEG")))))


def test_a_shrunken_image_carries_pixels_and_nothing_else(tmp_path):
    plain, _ = one_image(tmp_path / "plain", encoded(PICTURE, "JPEG"), store="shrink", short_side=8)
    icc, exif = b"\0" * 128, Image.Exif()
    exif[0x010E] = "taken by somebody"
    for name, more in {"comment": {"comment": "x"}, "exif": {"exif": exif}, "icc": {"icc_profile": icc},
                       "dpi": {"dpi": (300, 300)}, "xmp": {"xmp": b"<x/>"}}.items():  # fmt: skip
        sample, _ = one_image(tmp_path / name, encoded(PICTURE, "JPEG", **more), store="shrink", short_side=8)
        assert sample["image"] == plain["image"], name


# tars


def test_a_row_that_img2dataset_could_not_download_is_set_aside_with_its_message(tmp_path, picture):
    columns = {
        "key": ["000", "001", "002", "003"],
        "caption": ["a", "b", "c", "d"],
        "status": ["success", "failed_to_download", None, "success"],
        "error_message": [None, "HTTP Error 404: Not Found", None, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "raw.parquet")
    write_tar(tmp_path / "raw.tar", {"000.txt": b"a", "000.jpg": picture(0, kind="JPEG"), "000.json": b"{}"})
    samples, quarantine = ingest(Form(tmp_path / "raw.parquet", Columns(None, "caption", "key"), Ingestion()), tmp_path)
    assert [s["uid"] for s in samples] == ["000"]
    assert {q["uid"]: (q["reason"], q["detail"]) for q in quarantine} == {
        "001": ("download failed", "failed_to_download: HTTP Error 404: Not Found"),
        "002": ("status is empty", "it is success where a download succeeded"),
        "003": ("image is missing", "raw.tar has no image of key '003'"),
    }


def test_links_in_a_tar_are_not_followed(tmp_path, picture):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(picture(0, kind="JPEG"))
    with tarfile.open(tmp_path / "raw.tar", "w") as tar:
        for name, kind in (("0.jpg", tarfile.SYMTYPE), ("1.jpg", tarfile.LNKTYPE), ("2.jpg", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            tar.addfile(info)
    pq.write_table(pa.table({"key": list("012"), "caption": list("abc")}), tmp_path / "raw.parquet")
    samples, quarantine = ingest(Form(tmp_path / "raw.parquet", Columns(None, "caption", "key"), Ingestion()), tmp_path)
    assert not samples
    assert [q["reason"] for q in quarantine] == ["image is missing"] * 3


@pytest.mark.parametrize("damage", ["cut", "compressed", "missing", "nonsense"])
def test_a_damaged_tar_is_refused_with_a_sentence(tmp_path, pairs, damage):
    form = with_tar(tmp_path, pairs)
    tar = tmp_path / "raw.tar"
    if damage == "missing":
        tar.unlink()
    else:
        whole = tar.read_bytes()
        compressed = io.BytesIO()
        with tarfile.open(fileobj=compressed, mode="w:gz"):
            pass
        cut = whole[: whole.rindex(b"ustar") + 300]
        tar.write_bytes({"cut": cut, "compressed": compressed.getvalue(), "nonsense": b"\1" * 5000}[damage])
    with pytest.raises(InputError) as error:
        ingest(form, tmp_path)
    assert str(tar) in str(error.value)
    assert "\n" not in str(error.value)


# schemas that differ from file to file


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


# COCO


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
    # by order of image id, in nearly equal parts
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


# only what is new is ingested


def test_of_a_changed_batch_only_changed_files_are_ingested(tmp_path, pairs, monkeypatch):
    forms = {}
    for name, form in (("a", with_bytes), ("b", with_tar), ("c", with_paths)):
        (tmp_path / name).mkdir()
        forms[name] = form(tmp_path / name, pairs[:20])
    read: list[str] = []

    def counting(raw, *others):
        read.append(raw.name)
        return ingest_file(raw, *others)

    monkeypatch.setattr("dejavu.data.ingest.ingest_file", counting)

    def run(settings: str = "code") -> dict[str, bytes]:
        read.clear()
        written = {}
        for name, form in forms.items():
            outputs = [tmp_path / kind / f"{name}.parquet" for kind in ("samples", "quarantine")]
            for path in outputs:
                path.unlink(missing_ok=True)  # as Snakemake does before a job
            kept = Kept(tmp_path / "state", settings)
            ingest_changed(kept, RawFile(form.raw, name, form.columns), Ingested(*outputs), progress(), form.how)
            written |= {str(path): path.read_bytes() for path in outputs}
        return written

    first = run()
    assert read == ["a", "b", "c"]
    assert run() == first
    assert read == []

    os.utime(forms["a"].raw, ns=(1, 1))
    assert run() == first
    assert read == ["a"]

    write_tar(tmp_path / "b" / "raw.tar", {})
    changed = run()
    assert read == ["b"]
    assert changed != first

    (tmp_path / "c" / "images" / pairs[3].file).unlink()
    run()
    assert read == ["c"]

    run("other code")
    assert read == ["a", "b", "c"]


def test_a_damaged_file_is_not_taken_from_what_was_kept(tmp_path, pairs):
    form = with_bytes(tmp_path, pairs[:20])
    outputs = [tmp_path / kind / "a.parquet" for kind in ("samples", "quarantine")]
    kept = Kept(tmp_path / "state", "code")
    ingest_changed(kept, RawFile(form.raw, "a", form.columns), Ingested(*outputs), progress(), form.how)
    whole = outputs[0].read_bytes()
    with open(outputs[0], "r+b") as file:  # both names are of the same file
        file.truncate(100)
    outputs[0].unlink()
    ingest_changed(kept, RawFile(form.raw, "a", form.columns), Ingested(*outputs), progress(), form.how)
    assert outputs[0].read_bytes() == whole


def test_what_was_kept_of_files_that_are_gone_is_let_go(tmp_path, pairs):
    form = with_bytes(tmp_path, pairs[:20])
    kept = Kept(tmp_path / "state", "code")
    for name in "ab":
        outputs = [tmp_path / kind / f"{name}.parquet" for kind in ("samples", "quarantine")]
        ingest_changed(kept, RawFile(form.raw, name, form.columns), Ingested(*outputs), progress(), form.how)
    kept.prune(["b"])
    assert {path.name.split(".")[0] for path in (tmp_path / "state").iterdir()} == {f"{file_id('b'):08x}"}


# the configuration


@pytest.fixture
def load(repository) -> Callable[..., dict]:
    roles = ["a", "b", "public", "holdout"]
    intervals = {role: {"interval": [i / 4, (i + 1) / 4]} for i, role in enumerate(roles)}

    def configured(dataset: dict) -> dict:
        given = {
            "datasets": {"mine": dataset},
            "splits": {"default": {"dataset": "mine", "roles": intervals}},
            "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 5000}},
        }
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)["datasets"]["mine"]

    return configured


COCO = {"captions": "captions.json", "instances": "instances.json", "images": "images"}
WRONG = {
    "two_sources": ({"raw": ["*.parquet"], "coco": COCO}, "exactly one of coco, raw and synthetic"),
    "coco_without_images": ({"coco": {"captions": "c.json"}}, "datasets.mine.coco.images"),
    "coco_without_objects": ({"coco": {**COCO, "instances": None}}, "datasets.mine.coco.instances"),
    "no_coco_file": ({"coco": {**COCO, "files": 0}}, "datasets.mine.coco.files"),
    "tar_and_image_column": ({"raw": ["*"], "images": "tar", "columns": {"image": "x"}}, "columns.image"),
    "tar_and_image_root": ({"raw": ["*"], "images": "tar", "image_root": "x"}, "image_root"),
    "tar_of_coco": ({"coco": COCO, "images": "tar"}, "images: tar"),
    "image_root_of_coco": ({"coco": COCO, "image_root": "x"}, "image_root"),
    "shrink_to_nothing": ({"raw": ["*"], "store": "shrink"}, "datasets.mine.short_side"),
    "short_side_of_a_copy": ({"raw": ["*"], "short_side": 64}, "set store to shrink"),
    "unknown_store": ({"raw": ["*"], "store": "link"}, "datasets.mine.store"),
    "unknown_captions": ({"raw": ["*"], "captions": "last"}, "datasets.mine.captions"),
    "no_caption": ({"raw": ["*"], "max_caption": 0}, "datasets.mine.max_caption"),
    "no_side": ({"raw": ["*"], "min_side": 0}, "datasets.mine.min_side"),
}


@pytest.mark.parametrize("name", WRONG)
def test_keys_about_images_that_contradict_each_other_are_refused_with_a_sentence(load, name):
    dataset, says = WRONG[name]
    with pytest.raises(InputError) as error:
        load(dataset)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["captions.json", "instances.json", "images"])
def test_a_missing_part_of_a_coco_set_is_named_before_any_job(load, tmp_path, missing):
    (tmp_path / "images").mkdir()
    for name in ("captions.json", "instances.json"):
        (tmp_path / name).touch()
    path = tmp_path / missing
    assert list(Dataset.of("mine", load({"root": str(tmp_path), "coco": COCO})).paths.values())[0].startswith("results")
    path.rmdir() if missing == "images" else path.unlink()
    with pytest.raises(InputError) as error:
        Dataset.of("mine", load({"root": str(tmp_path), "coco": COCO}))
    assert str(path) in str(error.value)


def test_a_parquet_file_without_its_tar_is_named_before_any_job(load, tmp_path):
    for name in ("0.parquet", "0.tar", "1.parquet"):
        (tmp_path / name).touch()
    section = load({"root": str(tmp_path), "raw": ["*.parquet"], "images": "tar"})
    with pytest.raises(InputError) as error:
        Dataset.of("mine", section)
    assert str(tmp_path / "1.tar") in str(error.value)
    (tmp_path / "1.tar").touch()
    dataset = Dataset.of("mine", section)
    assert sum((dataset.tars(batch) for batch in dataset.batches), []) == [str(tmp_path / f"{i}.tar") for i in (0, 1)]
    assert (dataset.columns["image"], dataset.columns["key"]) == (None, "key")


def test_images_of_coco_are_looked_for_in_its_folder_and_those_of_paths_in_the_root(load, tmp_path):
    def image_root(**dataset: object) -> object:
        return Dataset("mine", load(dataset), {}, {}).ingestion["image_root"]

    assert image_root(root="data", coco=COCO) == "data/images"
    assert image_root(root="data", raw=["*"]) == "data"
    assert image_root(root="data", raw=["*"], image_root="elsewhere") == "elsewhere"
