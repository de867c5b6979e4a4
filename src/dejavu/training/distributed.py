"""Training on several processes of one machine: each works on its share of every batch.

Processes are started by torchrun's own launcher. What runs inside one reads torchrun's environment only, so that it
does not matter who started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dejavu.errors import InputError
from dejavu.files import first_line

LOOPBACK = "127.0.0.1"
# how errors of a process begin whose partner is gone; they follow from another's
FOLLOWING = ("DistBackendError", "DistNetworkError", "RuntimeError: [")


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


def launch(processes: int, module: str, argument: str, logs: Path, title: str) -> None:
    """Runs ``python -m module argument`` in several processes of this machine, and ends all when one ends badly.

    They meet on the loopback address, and die with this process.

    Args:
        processes: how many.
        module: which.
        argument: its one argument.
        logs: folder for torchrun's own files.
        title: for the error's sentence.

    Raises:
        InputError: when a process ended badly: the sentence with which it ended, or what ended it.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOOPBACK}:0",
        local_addr=LOOPBACK,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs)),
    )
    with _environment():
        try:
            elastic_launch(config, sys.executable)("-m", module, argument)
        except ChildFailedError as error:
            raise InputError(_sentence(title, processes, error.failures)) from None
        except SignalException as error:
            # all processes have been ended; end as a single one would
            raise SystemExit(128 + error.sigval) from None


def die_with_parent() -> None:
    """Asks Linux to kill this process when the one that started it dies; elsewhere torchrun alone ends it."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


@contextmanager
def _environment() -> Iterator[None]:
    """What the processes inherit: where this package is, and to talk over the loopback interface alone."""
    before = dict(os.environ)
    sources = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sources, before.get("PYTHONPATH")]))
    # or every process warns that no parameter was out of the loss's reach
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if "lo" in [name for _, name in socket.if_nameindex()]:
        os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _sentence(title: str, processes: int, failures: Mapping[int, ProcessFailure]) -> str:
    """The failure that the others follow from, in one sentence."""
    told = {rank: _message(failure) for rank, failure in failures.items()}
    follows = {
        rank: failure.exitcode == -signal.SIGTERM or told[rank].startswith(FOLLOWING)
        for rank, failure in failures.items()
    }
    rank = min(failures, key=lambda rank: (follows[rank], failures[rank].timestamp, rank))
    if told[rank].startswith("InputError: "):
        return told[rank].removeprefix("InputError: ")
    return (
        f"{title}: process {rank + 1} of {processes} ended ({told[rank]}), and the others were ended with it: "
        "see the log, and run again; training goes on from its last state."
    )


def _message(failure: ProcessFailure) -> str:
    message = failure.message
    text = message if isinstance(message, str) else message["message"]
    return text if text.startswith("InputError: ") else first_line(RuntimeError(text))
