"""Training on several processes, of one machine or of the nodes of a Slurm job: each works on its share of every batch.

Processes are started by torchrun's own launcher: here, or under ``srun`` once on every node. What runs inside one reads
torchrun's environment only, so that it does not matter who started it.
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
    """Processes that work together, each ``python -m module argument``.

    Attributes:
        number: how many in all.
        module: which.
        argument: its one argument.
        nodes: of the Slurm job in which this process runs, on its first node; 1: this machine, without Slurm.
        gpus_per_node: that srun asks for.
    """

    number: int
    module: str
    argument: str
    nodes: int = 1
    gpus_per_node: int = 0


def launch(processes: Processes, logs: Path, title: str) -> None:
    """Run processes, and end all when one ends badly.

    On one machine they meet on the loopback address, and die with this process.

    Args:
        processes: what to run.
        logs: folder for torchrun's own files; on several nodes one that all of them see.
        title: for the error's sentence.

    Raises:
        InputError: when a process ended badly: the sentence with which it ended, or what ended it.
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
    """Runs the share of every node under srun; empty when all ended well."""
    logs = Path(share.logs)
    shutil.rmtree(logs, ignore_errors=True)
    write_json(logs / "share.json", asdict(share))
    command = ["srun", f"--nodes={share.nodes}", f"--ntasks={share.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit"]
    # one task has all of the job's CPUs on its node, where some sites would bind it to one
    command += ["--cpu-bind=none"]
    command += [f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []
    command += [sys.executable, "-m", node.__name__, str(logs)]
    with environment(loopback=False):
        # or srun would outlive this process, which holds the lock of what is trained, as long as the Slurm job lasts
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, check=False, preexec_fn=lambda: die_with_parent(signal.SIGTERM)
        ).returncode
    if status == 0:
        return []
    if not (told := noted_failures(share)):
        raise InputError(
            f"{title}: srun ended with status {status} before any of its processes could tell why: see the log, and "
            "run again; training goes on from its last state."
        )
    return told


def _endpoint() -> str:
    """Where the nodes of a job meet: MASTER_ADDR and MASTER_PORT if they are set, or a free port of this host."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"{os.environ.get('MASTER_ADDR', socket.gethostname())}:{os.environ.get('MASTER_PORT', port)}"


def _run_id() -> str:
    return f"{os.environ['SLURM_JOB_ID']}-{uuid.uuid4().hex}"


def _sentence(title: str, processes: int, failures: Sequence[Failure]) -> str:
    """The failure that the others follow from, in one sentence."""
    first = min(failures, key=lambda failure: (failure.follows, failure.timestamp, failure.rank))
    if first.told.startswith("InputError: "):
        return first.told.removeprefix("InputError: ")
    return words(
        f"{title}: process {first.rank + 1} of {processes} ended ({first.told}), and the others were ended with it: "
        "see the log, and run again; training goes on from its last state."
    )
