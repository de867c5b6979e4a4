"""A small project: a copy of the workflow with a configuration of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.harness import warm
from tests.harness.pictures import encoded_image

ROOT = Path(__file__).resolve().parents[2]
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
    """A copy of the workflow with its own configuration, like a fresh clone."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, config: dict | None = None) -> Project:
        folder.mkdir(parents=True)
        for name in SOURCES:
            source = ROOT / name
            # Python's byte code comes along, so that no job compiles the library; not what is being written just now.
            ignored = shutil.ignore_patterns("*.pyc.*")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy2(source, folder / name)
        (folder / "config" / "architectures" / "small.json").write_text(json.dumps(ARCHITECTURE))
        project = cls(folder)
        project.write_config(config or CONFIG)
        return project

    def copy(self, folder: Path) -> Project:
        """Return another clone in a folder, with results and Snakemake's records copied and their times kept."""
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
        """Return the planned jobs of a run and their numbers.

        A job is ``rule``, or ``rule key=value …`` where it has wildcards besides dataset, split and samples seen.
        """
        return jobs_in(self.run("--dry-run"))

    @property
    def results(self) -> Path:
        return self.folder / "results" / "demo" / "default"


def jobs_in(output: str) -> Counter[str]:
    """Return the jobs that the output of a dry run lists, as :meth:`Project.planned` names them."""
    jobs: Counter[str] = Counter()
    for rule, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", output, re.MULTILINE):
        wildcards = re.search(r"^    wildcards: (.*)$", body, re.MULTILINE)
        pairs = [] if wildcards is None else wildcards.group(1).split(", ")
        kept = sorted(p for p in pairs if not p.startswith(("dataset=", "split=", "seen=")))
        if rule != "all":
            jobs[" ".join([rule, *kept])] += 1
    return jobs


def write_raw(project: Project, name: str = "one.parquet", pairs: int = 12, **columns) -> Path:
    table = pa.table(
        {
            "image": [encoded_image(number) for number in range(pairs)],
            "caption": [f"a red square {i}" for i in range(pairs)],
            "objects": [["red square"]] * pairs,
            **columns,
        }
    )
    path = project.folder / "data" / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    return path
