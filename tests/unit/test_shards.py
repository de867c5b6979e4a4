"""WebDataset shards alone: what is under a key belongs together, and what is wrong with a shard has one sentence."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dejavu.config import load_config
from dejavu.data.shards import write_shard
from dejavu.errors import InputError
from dejavu.plan import Dataset

ROLES = {role: {"interval": [i / 4, (i + 1) / 4]} for i, role in enumerate(("a", "b", "public", "holdout"))}


def shard(path: Path, **members: bytes | str | dict) -> Path:
    """Writes a tar; a name's double underscore is its dot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            given = json.dumps(content) if isinstance(content, dict) else content
            data = given if isinstance(given, bytes) else given.encode()
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def rows(tmp_path: Path, path: Path, caption: str | None = "caption", objects: str | None = "objects") -> list[dict]:
    write_shard(path, tmp_path / "table.parquet", caption, objects)
    return pq.read_table(tmp_path / "table.parquet").to_pylist()


def test_a_key_ends_at_the_first_dot_and_needs_an_image(tmp_path):
    path = shard(
        tmp_path / "s.tar", a__seg__png=b"mask", a__jpg=b"x", a__txt="one", b__txt="alone", c__cls="7", d__png=b"y"
    )
    assert [(row["key"], row["caption"]) for row in rows(tmp_path, path)] == [("a", ["one"]), ("d", [None])]


def test_objects_of_the_json_have_the_forms_of_a_column_and_nothing_stands_for_none(tmp_path):
    path = shard(
        tmp_path / "s.tar",
        a__jpg=b"x",
        a__json={"things": ["dog", 7, {"label": "cat", "score": 0.5, "box": [1, 2, 3, 4]}, {"box": []}]},
        b__jpg=b"x",
        b__json={"things": "dog"},
        c__jpg=b"x",
        c__json='{"things": [',
    )
    found = {row["key"]: row["objects"] for row in rows(tmp_path, path, objects="things")}
    assert found["a"] == [
        {"label": "dog", "score": 1.0, "box": None},
        {"label": "cat", "score": 0.5, "box": [1, 2, 3, 4]},
    ]
    assert found["b"] is found["c"] is None
    assert set(rows(tmp_path, path, caption=None, objects=None)[0]) == {"key"}


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: shard(p, a__txt="no image"), "has no image (.jpg, .jpeg, .png, .webp) under any key"),
        (lambda p: p.write_bytes(b"no tar at all" * 100), "is not a whole, uncompressed tar"),
        (lambda p: shard(p, a__jpg=b"x", a__json={"objects": [{"label": "dog", "score": 87}]}), "87 is no number"),
    ],
    ids=["no image", "no tar", "percent"],
)
def test_what_is_wrong_with_a_shard_has_one_sentence(tmp_path, write, says):
    write(tmp_path / "s.tar")
    with pytest.raises(InputError) as error:
        rows(tmp_path, tmp_path / "s.tar")
    assert says in str(error.value) and "s.tar" in str(error.value)


@pytest.fixture
def load(repository, tmp_path):
    def dataset(*raw: str, **more: object) -> Dataset:
        given = {
            "datasets": {"mine": {"root": str(tmp_path), "raw": list(raw), **more}},
            "splits": {"default": {"dataset": "mine", "roles": ROLES}},
            "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 5000}},
        }
        loaded = load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
        return Dataset.of("mine", loaded["datasets"]["mine"])

    return dataset


def test_patterns_that_end_in_tar_mean_shards_whose_tables_the_workflow_makes(load, tmp_path):
    for name in ("train/0.tar", "train/1.tar"):
        shard(tmp_path / name, a__jpg=b"x")
    dataset = load("train/*.tar")
    assert list(dataset.paths) == ["train/0.tar", "train/1.tar"]
    assert sorted(dataset.shards.values()) == [str(tmp_path / name) for name in dataset.paths]
    assert {f"results/mine/raw/{stem}.parquet" for stem in dataset.shards} == set(dataset.paths.values())
    assert dataset.columns == {"image": None, "caption": "caption", "key": "key", "objects": "objects"}
    (batch,) = dataset.batches
    assert dataset.tars(batch) == [path.replace(".parquet", ".tar") for path in dataset.raw_files(batch)]


def test_tars_among_other_files_are_refused_naming_both_ways(load, tmp_path):
    shard(tmp_path / "0.tar", a__jpg=b"x")
    (tmp_path / "0.parquet").touch()
    for patterns in (["*"], ["*.tar", "*.parquet"]):
        with pytest.raises(InputError, match="let all patterns end in .tar"):
            load(*patterns)
    with pytest.raises(InputError, match="remove one of them"):
        load("*.tar", columns={"image": "jpg"})
