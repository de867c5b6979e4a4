"""The same pairs of image and caption, in every form that raw files may have."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dejavu.data.forms.coco import COLUMNS as COCO_COLUMNS
from dejavu.data.forms.coco import write_coco, write_coco_file
from dejavu.data.forms.webdataset import COLUMNS as SHARD_COLUMNS
from dejavu.data.forms.webdataset import link_tar, write_shard
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns, file_id
from dejavu.progress import Progress

PAIRS = 300
KINDS = ("JPEG", "PNG", "WEBP")
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


def progress() -> Progress:
    return Progress("test", 0, "pairs")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
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


def draw_pairs() -> list[Pair]:
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
