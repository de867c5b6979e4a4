"""Slurm jobs that a killed Snakemake left: they still run, and would write the same files as the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from dejavu.errors import InputError
from dejavu.files import first_line

# Snakemake's executor for Slurm gives every job a comment with this beginning.
COMMENT = "rule_"
# Slurm's commands print this on a machine that belongs to no cluster.
NO_CLUSTER = "configuration source"


def end_leftovers(folder: Path, seconds: float = 120.0) -> list[str]:
    """Cancel the Slurm jobs that an earlier run in a folder submitted, and wait until they have ended.

    The caller must hold Snakemake's lock on the folder, so that no other Snakemake waits for these jobs.

    Args:
        folder: the working directory of Snakemake.
        seconds: longest time to wait.

    Returns:
        The ids of the jobs; an empty list where there is no Slurm.

    Raises:
        InputError: when Slurm does not answer, or a job has not ended after ``seconds``.
    """
    if shutil.which("squeue") is None:
        return []
    jobs = _jobs_of(folder)
    if jobs:
        subprocess.run(["scancel", *jobs], check=False)
    deadline = time.monotonic() + seconds
    while running := set(jobs) & set(_jobs_of(folder)):
        if time.monotonic() > deadline:
            raise InputError(
                f"Slurm jobs {', '.join(sorted(running))} of an earlier run in {folder} have not ended {seconds:.0f} s "
                "after they were cancelled, and would write the same files as this run: wait until squeue no longer "
                "shows them."
            )
        time.sleep(1)
    return jobs


def _jobs_of(folder: Path) -> list[str]:
    """Return the ids of this user's jobs, waiting or running, that Snakemake submitted in a folder."""
    command = ["squeue", "--me", "--noheader", "--format=%A|%k|%Z"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if NO_CLUSTER in listing.stderr:
        return []
    if listing.returncode:
        reason = first_line(RuntimeError(listing.stderr))
        raise InputError(f"squeue cannot list the jobs that an earlier run left ({reason}): try again when it works.")
    jobs = [line.split("|", 2) for line in listing.stdout.splitlines()]
    return [
        job
        for job, comment, directory in jobs
        if comment.startswith(COMMENT)
        and os.path.realpath(directory) == os.path.realpath(folder)
        and job != os.environ.get("SLURM_JOB_ID")
    ]
