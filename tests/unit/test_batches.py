"""Batches of raw files, and the patterns that name raw files."""

from __future__ import annotations

import pytest
from tests.harness.messages import sentence

from dejavu.errors import InputError
from dejavu.files import glob_files, matching_files
from dejavu.plan.datasets import Dataset, make_batches

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
