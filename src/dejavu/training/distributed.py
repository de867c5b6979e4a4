"""Training on several processes, of one machine or of the nodes of a Slurm job; each takes a part of every batch.

torchrun's launcher starts the processes: on one machine from this process, on several nodes from one ``srun`` task per
node. A training process reads torchrun's environment only, so it runs the same in both cases.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dejavu.errors import InputError, words
from dejavu.files import write_json
from dejavu.processes import die_with_parent
from dejavu.training import node
from dejavu.training.torchrun import LOOPBACK, Failure, Share, environment, launch_config, noted_failures, run_processes


@dataclass(frozen=True)
class Processes:
    """Processes that work together; each runs ``python -m module argument``.

    Attributes:
        number: number of processes, over all nodes.
        module: name of the Python module.
        argument: the only argument of the module.
        nodes: number of nodes of the Slurm job, on whose first node this process runs; 1: this machine, without Slurm.
        gpus_per_node: number of GPUs that srun requests on each node.
    """

    number: int
    module: str
    argument: str
    nodes: int = 1
    gpus_per_node: int = 0


def launch(processes: Processes, logs: Path, title: str) -> None:
    """Run processes until all have ended; when one fails, end the others.

    On one machine the processes connect through the loopback address, and die with this process.

    Args:
        processes: the processes to run.
        logs: folder for torchrun's own files; with several nodes, a folder that all nodes share.
        title: name of the training in error messages.

    Raises:
        InputError: when a process failed; the message is the process's own error, or says what ended the process.
    """
    number, nodes, module, argument = processes.number, processes.nodes, processes.module, processes.argument
    if nodes > 1:
        share = Share(module, argument, nodes, number // nodes, _endpoint(), _run_id(), str(logs))
        failures = _run_on_nodes(share, processes.gpus_per_node, title)
    else:
        config = launch_config(number, logs, rdzv_backend="c10d", rdzv_endpoint=f"{LOOPBACK}:0", local_addr=LOOPBACK)
        with environment(loopback=True):
            failures = run_processes(config, module, argument)
    if failures:
        raise InputError(_sentence(title, number, failures))


def _run_on_nodes(share: Share, gpus_per_node: int, title: str) -> list[Failure]:
    """Run every node's share of the processes under srun; return the failures, none when all processes succeeded."""
    logs = Path(share.logs)
    shutil.rmtree(logs, ignore_errors=True)
    write_json(logs / "share.json", asdict(share))
    command = ["srun", f"--nodes={share.nodes}", f"--ntasks={share.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit"]
    # Some sites bind a task to one CPU; the processes of this task need all CPUs of the job on their node.
    command += ["--cpu-bind=none"]
    command += [f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []
    command += [sys.executable, "-m", node.__name__, str(logs)]
    with environment(loopback=False):
        # srun must die with this process: a surviving srun would go on training without this process's lock.
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, check=False, preexec_fn=lambda: die_with_parent(signal.SIGTERM)
        ).returncode
    if status == 0:
        return []
    if not (told := noted_failures(share)):
        raise InputError(
            f"{title}: srun ended with status {status}, and none of its processes reported why: see the log, and run "
            "again; training goes on from its last state."
        )
    return told


def _endpoint() -> str:
    """Return the ``host:port`` that all nodes connect to: MASTER_ADDR and MASTER_PORT, or this host and a free port."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"{os.environ.get('MASTER_ADDR', socket.gethostname())}:{os.environ.get('MASTER_PORT', port)}"


def _run_id() -> str:
    return f"{os.environ['SLURM_JOB_ID']}-{uuid.uuid4().hex}"


def _sentence(title: str, processes: int, failures: Sequence[Failure]) -> str:
    """Return one sentence on the failure that caused the others."""
    first = min(failures, key=lambda failure: (failure.follows, failure.timestamp, failure.rank))
    if first.told.startswith("InputError: "):
        return first.told.removeprefix("InputError: ")
    return words(
        f"{title}: process {first.rank + 1} of {processes} ended ({first.told}), and the others were ended with it: "
        "see the log, and run again; training goes on from its last state."
    )
