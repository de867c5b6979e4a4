"""What the processes of jobs are told by the environment: where the library is, and who started them."""

from __future__ import annotations

import os
from pathlib import Path

from dejavu.devices import CLUSTER_JOB
from dejavu.processes import STARTER


def tell_jobs(folder: Path | None, on_cluster: bool) -> None:
    """Set the environment that jobs inherit, so that they import this package from its folder.

    A job ends when this process does. It also learns whether a cluster's scheduler started it or a Snakemake on its
    own machine, which may itself run in a cluster's job.

    Args:
        folder: that holds the package; None where it is installed and every Python finds it.
        on_cluster: whether this process is a cluster's job.
    """
    os.environ[STARTER] = str(os.getpid())
    os.environ.pop(CLUSTER_JOB, None)
    if on_cluster:
        os.environ[CLUSTER_JOB] = "1"
    if folder is not None:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
