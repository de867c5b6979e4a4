"""WebDataset shards alone: what is under a key belongs together, and what is wrong with a shard has one sentence."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dejavu.config import load_config
from dejavu.data.forms.webdataset import write_shard
from dejavu.data.objects import ObjectsColumn
from dejavu.errors import InputError
from dejavu.plan.datasets import Dataset

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


def test_a_key_ends_at_the_first_dot_and_is_kept_without_an_image(tmp_path):
    members = {
        "a__seg__png": b"mask",
        "a__jpg": b"x",
        "a__txt": "one",
        "b__txt": "alone",
        "c__cls": "7",
        "d__png": b"y",
    }
    path = shard(tmp_path / "s.tar", **members)
    found = [(row["key"], row["caption"]) for row in rows(tmp_path, path)]
    assert found == [("a", ["one"]), ("b", ["alone"]), ("d", [None])]


def test_names_with_several_dots_are_keys_where_no_image_has_the_first_part(tmp_path):
    members = {"k__jpg": b"x", "k__txt": "plain", "0__5_photo__jpg": b"y", "0__5_photo__txt": "half"}
    members |= {f"img__v{n}__{ending}": text for n in range(2) for ending, text in (("JPG", b"x"), ("txt", f"no {n}"))}
    found = {row["key"]: row["caption"] for row in rows(tmp_path, shard(tmp_path / "s.tar", **members))}
    assert found == {"k": ["plain"], "0.5_photo": ["half"], "img.v0": ["no 0"], "img.v1": ["no 1"]}


def test_what_is_no_unicode_costs_its_own_sample_at_most(tmp_path):
    path = tmp_path / "s.tar"
    members = {"a__jpg": b"x", "a__json": '{"caption": "bad \\ud800 x"}', "b__jpg": b"y", "b__json": "[" * 100_000}
    shard(path, **members, **{"caf\udce9__jpg": b"z"})
    found = {row["key"]: row["caption"] for row in rows(tmp_path, path)}
    assert found["a"] == ["bad \ufffd\ufffd\ufffd x"] and found["b"] == [None] and len(found) == 3


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (["dog", "cat"], [("dog", 1.0), ("cat", 1.0)]),
        ([{"label": "dog", "score": 0.5, "box": [1, 2, 3, 4]}], [("dog", 0.5)]),
        ({"label": ["dog", "cat"], "score": [0.9, 0.8]}, [("dog", 0.9), ("cat", 0.8)]),
        (None, []),
    ],
    ids=["labels", "structs", "struct of lists", "none"],
)
def test_objects_of_the_json_have_the_forms_of_a_column(tmp_path, objects, expected):
    path = shard(tmp_path / "s.tar", a__jpg=b"x", a__json={"things": objects}, b__jpg=b"x", c__jpg=b"x", c__json="{")
    write_shard(path, tmp_path / "t.parquet", "caption", "things")
    table = pq.read_table(tmp_path / "t.parquet")
    column = ObjectsColumn("t", table.schema, "objects")
    found = [column.read(row, value) for row, value in enumerate(table["objects"].to_pylist())]
    assert [(one["label"], one["score"]) for one in found[0]] == expected
    assert found[1] == found[2] == []


def test_a_field_that_no_json_has_is_told_with_those_that_there_are(tmp_path, capfd):
    rows(tmp_path, shard(tmp_path / "s.tar", a__jpg=b"x", a__json={"labels": ["dog"]}))
    assert "no JSON has a field 'objects', which columns.objects names; they have labels" in capfd.readouterr().err


def test_a_shard_without_members_has_no_rows(tmp_path):
    assert rows(tmp_path, shard(tmp_path / "s.tar")) == []


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: shard(p, a__txt="no image"), "has no image (.jpg, .jpeg, .png, .webp) under any key"),
        (lambda p: p.write_bytes(b"no tar at all" * 100), "is not a whole, uncompressed tar"),
        (
            lambda p: shard(p, a__jpg=b"x", a__json={"objects": ["dog"]}, b__jpg=b"x", b__json={"objects": [{"x": 1}]}),
            "has several forms",
        ),
    ],
    ids=["no image", "no tar", "several forms"],
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
    assert sorted(dataset.form.shards.values()) == [str(tmp_path / name) for name in dataset.paths]
    assert {f"results/mine/raw/{stem}.parquet" for stem in dataset.form.shards} == set(dataset.paths.values())
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
