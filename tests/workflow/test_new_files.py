"""Raw files that come later are ingested, and no other."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.harness.project import CONFIG, Project, write_raw

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

UNTIL = ("--until", "ingest", "inventory")


def inodes(project: Project) -> dict[str, int]:
    folder = project.folder / "results" / "demo" / "samples"
    return {path.name: path.stat().st_ino for path in folder.glob("*/*.parquet")}


def test_a_new_raw_file_is_ingested_and_the_others_of_its_batch_are_not(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["datasets"]["demo"] = {"raw": ["data/*.parquet"], "files_per_job": 1000}
    for role in config["splits"]["default"]["roles"].values():
        role["limit"] = None
    project = Project.make(tmp_path / "project", config)
    for number in range(3):
        write_raw(project, f"part-{number}.parquet")
    project.run(*UNTIL)
    before = inodes(project)
    assert len(before) == 3

    # the inventory runs as well, and must not hide that the batch has changed
    write_raw(project, "part-9.parquet")
    output = project.run(*UNTIL)
    after = inodes(project)
    assert "rule ingest" in output
    assert len(after) == 4
    assert {name: after[name] for name in before} == before

    write_raw(project, "part-1.parquet", pairs=13)
    project.run(*UNTIL)
    assert sum(inodes(project)[name] != inode for name, inode in after.items()) == 1
    assert "rule ingest" not in project.run(*UNTIL)
