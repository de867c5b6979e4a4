"""This process among those that train together."""

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
        gathered = [torch.empty_like(values, device=self.device) for _ in range(self.world)]
        dist.all_gather(gathered, values.to(self.device))
        return [tensor.cpu() for tensor in gathered]


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
