"""A small project, run once for all tests that look at a finished run; pictures, tables and a tiny architecture."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tests import warm

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("Snakefile", "workflow", "src", "config", "profiles", "envs")

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CONFIG = {
    "datasets": {"demo": {"synthetic": {"pairs": 400, "files": 2, "seed": 3}, "files_per_job": 1}},
    "splits": {
        "default": {
            "dataset": "demo",
            "roles": {
                "a": {"interval": [0.0, 0.2], "limit": 50},
                "b": {"interval": [0.2, 0.4], "limit": 50},
                "public": {"interval": [0.4, 0.7], "limit": 80},
                "holdout": {"interval": [0.7, 1.0], "limit": 60},
            },
        }
    },
    "models": {
        "baseline": {
            "architecture": "config/architectures/small.json",
            "samples_seen": 320,
            "batch_size": 32,
            "torch_threads": 1,
        },
        "masked": {"like": "baseline", "text_mask": 0.5, "checkpoints": [160]},
        "early": {"sides": {side: {"model": "masked", "samples_seen": 160} for side in "ab"}},
        "one-model": {"sides": {"a": {"model": "baseline"}, "b": {"text_encoder": "tfidf"}}},
    },
    "measure": {"k": [1, 10], "labels": [1, "all"], "samplings": {"repeats": 20}, "bootstrap": 200},
    "report": {"gallery": 3},
}


@dataclass
class Project:
    """A copy of the workflow with a configuration of its own, as a fresh clone would be."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, config: dict | None = None) -> Project:
        folder.mkdir(parents=True)
        for name in SOURCES:
            source = ROOT / name
            ignored = shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy2(source, folder / name)
        (folder / "config" / "architectures" / "small.json").write_text(json.dumps(ARCHITECTURE))
        project = cls(folder)
        project.write_config(config or CONFIG)
        return project

    def copy(self, folder: Path) -> Project:
        """Another clone, with results and Snakemake's records copied in, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def write_config(self, config: dict) -> None:
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return warm.snakemake(self.folder, "--cores", "2", *arguments)

    def run(self, *arguments: str) -> str:
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def planned(self) -> Counter[str]:
        """The jobs that a run would do: ``rule`` or ``rule key=value …`` for those with wildcards besides the split."""
        output = self.run("--dry-run")
        jobs: Counter[str] = Counter()
        for rule, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", output, re.MULTILINE):
            found = re.search(r"^    wildcards: (.*)$", body, re.MULTILINE)
            pairs = [] if found is None else found.group(1).split(", ")
            kept = sorted(p for p in pairs if not p.startswith(("dataset=", "split=", "seen=")))
            if rule != "all":
                jobs[" ".join([rule, *kept])] += 1
        return jobs

    @property
    def results(self) -> Path:
        return self.folder / "results" / "demo" / "default"


FOLDERS = ("cluster", "workflow", "browser", "gpu", "models", "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
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


def encoded_image(number: int = 0, width: int = 32, height: int = 32, kind: str = "PNG") -> bytes:
    """An image of random pixels, the same for the same number."""
    pixels = np.random.default_rng(number).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


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
