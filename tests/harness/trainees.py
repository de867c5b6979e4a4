"""Training runs for tests: a recipe, a training set, and processes that can be killed."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch._dynamo  # noqa: F401  # takes seconds; imported here, because an optimiser imports it in its first step

from dejavu import files
from dejavu.tables import MANIFEST
from dejavu.training import loop, run
from dejavu.training.distributed import Processes
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.ranks import joined
from dejavu.training.recipe import Recipe
from dejavu.training.run import run_job
from dejavu.training.state import locked

ROOT = Path(__file__).resolve().parents[2]


def recipe(architecture: str = "ViT-B-32", **changes) -> Recipe:
    values = {
        "architecture": architecture,
        "samples_seen": 40,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.98,
        "epsilon": 1e-6,
        "warmup": 0.2,
        "text_mask": 0.5,
        "precision": "fp32",
        "torch_threads": 1,
        "shuffle_buffer": 5,
        "seed": 0,
    }
    return Recipe(**(values | changes))


@dataclass(frozen=True)
class Place:
    """A training set, and the folder of its trainings."""

    folder: Path
    samples: str
    device: str = "cpu"

    @classmethod
    def make(cls, folder: Path, pairs: tuple[Path, list[dict]], device: str = "cpu") -> Place:
        listed = [{"row": r["row"], "uid": r["uid"], "group_id": r["uid"], "position": 0.5} for r in pairs[1]]
        pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), folder / "manifest.parquet")
        return cls(folder, str(pairs[0]), device)

    def train(self, name: str, how: Recipe, *, side: str = "a", code: str = "c", state_seconds: float = 0.0) -> None:
        job = Job(how, side, str(self.folder / "manifest.parquet"), [self.samples], self.device, "train", state_seconds)
        outputs = self.folder / name / "checkpoints", self.folder / name / "metrics.parquet"
        train(job, self.state(name), code, *outputs)

    def state(self, name: str) -> Path:
        return self.folder / name / "state"

    def checkpoints(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name / "checkpoints").iterdir()}

    def metrics(self, name: str) -> list[dict]:
        """Return the metrics of a training without the measurements of time."""
        lines = pq.read_table(self.folder / name / "metrics.parquet").to_pylist()
        return [{k: v for k, v in line.items() if k not in ("samples_per_second", "data_wait")} for line in lines]


class Trainees:
    """Starts processes that have already imported everything that training needs, each in its own process group."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__])

    def run(self, target: Callable[..., None], *arguments: Any) -> int:
        """Call a function in a new process, and return the exit status: a signal that ended the process is negative."""
        process = self.start(target, *arguments)
        process.join(120)
        assert process.exitcode is not None, "it did not end"
        return process.exitcode

    def start(self, target: Callable[..., None], *arguments: Any) -> Any:
        """Start a process that calls a function, and return the process."""
        process = self.context.Process(target=_lead, args=(target, *arguments))
        process.start()
        return process


def _lead(target: Callable[..., None], *arguments: Any) -> None:
    os.setsid()
    target(*arguments)


@pytest.fixture(scope="session")
def trainees() -> Trainees:
    # The fork server imports modules before it gets sys.path, so the path goes into the environment.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT), before or ""])
    made = Trainees()
    assert made.run(os.getpid) == 0
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    return made


# Functions that the processes call.


def hold(state: Path) -> None:
    """Hold the lock of a state folder until this process is killed."""
    with locked(state, "holder"):
        (state / "held").touch()
        signal.pause()


def train_counted(place: Place, name: str, how: Recipe, counts: Path) -> None:
    """Train, and write the number of function calls before the first step, and the number at the end."""
    with _counted(counts):
        place.train(name, how)


def train_until_call(place: Place, name: str, how: Recipe, last: int) -> None:
    """Train, and kill the whole process group at function call number ``last``."""
    _die_at_call(last)
    place.train(name, how)


def train_until_rename(place: Place, name: str, how: Recipe, of: str, last: int) -> None:
    """Train, and kill the process group when file ``of`` has been written ``last`` times, before the last rename."""
    written, rename = itertools.count(1), os.replace

    def replace(temporary, target):
        if Path(target).name == of and next(written) == last:
            _die()
        rename(temporary, target)

    files.os = _Shadow(os, replace=replace)
    place.train(name, how)


def train_on_two(place: Place, name: str, how: Recipe, last: int | None, counts: Path) -> None:
    """Train on two processes; kill the process group at function call number ``last`` of the first process.

    Where ``last`` is None, nothing is killed, and the counts are written as by :func:`train_counted`.
    """

    def launch(processes: Processes, *others: object) -> None:
        _fork_ranks(processes.number, Path(processes.argument), last, counts)

    loop.launch = launch
    place.train(name, how)


def _fork_ranks(processes: int, job: Path, last: int | None, counts: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    os.environ |= {"WORLD_SIZE": str(processes), "GLOO_SOCKET_IFNAME": "lo"}
    children = []
    for rank in range(processes):
        children.append(os.fork())
        if not children[-1]:
            os.environ["RANK"] = str(rank)
            if rank == 0 and last is not None:
                _die_at_call(last)
            with _counted(counts) if rank == 0 and last is None else nullcontext(), joined("cpu") as ranks:
                run_job(Job.read(job), ranks)
            os._exit(0)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


@contextmanager
def _counted(counts: Path) -> Iterator[None]:
    count, begun, step = itertools.count(), [], run.Learner.step

    def watched(self, *arguments):
        if not begun:
            begun.append(next(count))
        return step(self, *arguments)

    run.Learner.step = watched
    sys.setprofile(lambda frame, event, _: next(count) if event == "call" else None)
    yield
    sys.setprofile(None)
    counts.write_text(json.dumps([*begun, next(count)]))


def _die_at_call(last: int) -> None:
    count = itertools.count()
    sys.setprofile(lambda frame, event, _: _die() if event == "call" and next(count) == last else None)


def _die() -> None:
    os.killpg(0, signal.SIGKILL)


class _Shadow:
    """A module with some of its functions replaced."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self._module = module
        self.__dict__ |= replaced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
