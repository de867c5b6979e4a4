"""Communication between the processes of one training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """The place of this process among the processes of a training; a single process exchanges nothing.

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
        """Return whether this process is the first, which alone writes files."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean of ``values`` over the processes, the same in each; float32 (n,) -> float32 (n,)."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def gather(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensors of all processes, ordered by rank, on the CPU; all have the same shape."""
        if self.world == 1:
            return [values]
        gathered = [torch.empty_like(values, device=self.device) for _ in range(self.world)]
        dist.all_gather(gathered, values.to(self.device))
        return [tensor.cpu() for tensor in gathered]


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Within, connect to the processes that torchrun's environment names: by gloo on ``cpu``, by NCCL on ``cuda``."""
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # OpenCLIP's loss calls a function that torch has renamed, and torch warns at every call.
    warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional", FutureWarning)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    # After a failure this line is not reached: the call would wait for processes that may be gone.
    dist.destroy_process_group()
