"""Processes of one machine under torchrun's launcher, and how each of them ended."""

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
# how errors of a process begin whose partner is gone; they follow from another's
FOLLOWING = ("DistBackendError", "DistNetworkError", "RuntimeError: [")
# what torchrun handles
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# how long a node whose processes failed for want of a partner waits for the node that knows why
SECONDS_FOR_CAUSE = 10.0


@dataclass(frozen=True)
class Failure:
    """How one of the processes ended.

    Attributes:
        rank: its number.
        told: its error, or what ended it.
        follows: whether that follows from the end of another.
        timestamp: when; seconds since 1970.
    """

    rank: int
    told: str
    follows: bool
    timestamp: int


@dataclass(frozen=True)
class Share:
    """What every node of a Slurm job has to run.

    Attributes:
        module: each process is ``python -m module argument``.
        argument: its one argument.
        nodes: number of nodes.
        processes: number of processes on each node.
        endpoint: ``host:port`` of the first node, where all meet.
        run: the same for all nodes, and for nobody else.
        logs: folder for torchrun's files and those of this module.
    """

    module: str
    argument: str
    nodes: int
    processes: int
    endpoint: str
    run: str
    logs: str


def run_share(share: Share, node: int) -> int:
    """Runs a node's share of the processes; its failures go into a file that :func:`launch` reads.

    Args:
        share: what to run.
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
    # srun ends all nodes with the first
    while all(failure.follows for failure in noted_failures(share)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return 1


def launch_config(processes: int, logs: Path, **more: Any) -> LaunchConfig:
    settings = {"min_nodes": 1, "max_nodes": 1, "run_id": uuid.uuid4().hex, "max_restarts": 0} | more
    return LaunchConfig(nproc_per_node=processes, logs_specs=DefaultLogsSpecs(log_dir=str(logs)), **settings)


def run_processes(config: LaunchConfig, module: str, argument: str) -> list[Failure]:
    """Runs processes of this machine; empty when all ended well."""
    handlers = {each: signal.getsignal(each) for each in HANDLED}
    try:
        elastic_launch(config, sys.executable)("-m", module, argument)
    except ChildFailedError as error:
        return [_failure(rank, failure) for rank, failure in error.failures.items()]
    except SignalException as error:
        # all processes have been ended; end as a single one would
        raise SystemExit(128 + error.sigval) from None
    finally:
        # torchrun's stay, and what comes after it would end with their traceback
        for each, handler in handlers.items():
            signal.signal(each, handler)
    return []


def noted_failures(share: Share) -> list[Failure]:
    files = sorted(Path(share.logs).glob("failures-*.json"))
    return [Failure(**failure) for file in files for failure in json.loads(file.read_text(encoding="utf-8"))]


@contextmanager
def environment(loopback: bool) -> Iterator[None]:
    """What the processes inherit: where this package is, and for those of one machine to talk over loopback alone."""
    before = dict(os.environ)
    sources = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sources, before.get("PYTHONPATH")]))
    os.environ[STARTER] = str(os.getpid())
    # or every process warns that no parameter was out of the loss's reach
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
