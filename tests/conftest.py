"""A small project, run once for all tests that look at a finished run; pictures, tables and a tiny architecture."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.harness.pictures import encoded_image
from tests.harness.project import ROOT, Project

FOLDERS = ("cluster", "workflow", "browser", "gpu", "models", "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the folders of tests that take longest first."""
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(ROOT / "tests").parts[0]))


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests, the same in all processes that test."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Says that something that takes minutes is made now; fails where it has been made before.

    All tests of a file run in one process (pytest-xdist's ``--dist loadfile``), so what belongs to a file is made once.
    """

    def made(what: str) -> None:
        try:
            (shared_folder(tmp_path_factory) / f"{what}.made").touch(exist_ok=False)
        except FileExistsError:
            pytest.fail(f"{what} is made a second time: tests that share it ran in several processes")

    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Project:
    """A finished run, one for all processes that test; tests that change anything work on a copy."""
    shared = shared_folder(tmp_path_factory)
    folder = shared / "finished" / "project"
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "output.txt").exists():
            return Project(folder)
        once("finished")
        project = Project.make(folder)
        (folder / "output.txt").write_text(project.run())
        return project


# small things that tests of single modules need


@pytest.fixture
def repository() -> Path:
    return ROOT


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return encoded_image


@pytest.fixture
def write_batch() -> Callable[..., str]:
    """Writes records with ``row`` into a batch folder, one file for each upper half of the row; returns the folder."""

    def write(folder: Path, schema: pa.Schema, records: Iterable[dict]) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        by_file: dict[int, list[dict]] = {}
        for record in sorted(records, key=lambda r: r["row"]):
            by_file.setdefault(record["row"] >> 32, []).append(record)
        for upper, found in by_file.items():
            pq.write_table(pa.Table.from_pylist(found, schema=schema), folder / f"{upper:08x}.parquet")
        return str(folder)

    return write


@pytest.fixture
def tiny_architecture(tmp_path: Path) -> Callable[..., str]:
    """The path of an architecture of one layer for images of 32 pixels."""

    def write(name: str = "tiny-for-tests", width: int = 32, **vision: float) -> str:
        path = tmp_path / "architectures" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        content = {
            "embed_dim": width,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": width, "head_width": 16, "patch_size": 16} | vision,
            "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": width, "heads": 2, "layers": 1},
        }
        path.write_text(json.dumps(content))
        return str(path)

    return write
