"""Runs of the workflow on the tests' Slurm, with the unchanged cluster profile."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

from tests.harness.project import CONFIG, Project
from tests.harness.slurm import Slurm

# Options that a site would set, and shorter waits than those that slower clusters need.
SITE = ("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
# The processes of both nodes are on this machine, so they connect through loopback.
LOOPBACK = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}


def make_project(folder: Path, training: dict | None = None, **model: object) -> Project:
    """Return a project with one model; ``model`` has changes of its recipe."""
    config = copy.deepcopy(CONFIG)
    config["models"] = {"baseline": config["models"]["baseline"] | model}
    return Project.make(folder, config | {"training": training or {}})


def start(slurm: Slurm, project: Project, *arguments: str) -> subprocess.Popen[str]:
    """Start Snakemake in its own session; its output is appended to ``output.txt`` of the project."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *SITE, *arguments]
    with open(project.folder / "output.txt", "a", encoding="utf-8") as output:
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env=slurm.environment() | LOOPBACK,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def said(project: Project) -> str:
    """Return the output of all runs of a project."""
    return (project.folder / "output.txt").read_text(encoding="utf-8")


def run(slurm: Slurm, project: Project, *arguments: str) -> str:
    """Run Snakemake, assert that it succeeds, and return the output of all runs."""
    assert start(slurm, project, *arguments).wait(1200) == 0, said(project)
    return said(project)
