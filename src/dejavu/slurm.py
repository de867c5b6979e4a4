"""Slurm jobs of a Snakemake that was killed: they run on, and would write what the next one writes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from dejavu.errors import InputError
from dejavu.files import first_line

# the executor's comment on every job that it submits begins so
COMMENT = "rule_"
# what Slurm's commands say on a machine that belongs to no cluster
NO_CLUSTER = "configuration source"


def end_leftovers(folder: Path, seconds: float = 120.0) -> list[str]:
    """Cancels the jobs that an earlier run in a folder submitted, and waits until they have ended.

    To be called by who holds Snakemake's lock on the folder, so that no living Snakemake waits for them.

    Args:
        folder: the working directory of Snakemake.
        seconds: how long to wait.

    Returns:
        The ids of the jobs; none where there is no Slurm.

    Raises:
        InputError: when Slurm does not answer, or jobs are still there at the end.
    """
    if shutil.which("squeue") is None:
        return []
    found = _jobs_of(folder)
    if found:
        subprocess.run(["scancel", *found], check=False)
    deadline = time.monotonic() + seconds
    while left := set(found) & set(_jobs_of(folder)):
        if time.monotonic() > deadline:
            raise InputError(
                f"Slurm jobs {', '.join(sorted(left))} of an earlier run in {folder} have not ended {seconds:.0f} s "
                "after they were cancelled, and would write what this run writes: wait until squeue shows them no more."
            )
        time.sleep(1)
    return found


def _jobs_of(folder: Path) -> list[str]:
    """Ids of this user's jobs, waiting or running, that the executor submitted in a folder."""
    command = ["squeue", "--me", "--noheader", "--format=%A|%k|%Z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if NO_CLUSTER in done.stderr:
        return []
    if done.returncode:
        said = first_line(RuntimeError(done.stderr))
        raise InputError(f"squeue does not say which jobs an earlier run left ({said}): try again when it does.")
    jobs = [line.split("|", 2) for line in done.stdout.splitlines()]
    return [
        job
        for job, comment, directory in jobs
        if comment.startswith(COMMENT)
        and os.path.realpath(directory) == os.path.realpath(folder)
        and job != os.environ.get("SLURM_JOB_ID")
    ]
