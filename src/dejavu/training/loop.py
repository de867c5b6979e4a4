"""Training one side of a model: OpenCLIP's model and loss, AdamW, warm-up and cosine, resumable in the middle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from dejavu.data.samples import SampleStore
from dejavu.devices import require
from dejavu.errors import InputError, words
from dejavu.files import atomic, read_table, write_json, write_table, write_text
from dejavu.progress import Progress, say
from dejavu.tables.training import TRAINING
from dejavu.training.augment import Augmentation
from dejavu.training.distributed import Ranks, launch
from dejavu.training.model import Clip, build, save_checkpoint
from dejavu.training.recipe import Recipe
from dejavu.training.state import STATE, locked, open_run, read_state, run_key, write_state
from dejavu.training.step import Learner, irreproducible, random_state, set_random_state
from dejavu.training.stream import PairStream
from dejavu.training.text import TextRandomizer

METRIC_LINES = 400
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Job:
    """What a process needs to know to train, in a form that can be handed to another process.

    Attributes:
        recipe: how.
        side: ``a`` or ``b``.
        manifest: the training set.
        samples: batch folders of the samples table.
        run: folder of the run's state, metrics and checkpoints.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.
        state_seconds: time between two writings of the state.
        workers: threads that read and decode ahead, in each process.
        nodes: of the Slurm job that share its processes; 1: all are on this machine.
    """

    recipe: Recipe
    side: str
    manifest: str
    samples: list[str]
    run: str
    device: str
    title: str
    state_seconds: float
    workers: int
    nodes: int = 1

    def write(self, path: Path) -> None:
        """Writes the job as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Reads what :meth:`write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**(content | {"recipe": Recipe(**content["recipe"])}))


def train(
    recipe: Recipe,
    side: str,
    manifest: Path,
    samples: list[str],
    checkpoints: Path,
    metrics: Path,
    *,
    state: Path,
    code: str,
    device: str,
    title: str,
    state_seconds: float = 120.0,
    workers: int = 0,
    nodes: int = 1,
) -> None:
    """Trains one side and writes its checkpoints ``<samples_seen>.pt`` and its metrics table.

    A run that was killed goes on from its last state, and ends with the same bytes as one that was not.

    Args:
        recipe: how.
        side: ``a`` or ``b``; enters the random seed, nothing else.
        manifest: the training set.
        samples: batch folders of the samples table.
        checkpoints: folder to write to.
        metrics: parquet file to write, schema ``TRAINING``.
        state: folder for what a killed run continues from; removed at the end.
        code: hash of the training code; a state left by other code, another recipe or other data is not used.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.
        state_seconds: time between two writings of the state.
        workers: threads that read and decode ahead, in each process; 0: none.
        nodes: of the Slurm job that this process runs in, which share its processes; 1: all are on this machine.

    Raises:
        InputError: when the training set is smaller than a batch, another process trains the same side, the loss is
            not a number, or one of several processes ended.
    """
    rows = read_table(manifest, ["row"])["row"].to_numpy()
    if len(rows) < recipe.batch_size:
        raise InputError(
            f"{title}: the training set has {len(rows):,} samples, fewer than one batch of {recipe.batch_size:,}: "
            "lower batch_size, or enlarge the role."
        )
    if nodes == 1:
        require(device, recipe.processes, title)
    with locked(state, title):
        key = run_key(recipe, side, rows, SampleStore(samples), code)
        run, saved = open_run(state, key, title)
        job = Job(recipe, side, str(manifest), list(samples), str(run), device, title, state_seconds, workers, nodes)
        if recipe.processes == 1:
            training = _Run(job, Ranks(device=device), saved)
            # or it would be held, as large as all that is trained, to the end
            del saved
            training.train()
        else:
            del saved
            _launch(job)
        _publish(job, checkpoints, metrics)


def run_job(job: Job, ranks: Ranks) -> None:
    """Trains as one of several processes, of which the first leaves checkpoints and metrics in the run's folder."""
    _Run(job, ranks, read_state(Path(job.run))).train()


def _launch(job: Job) -> None:
    # named here, and not only to Python's -m, so that its code counts among what this step imports
    from dejavu.training import worker

    path = Path(job.run) / "job.json"
    job.write(path)
    launch(
        job.recipe.processes,
        worker.__name__,
        str(path),
        Path(job.run) / "ranks",
        job.title,
        nodes=job.nodes,
        gpus_per_node=job.recipe.processes // job.nodes if job.device == "cuda" else 0,
    )


def _publish(job: Job, checkpoints: Path, metrics: Path) -> None:
    """Copies, and does not move: killed in the midst of it, the run has to be able to do it again."""
    run, recipe = Path(job.run), job.recipe
    for count in [*recipe.checkpoints, recipe.samples_seen]:
        with atomic(checkpoints / f"{count}.pt") as temporary:
            shutil.copyfile(run / f"{count}.pt", temporary)
    lines = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    write_table(metrics, pa.Table.from_pylist(lines, schema=TRAINING), TRAINING)


class _Run:
    """The training itself, in this process: everything that a saved state has to restore is an attribute."""

    def __init__(self, job: Job, ranks: Ranks, saved: dict[str, Any] | None) -> None:
        self.job, self.ranks, self.recipe, self.folder = job, ranks, job.recipe, Path(job.run)
        _make_reproducible(self.recipe, job.device)
        seed = _seed(self.recipe.seed, job.side)
        torch.manual_seed(seed)
        self.clip = build(self.recipe.architecture, job.device)
        if job.device == "cuda":
            _require_reproducible(self.clip, job.title)
        if not ranks.first:
            # the same weights in all processes, but not the same dropout
            torch.manual_seed(_seed(seed, f"process {ranks.rank}"))
        self.learner = Learner(self.clip, self.recipe, ranks)
        self.step, self.saved_step = 0, 0
        self.lines: list[dict[str, Any]] = []
        if saved is not None:
            self._restore(saved)
        self.randomize = _randomizer(self.clip.tokenizer, self.recipe, seed)
        self.stream = _stream(job, self.clip.size, seed)
        if ranks.first:
            # the metrics as training goes, for who watches; a restart takes back what came after the saved state
            write_text(self.folder / METRICS, "".join(json.dumps(line) + "\n" for line in self.lines))

    def train(self) -> None:
        recipe, clock = self.recipe, _Clock(self.job, self.step)
        with closing(self._batches()) as batches:
            clock.start_waiting()
            batch = next(batches)
            clock.stop_waiting()
            while self.step < recipe.steps:
                rate = recipe.learning_rate_at(self.step)
                report = self.learner.step(*batch, rate)
                self.step += 1
                if self.step < recipe.steps:
                    # before the step's result is asked for, since on cuda the step is under way
                    clock.start_waiting()
                    batch = next(batches)
                    clock.stop_waiting()
                self._conclude(report, rate, clock)
        if self.ranks.first:
            clock.progress.finish(f"loss {self.lines[-1]['loss']:.4f}")

    def _batches(self) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
        """Images and tokens of this process's share of every batch that is left, as the model takes them."""
        size, part = self.recipe.batch_size, (self.ranks.rank, self.ranks.world)
        with closing(self.stream.batches(size, skip=self.step * size, part=part)) as batches:
            for batch in batches:
                tokens = self.clip.cut(self.randomize(batch.captions, batch.epochs.tolist(), batch.rows.tolist()))
                yield self.clip.normalize(batch.images, self.job.device), tokens.to(self.job.device)

    def _conclude(self, report: torch.Tensor, rate: float, clock: _Clock) -> None:
        """Looks at a step's result and writes what is due after it."""
        due = torch.tensor([float(self.ranks.first and clock.state_is_due())], device=report.device)
        loss, norm, save = self.ranks.mean(torch.cat([report, due])).tolist()
        self._require_finite(loss, norm)
        if self.ranks.first:
            seen = self.step * self.recipe.batch_size
            for count in self.recipe.checkpoints_after(self.step):
                path = self.folder / f"{count}.pt"
                save_checkpoint(path, self.clip, self.step, seen, self.learner.weights())
            every = max(1, self.recipe.steps // METRIC_LINES)
            if self.step % every == 0 or self.step in (1, self.recipe.steps):
                self._note(loss, norm, rate, clock)
            clock.progress.advance(self.recipe.batch_size, f"loss {loss:.4f}")
        if save:
            self._save()
            clock.state_is_written()

    def _require_finite(self, loss: float, norm: float) -> None:
        for name, value in (("loss", loss), ("gradient's norm", norm)):
            if not math.isfinite(value):
                left = words(
                    f"the last good state, of step {self.saved_step:,}, stays in {self.folder / STATE}"
                    if self.saved_step
                    else "no state had been saved before it"
                )
                raise InputError(
                    f"{self.job.title}: the {name} is {value} at step {self.step:,}: lower learning_rate, raise "
                    f"warmup, or set gradient_clip; {left}."
                )

    def _note(self, loss: float, norm: float, rate: float, clock: _Clock) -> None:
        self.lines.append(
            {
                "step": self.step,
                "samples_seen": self.step * self.recipe.batch_size,
                "loss": loss,
                "learning_rate": rate,
                "logit_scale": self.clip.model.logit_scale.exp().item(),
                "gradient_norm": norm,
                **clock.measure(self.step),
            }
        )
        with open(self.folder / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.lines[-1]) + "\n")

    def _save(self) -> None:
        random = self.ranks.gather(random_state(self.job.device))
        if self.ranks.first:
            write_state(
                self.folder,
                {
                    "step": self.step,
                    "model": self.learner.weights(),
                    "optimizer": self.learner.optimizer.state_dict(),
                    "random": random,
                    "lines": json.dumps(self.lines),
                    "checkpoints": sorted(path.name for path in self.folder.glob("[0-9]*.pt")),
                },
            )
        self.saved_step = self.step

    def _restore(self, saved: dict[str, Any]) -> None:
        self.learner.load(saved["model"], saved["optimizer"])
        set_random_state(saved["random"][self.ranks.rank], self.job.device)
        self.step = self.saved_step = saved["step"]
        self.lines = json.loads(saved["lines"])
        if self.ranks.first:
            say(f"[{self.job.title}] continues after step {self.step:,} of {self.recipe.steps:,}")


class _Clock:
    """What is measured while training: progress, time, and the share of it that went into getting batches."""

    def __init__(self, job: Job, step: int) -> None:
        self.batch_size, self.state_seconds = job.recipe.batch_size, job.state_seconds
        self.progress = Progress(job.title, job.recipe.steps * self.batch_size, "samples")
        self.progress.skip(step * self.batch_size)
        self.saved = self.marked = time.monotonic()
        self.step_at_mark, self.waited, self.waiting_since = step, 0.0, 0.0

    def start_waiting(self) -> None:
        self.waiting_since = time.monotonic()

    def stop_waiting(self) -> None:
        self.waited += time.monotonic() - self.waiting_since

    def measure(self, step: int) -> dict[str, float]:
        """Rate, and share of the time waited for data, since it was last asked."""
        now = time.monotonic()
        seconds = max(now - self.marked, 1e-9)
        found = {
            "samples_per_second": (step - self.step_at_mark) * self.batch_size / seconds,
            "data_wait": min(1.0, self.waited / seconds),
        }
        self.marked, self.step_at_mark, self.waited = now, step, 0.0
        return found

    def state_is_due(self) -> bool:
        return time.monotonic() - self.saved >= self.state_seconds

    def state_is_written(self) -> None:
        self.saved = time.monotonic()


def _make_reproducible(recipe: Recipe, device: str) -> None:
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(recipe.torch_threads)
    # told to warn only, attention on cuda takes the faster way, which adds in any order
    torch.use_deterministic_algorithms(True, warn_only=device != "cuda")
    # or every new tensor would first be filled, which is for finding operations that read what they have not written
    torch.utils.deterministic.fill_uninitialized_memory = False


def _require_reproducible(clip: Clip, title: str) -> None:
    """Lets an architecture train whose operations have no reproducible form on this device, and says so."""
    if (missing := irreproducible(clip)) is not None:
        torch.use_deterministic_algorithms(True, warn_only=True)
        say(f"[{title}] on this device the same training gives other last digits each time: {missing}")


def _seed(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{purpose}".encode(), digest_size=4).digest(), "big")


def _randomizer(tokenizer: Any, recipe: Recipe, seed: int) -> TextRandomizer:
    return TextRandomizer(
        tokenizer,
        mask=recipe.text_mask,
        unit=recipe.text_mask_unit,
        replace=recipe.text_mask_with,
        dropout=recipe.caption_dropout,
        seed=seed,
    )


def _stream(job: Job, size: int, seed: int) -> PairStream:
    recipe = job.recipe
    scale = None if recipe.crop_scale is None else (recipe.crop_scale[0], recipe.crop_scale[1])
    return PairStream(
        SampleStore(job.samples),
        read_table(job.manifest, ["row"])["row"].to_numpy(),
        size,
        recipe.shuffle_buffer,
        seed,
        augmentation=Augmentation(scale, recipe.flip, recipe.color_jitter, recipe.gray_scale),
        other_captions=recipe.caption_augmentation,
        workers=job.workers,
    )
