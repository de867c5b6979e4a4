"""What a process needs to know to train one side of a model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dejavu.files import write_json
from dejavu.training.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """What a process needs to know to train, in a form that can be handed to another process.

    Attributes:
        recipe: how.
        side: ``a`` or ``b``; enters the random seed, nothing else.
        manifest: the training set.
        samples: batch folders of the samples table.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.
        state_seconds: time between two writings of the state.
        workers: threads that read and decode ahead, in each process.
        nodes: of the Slurm job that share its processes; 1: all are on this machine.
        run: folder of the run's state, metrics and checkpoints; set once it is opened.
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
        """Writes the job as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Reads what :meth:`write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**(content | {"recipe": Recipe(**content["recipe"])}))
