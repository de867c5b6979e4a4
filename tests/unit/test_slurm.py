"""What a killed Snakemake left on a cluster is ended, and nothing else is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dejavu.errors import InputError
from dejavu.slurm import end_leftovers

# a job is a file in a folder: squeue lists the files, scancel removes them
SQUEUE = 'cat "$JOBS"/* 2>/dev/null; true'
SCANCEL = 'echo "$@" >> "$CALLS"; for job in "$@"; do rm "$JOBS/$job"; done'


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts shell scripts in the place of Slurm's commands; the file where scancel notes what it was called with."""
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def make(jobs: dict[str, tuple[str, Path]], squeue: str = SQUEUE, scancel: str = SCANCEL) -> Path:
        (tmp_path / "jobs").mkdir()
        for job, (comment, folder) in jobs.items():
            (tmp_path / "jobs" / job).write_text(f"{job}|{comment}|{folder}\n")
        (tmp_path / "bin").mkdir()
        for name, text in (("squeue", squeue), ("scancel", scancel)):
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        return tmp_path / "calls"

    return make


def test_only_jobs_that_the_executor_submitted_in_this_folder_are_cancelled(cluster, tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    calls = cluster(
        {
            "1": ("rule_train_wildcards_demo_default_baseline_a", here),
            "2": ("rule_train_wildcards_demo_default_baseline_a", elsewhere),
            "3": ("(null)", here),  # of the user's own
            "4": ("rule_batch_annotate_fingerprint_ingest", tmp_path / "link"),
            "5": ("rule_of_thumb | with a bar", here / "below"),
        }
    )
    assert sorted(end_leftovers(here)) == ["1", "4"]
    assert sorted(calls.read_text().split()) == ["1", "4"]


def test_the_job_that_snakemake_itself_runs_in_is_spared(cluster, tmp_path: Path, monkeypatch) -> None:
    calls = cluster({"7": ("rule_all", tmp_path)})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert end_leftovers(tmp_path) == []
    assert not calls.exists()


def test_it_returns_only_when_the_jobs_have_ended(cluster, tmp_path: Path) -> None:
    slowly = '(sleep 1.5; rm "$JOBS"/*) > /dev/null 2>&1 &'
    cluster({"8": ("rule_train", tmp_path)}, scancel=slowly)
    assert end_leftovers(tmp_path) == ["8"]
    assert not list((tmp_path / "jobs").iterdir())


def test_jobs_that_do_not_end_are_named(cluster, tmp_path: Path) -> None:
    cluster({"8": ("rule_train", tmp_path), "9": ("rule_embed", tmp_path)}, scancel="true")
    with pytest.raises(InputError, match="Slurm jobs 8, 9 of an earlier run .* have not ended .* wait until"):
        end_leftovers(tmp_path, seconds=0)


def test_a_machine_without_slurm_has_no_leftovers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert end_leftovers(tmp_path) == []


def test_commands_of_slurm_on_a_machine_of_no_cluster_mean_no_leftovers(cluster, tmp_path: Path) -> None:
    said = "squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
    said += "squeue: fatal: Could not establish a configuration source"
    cluster({}, squeue=f"echo '{said}' >&2; exit 1")
    assert end_leftovers(tmp_path) == []


def test_a_scheduler_that_does_not_answer_stops_the_run(cluster, tmp_path: Path) -> None:
    said = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    cluster({"8": ("rule_train", tmp_path)}, squeue=f"echo '{said}' >&2; exit 1")
    with pytest.raises(InputError, match=r"squeue cannot list .*Unable to contact slurm controller.*try again"):
        end_leftovers(tmp_path)
