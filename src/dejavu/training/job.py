"""The description of one training, which a training process reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dejavu.files import write_json
from dejavu.training.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """The training of one side of a model, as a description that processes pass on as JSON.

    Attributes:
        recipe: the recipe of the model.
        side: ``a`` or ``b``; it enters the random seed and nothing else.
        manifest: path of the manifest of the training set.
        samples: folders of the samples table, one for each batch of files.
        device: ``cpu`` or ``cuda``.
        title: name of the training in messages.
        state_seconds: least time between two saved states, in seconds.
        workers: number of threads in each process that read and decode ahead.
        nodes: number of nodes of the Slurm job that share the processes; 1: all processes are on this machine.
        run: folder of the training's state, metrics and checkpoints; empty until the training has opened it.
    """

    recipe: Recipe
    side: str
    manifest: str
    samples: list[str]
    device: str
    title: str
    state_seconds: float = 120.0
    workers: int = 0
    nodes: int = 1
    run: str = ""

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job that :meth:`write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**(content | {"recipe": Recipe(**content["recipe"])}))
