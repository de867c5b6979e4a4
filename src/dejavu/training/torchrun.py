"""Processes of one machine under torchrun's launcher, and their failures."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dejavu.files import first_line, write_json
from dejavu.processes import STARTER

LOOPBACK = "127.0.0.1"
# Beginnings of the errors of a process that lost its partner: another process failed first.
FOLLOWING = ("DistBackendError", "DistNetworkError", "RuntimeError: [")
# Signals for which torchrun installs its own handlers; run_processes restores the previous ones.
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# Longest time, in seconds, that a node whose processes lost their partners waits for the node with the first failure.
SECONDS_FOR_CAUSE = 10.0


@dataclass(frozen=True)
class Failure:
    """The failure of one process.

    Attributes:
        rank: number of the process.
        told: error of the process, or the signal or status that ended it.
        follows: whether the failure follows from that of another process.
        timestamp: time of the failure, in seconds since 1970.
    """

    rank: int
    told: str
    follows: bool
    timestamp: int


@dataclass(frozen=True)
class Share:
    """The processes that each node of a Slurm job runs.

    Attributes:
        module: name of the Python module; each process runs ``python -m module argument``.
        argument: the only argument of the module.
        nodes: number of nodes.
        processes: number of processes on each node.
        endpoint: ``host:port`` of the first node, to which all nodes connect.
        run: identifier that all nodes of this launch share, and no other launch.
        logs: folder for torchrun's files and for files of failures.
    """

    module: str
    argument: str
    nodes: int
    processes: int
    endpoint: str
    run: str
    logs: str


def run_share(share: Share, node: int) -> int:
    """Run the processes of one node, and write their failures into a file that :func:`noted_failures` reads.

    Args:
        share: the processes.
        node: number of this node, from 0.

    Returns:
        The exit status: 0 when all processes ended well.
    """
    config = launch_config(
        share.processes,
        Path(share.logs),
        min_nodes=share.nodes,
        max_nodes=share.nodes,
        run_id=share.run,
        rdzv_backend="static",
        rdzv_endpoint=share.endpoint,
        rdzv_configs={"rank": node, "timeout": 900},
    )
    with environment(loopback=False):
        failures = run_processes(config, share.module, share.argument)
    if not failures:
        return 0
    write_json(Path(share.logs) / f"failures-{node}.json", [asdict(failure) for failure in failures])
    deadline = time.monotonic() + SECONDS_FOR_CAUSE
    # srun ends all nodes as soon as one ends: wait until the cause is in a file, or time is up.
    while all(failure.follows for failure in noted_failures(share)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return 1


def launch_config(processes: int, logs: Path, **more: Any) -> LaunchConfig:
    settings = {"min_nodes": 1, "max_nodes": 1, "run_id": uuid.uuid4().hex, "max_restarts": 0} | more
    return LaunchConfig(nproc_per_node=processes, logs_specs=DefaultLogsSpecs(log_dir=str(logs)), **settings)


def run_processes(config: LaunchConfig, module: str, argument: str) -> list[Failure]:
    """Run processes on this machine and return their failures, none when all processes succeeded."""
    handlers = {each: signal.getsignal(each) for each in HANDLED}
    try:
        elastic_launch(config, sys.executable)("-m", module, argument)
    except ChildFailedError as error:
        return [_failure(rank, failure) for rank, failure in error.failures.items()]
    except SignalException as error:
        # torchrun has ended all processes: exit with the status that a process ended by this signal has.
        raise SystemExit(128 + error.sigval) from None
    finally:
        # torchrun leaves its handlers installed; a later signal would print a traceback of theirs.
        for each, handler in handlers.items():
            signal.signal(each, handler)
    return []


def noted_failures(share: Share) -> list[Failure]:
    files = sorted(Path(share.logs).glob("failures-*.json"))
    return [Failure(**failure) for file in files for failure in json.loads(file.read_text(encoding="utf-8"))]


@contextmanager
def environment(loopback: bool) -> Iterator[None]:
    """Within, set environment variables for the processes: the package's path, and perhaps loopback as only network."""
    before = dict(os.environ)
    sources = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sources, before.get("PYTHONPATH")]))
    os.environ[STARTER] = str(os.getpid())
    # DistributedDataParallel warns in every process that find_unused_parameters found no unused parameter.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if loopback and "lo" in [name for _, name in socket.if_nameindex()]:
        os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _failure(rank: int, failure: ProcessFailure) -> Failure:
    message = _message(failure)
    follows = failure.exitcode == -signal.SIGTERM or message.startswith(FOLLOWING)
    return Failure(rank, message, follows, failure.timestamp)


def _message(failure: ProcessFailure) -> str:
    message = failure.message
    text = message if isinstance(message, str) else message["message"]
    return text if text.startswith("InputError: ") else first_line(RuntimeError(text))
