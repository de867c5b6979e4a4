"""Training on several processes, of one machine or of the nodes of a Slurm job: each works on its share of every batch.

Processes are started by torchrun's own launcher: here, or under ``srun`` once on every node. What runs inside one reads
torchrun's environment only, so that it does not matter who started it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dejavu.errors import InputError, words
from dejavu.files import first_line, write_json
from dejavu.processes import STARTER, die_with_parent

LOOPBACK = "127.0.0.1"
# how errors of a process begin whose partner is gone; they follow from another's
FOLLOWING = ("DistBackendError", "DistNetworkError", "RuntimeError: [")
# what torchrun handles
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# how long a node whose processes failed for want of a partner waits for the node that knows why
SECONDS_FOR_CAUSE = 10.0


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; of one, every method does nothing.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        device: ``cpu`` or ``cuda``.
    """

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over the processes, the same in each; float32 (n,) -> float32 (n,)."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def gather(self, values: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes, on the CPU, by rank; their shapes are the same."""
        if self.world == 1:
            return [values]
        found = [torch.empty_like(values, device=self.device) for _ in range(self.world)]
        dist.all_gather(found, values.to(self.device))
        return [tensor.cpu() for tensor in found]


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Joins the processes that torchrun's environment names; gloo on ``cpu``, NCCL on ``cuda``."""
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # OpenCLIP's loss uses a function that torch has given another name
    warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional", FutureWarning)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    # not after a failure: the others may be gone, and it would wait for them
    dist.destroy_process_group()


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


def launch(
    processes: int, module: str, argument: str, logs: Path, title: str, *, nodes: int = 1, gpus_per_node: int = 0
) -> None:
    """Runs ``python -m module argument`` in several processes, and ends all when one ends badly.

    On one machine they meet on the loopback address, and die with this process.

    Args:
        processes: how many in all.
        module: which.
        argument: its one argument.
        logs: folder for torchrun's own files; on several nodes one that all of them see.
        title: for the error's sentence.
        nodes: of the Slurm job in which this process runs, on its first node; 1: this machine, without Slurm.
        gpus_per_node: that srun asks for.

    Raises:
        InputError: when a process ended badly: the sentence with which it ended, or what ended it.
    """
    if nodes > 1:
        share = Share(module, argument, nodes, processes // nodes, _endpoint(), _run_id(), str(logs))
        failures = _run_on_nodes(share, gpus_per_node, title)
    else:
        config = _config(processes, logs, rdzv_backend="c10d", rdzv_endpoint=f"{LOOPBACK}:0", local_addr=LOOPBACK)
        with _environment(loopback=True):
            failures = _run_processes(config, module, argument)
    if failures:
        raise InputError(_sentence(title, processes, failures))


def run_share(share: Share, node: int) -> int:
    """Runs a node's share of the processes; its failures go into a file that :func:`launch` reads.

    Args:
        share: what to run.
        node: number of this node, from 0.

    Returns:
        The exit status: 0 when all processes ended well.
    """
    config = _config(
        share.processes,
        Path(share.logs),
        min_nodes=share.nodes,
        max_nodes=share.nodes,
        run_id=share.run,
        rdzv_backend="static",
        rdzv_endpoint=share.endpoint,
        rdzv_configs={"rank": node, "timeout": 900},
    )
    with _environment(loopback=False):
        failures = _run_processes(config, share.module, share.argument)
    if not failures:
        return 0
    write_json(Path(share.logs) / f"failures-{node}.json", [asdict(failure) for failure in failures])
    deadline = time.monotonic() + SECONDS_FOR_CAUSE
    # srun ends all nodes with the first
    while all(failure.follows for failure in _told(share)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return 1


def _config(processes: int, logs: Path, **more: Any) -> LaunchConfig:
    settings = {"min_nodes": 1, "max_nodes": 1, "run_id": uuid.uuid4().hex, "max_restarts": 0} | more
    return LaunchConfig(nproc_per_node=processes, logs_specs=DefaultLogsSpecs(log_dir=str(logs)), **settings)


def _run_processes(config: LaunchConfig, module: str, argument: str) -> list[Failure]:
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


def _run_on_nodes(share: Share, gpus_per_node: int, title: str) -> list[Failure]:
    """Runs the share of every node under srun; empty when all ended well."""
    # named here, and not only to Python's -m, so that its code counts among what this step imports
    from dejavu.training import node

    logs = Path(share.logs)
    shutil.rmtree(logs, ignore_errors=True)
    write_json(logs / "share.json", asdict(share))
    command = ["srun", f"--nodes={share.nodes}", f"--ntasks={share.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit"]
    # one task has all of the job's CPUs on its node, where some sites would bind it to one
    command += ["--cpu-bind=none"]
    command += [f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []
    command += [sys.executable, "-m", node.__name__, str(logs)]
    with _environment(loopback=False):
        # or srun would outlive this process, which holds the lock of what is trained, as long as the Slurm job lasts
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, check=False, preexec_fn=lambda: die_with_parent(signal.SIGTERM)
        ).returncode
    if status == 0:
        return []
    if not (told := _told(share)):
        raise InputError(
            f"{title}: srun ended with status {status} before any of its processes could tell why: see the log, and "
            "run again; training goes on from its last state."
        )
    return told


def _told(share: Share) -> list[Failure]:
    files = sorted(Path(share.logs).glob("failures-*.json"))
    return [Failure(**one) for file in files for one in json.loads(file.read_text(encoding="utf-8"))]


def _endpoint() -> str:
    """Where the nodes of a job meet: MASTER_ADDR and MASTER_PORT if they are set, or a free port of this host."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"{os.environ.get('MASTER_ADDR', socket.gethostname())}:{os.environ.get('MASTER_PORT', port)}"


def _run_id() -> str:
    return f"{os.environ['SLURM_JOB_ID']}-{uuid.uuid4().hex}"


@contextmanager
def _environment(loopback: bool) -> Iterator[None]:
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
    told = _message(failure)
    follows = failure.exitcode == -signal.SIGTERM or told.startswith(FOLLOWING)
    return Failure(rank, told, follows, failure.timestamp)


def _sentence(title: str, processes: int, failures: Sequence[Failure]) -> str:
    """The failure that the others follow from, in one sentence."""
    first = min(failures, key=lambda failure: (failure.follows, failure.timestamp, failure.rank))
    if first.told.startswith("InputError: "):
        return first.told.removeprefix("InputError: ")
    return words(
        f"{title}: process {first.rank + 1} of {processes} ended ({first.told}), and the others were ended with it: "
        "see the log, and run again; training goes on from its last state."
    )


def _message(failure: ProcessFailure) -> str:
    message = failure.message
    text = message if isinstance(message, str) else message["message"]
    return text if text.startswith("InputError: ") else first_line(RuntimeError(text))
