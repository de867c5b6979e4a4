"""A key means one image, and the image in a tar is the one that its row is about; what differs is refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.keys import require_clear_keys
from dejavu.data.quarantine import check_quarantine
from dejavu.data.raw import Columns, table_name
from dejavu.errors import InputError
from dejavu.progress import Progress

BY_KEY = Columns("image", "caption", "key")


class Dataset:
    """Raw files as they go through ingest and fingerprints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples, self.fingerprints = folder / "samples", folder / "fingerprints"

    def add(self, name: str, table: dict, columns: Columns = BY_KEY, **how) -> list[dict]:
        raw = self.folder / name
        raw.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), raw)
        progress = Progress("t", 0, "p")
        samples = self.samples / table_name(name)
        outputs = Ingested(samples, self.quarantine(name))
        ingest_file(RawFile(raw, name, columns), outputs, progress, Ingestion(**how))
        fingerprint_file(samples, self.fingerprints / table_name(name), progress)
        return pq.read_table(samples).to_pylist()

    def quarantine(self, name: str) -> Path:
        return self.folder / "quarantine" / table_name(name)

    def refused(self, name: str) -> list[dict]:
        return pq.read_table(self.quarantine(name)).to_pylist()

    def check(self, allowed: float = 0.01) -> int:
        return require_clear_keys([self.fingerprints], [self.samples], self.folder / "groups", "mine", allowed)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return Dataset(tmp_path)


def test_keys_that_begin_anew_in_every_file_are_refused_unless_named_by_file(tmp_path, picture):
    for how in ({}, {"key_unique_in": "file"}):
        dataset = Dataset(tmp_path / str(len(how)))
        for number, name in enumerate(("x/0.parquet", "x/1.parquet")):
            images = [picture(10 * number + i) for i in range(5)]
            found = dataset.add(
                name, {"key": range(5), "image": images, "caption": [f"{number} {i}" for i in range(5)]}, **how
            )
            assert [s["uid"] for s in found] == [f"x/{number}/{i}" if how else str(i) for i in range(5)]
        if how:
            assert dataset.check(0) == 0
            continue
        with pytest.raises(InputError) as error:
            dataset.check()
        message = str(error.value)
        assert "10 of 10 samples (100.0%) have a key that stands for several images" in message
        assert "(x/0.parquet row " in message and "(x/1.parquet row " in message
        assert "set datasets.mine.key_unique_in: file" in message


def test_captions_of_one_image_and_the_same_picture_encoded_twice_are_clear(dataset, picture):
    one, other = picture(1, 64, 64, "PNG"), picture(1, 64, 64, "WEBP")
    dataset.add("0.parquet", {"key": ["a", "a", "a"], "image": [one, one, other], "caption": ["x", "y", "z"]})
    dataset.add("1.parquet", {"key": [None, None], "image": [picture(2), picture(3)], "caption": ["x", "y"]})
    assert dataset.check(0) == 0


def test_a_few_unclear_keys_are_said(dataset, picture, capfd):
    keys = [*map(str, range(99)), "0"]
    dataset.add(
        "0.parquet",
        {"key": keys, "image": [picture(i) for i in range(100)], "caption": [f"caption {i}" for i in range(100)]},
    )
    assert dataset.check(0.02) == 2
    assert "2 of 100 samples (2.0%) have a key that stands for several images" in capfd.readouterr().err
    with pytest.raises(InputError, match=r"'0' \(0.parquet row 0\) and '0' \(0.parquet row 99\) differ"):
        dataset.check(0.01)


# images of another download


IN_TAR = Columns(None, "caption", "key")
OTHER = "image is not the row's, but of another download"


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def digests(images: list[bytes]) -> list[str]:
    return [hashlib.sha256(image).hexdigest() for image in images]


@pytest.mark.parametrize("of_another", [False, True])
@pytest.mark.parametrize("told_by", ["size", "size as stored before it was turned", "address", "hash in JSON", "hash"])
def test_images_of_another_download_are_set_aside_by_what_img2dataset_notes(dataset, picture, told_by, of_another):
    keys = [f"{i:09d}" for i in range(10)]
    images = [picture(i, 16, 24, "JPEG") for i in range(10)]
    others = [picture(i + 50, 16, 24, "JPEG") for i in range(10)]
    table = {"key": keys, "caption": [f"picture {i}" for i in range(10)], "status": ["success"] * 10}
    members: dict[str, bytes] = {}
    wrong = range(3, 10) if of_another else range(0)
    stored = [(others if i in wrong else images)[i] for i in range(10)]
    if told_by.startswith("size"):
        size = (16, 24) if told_by == "size" else (24, 16)
        table |= {name: [99.0 if i in wrong else float(side) for i in range(10)]
                  for name, side in zip(("width", "height"), size, strict=True)}  # fmt: skip
    elif told_by == "address":
        table |= {"url": [f"http://here/{i}" for i in range(10)]}
        members |= {
            f"{key}.json": json.dumps({"url": f"http://{'there' if i in wrong else 'here'}/{i}"}).encode()
            for i, key in enumerate(keys)
        }
    elif told_by == "hash in JSON":
        table |= {"sha256": digests([b"downloaded %d" % i for i in range(10)])}
        members |= {
            f"{key}.json": json.dumps({"sha256": digests([b"downloaded %d" % (i + (i in wrong))])[0]}).encode()
            for i, key in enumerate(keys)
        }
    else:
        table |= {"sha256": digests(images)}
    write_tar(dataset.folder / "0.tar", members | {f"{key}.jpg": stored[i] for i, key in enumerate(keys)})
    samples = dataset.add("0.parquet", table, IN_TAR)
    assert [s["uid"] for s in samples] == [key for i, key in enumerate(keys) if i not in wrong]
    assert [(q["uid"], q["reason"]) for q in dataset.refused("0.parquet")] == [(keys[i], OTHER) for i in wrong]


def test_hashes_of_reencoded_downloads_are_not_compared_and_said_once(dataset, picture, capfd):
    images = [picture(i) for i in range(100)]
    table = {
        "key": list(map(str, range(100))),
        "caption": ["c"] * 100,
        "sha256": digests([b"%d" % i for i in range(100)]),
    }
    write_tar(dataset.folder / "0.tar", {f"{i}.png": image for i, image in enumerate(images)})
    assert len(dataset.add("0.parquet", table, IN_TAR)) == 100
    assert capfd.readouterr().err.count("it is unknown whether the tar beside it is of the same download") == 1


# downloads that failed


@pytest.mark.parametrize("form", ["tar", "column"])
def test_downloads_that_failed_do_not_count_against_what_may_be_set_aside(dataset, picture, form):
    good = [i % 3 != 0 for i in range(30)]
    table = {
        "key": [f"{i:03d}" for i in range(30)],
        "caption": [f"picture {i}" for i in range(30)],
        "status": ["success" if fine else "failed_to_download" for fine in good],
        "error_message": [None if fine else "HTTP Error 404: Not Found" for fine in good],
    }
    if form == "tar":
        write_tar(dataset.folder / "0.tar", {f"{i:03d}.png": picture(i) for i in range(30) if good[i]})
        samples = dataset.add("0.parquet", table, IN_TAR)
    else:
        images = [picture(i) if good[i] else None for i in range(30)]
        samples = dataset.add("0.parquet", table | {"jpg": images}, Columns("jpg", "caption", "key"))
    assert len(samples) == 20
    check_quarantine([dataset.quarantine("0.parquet")], 30, 0.0, "mine")
    with pytest.raises(InputError, match="all its raw rows are downloads that failed"):
        check_quarantine([dataset.quarantine("0.parquet")], 10, 0.0, "mine")
