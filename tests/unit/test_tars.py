"""Images in tars beside their parquet files."""

from __future__ import annotations

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.raw_forms import (
    Form,
    ingest,
    with_tar,
    write_tar,
)

from dejavu.data.ingest import Ingestion
from dejavu.data.raw import Columns
from dejavu.errors import InputError


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
