"""An installed package plans the jobs that the clone plans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.harness.project import ROOT, Project, jobs_in
from tests.harness.wheels import unpacked_wheel

pytestmark = [pytest.mark.workflow]


def test_a_folder_begun_with_the_wheel_plans_what_the_clone_plans(tmp_path: Path) -> None:
    site = unpacked_wheel(tmp_path / "wheel")

    def python(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(site)} | more
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=cwd, env=environment, capture_output=True, text=True
        )

    begun = python("dejavu", "init", "x", cwd=tmp_path)
    assert begun.stdout.splitlines()[-1] == "Next: cd x && dejavu run", begun.stderr
    planned = python("dejavu", "run", "-n", "--", "--cores", "2", cwd=tmp_path / "x")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    config = yaml.safe_load((ROOT / ".test" / "config" / "config.yaml").read_text())
    clone = Project.make(tmp_path / "clone", config)
    assert jobs_in(planned.stdout + planned.stderr) == clone.planned() != {}
    # the profile beside the configuration is in force, and with it the rerun triggers
    assert "rerun trigger" not in planned.stdout + planned.stderr

    # Rules of one copy with the library of another would disagree in silence.
    snakefile = site / "dejavu" / "workflow_files" / "Snakefile"
    mixed = python(
        "snakemake", "-n", "-s", str(snakefile), "--cores", "2", cwd=tmp_path / "x", PYTHONPATH=str(ROOT / "src")
    )
    assert "but this Python finds dejavu in" in mixed.stdout + mixed.stderr
