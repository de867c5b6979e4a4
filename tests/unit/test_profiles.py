"""A profile other than ours is warned of, and one that is not there is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dejavu.errors import InputError
from dejavu.plan.profiles import require_profile, rerun_warnings


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_nothing_is_said_of_our_profiles(repository, profile):
    content = yaml.safe_load((repository / "profiles" / profile / "profile.yaml").read_text())
    assert rerun_warnings(content["rerun-triggers"]) == []


def test_no_profile_at_all_is_warned_of_jobs_that_run_again_for_nothing():
    (said,) = rerun_warnings(["mtime", "params", "input", "software-env", "code"])
    assert "`code` is on" in said
    assert "--rerun-triggers mtime params input software-env" in said


def test_changes_that_a_profile_does_not_see_are_named():
    (said,) = rerun_warnings(["mtime"])
    assert "off: params, input. A run does not see changes of the configuration and of the code" in said
    assert "out of date" in said
    assert rerun_warnings(["params", "input", "software-env"])[0].startswith("Rerun triggers are off: mtime.")


@pytest.mark.parametrize("given", [["--workflow-profile", "slrum"], ["-n", "--workflow-profile=profiles/slrum"]])
def test_a_profile_that_is_not_there_is_refused_by_its_name(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"--workflow-profile (profiles/)?slrum: the profile was not found"):
        require_profile(["snakemake", *given], tmp_path / "Snakefile")


@pytest.mark.parametrize("name", ["profiles/slurm", "slurm", "none"])
def test_a_profile_is_found_where_snakemake_looks_for_it(tmp_path, monkeypatch, repository, name):
    arguments = ["snakemake", "--workflow-profile", name]
    monkeypatch.chdir(repository)
    require_profile(arguments, Path("elsewhere/Snakefile"))
    if name != "profiles/slurm":
        monkeypatch.chdir(tmp_path)
        require_profile(arguments, repository / "Snakefile")


def test_no_profile_need_be_given(tmp_path):
    require_profile(["snakemake", "--cores", "2"], tmp_path / "Snakefile")
