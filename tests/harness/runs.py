"""Runs of the workflow on the tests' Slurm, with the cluster's profile as it comes."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

from tests.harness.project import CONFIG, Project
from tests.harness.slurm import Slurm

# what a site would edit, and what waits for other sites' slower clocks and disks
SITE = ("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
# torchrun's processes of both nodes are on this machine
LOOPBACK = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}


def make_project(folder: Path, training: dict | None = None, **model: object) -> Project:
    """A project of one model, whose recipe may be changed."""
    config = copy.deepcopy(CONFIG)
    config["models"] = {"baseline": config["models"]["baseline"] | model}
    return Project.make(folder, config | {"training": training or {}})


def start(slurm: Slurm, project: Project, *arguments: str) -> subprocess.Popen[str]:
    """Starts Snakemake in a session of its own; what it prints is added to ``output.txt`` of the project."""
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
    """All that the runs have printed."""
    return (project.folder / "output.txt").read_text(encoding="utf-8")


def run(slurm: Slurm, project: Project, *arguments: str) -> str:
    """Runs Snakemake to its good end; what it printed."""
    assert start(slurm, project, *arguments).wait(1200) == 0, said(project)
    return said(project)
