"""Where an image is that a raw file only names: paths, links, stores of known tools."""

from __future__ import annotations

import base64
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.raw_forms import (
    BY_KEY,
    Form,
    ingest,
)

from dejavu.data.ingest import Ingestion


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
    # a file outside the root that is named directly, and not through a link, is refused
    assert lost[str(tmp_path / blobs / "0123")][0] == "image path leaves its root"
