"""A training in one process: its steps, the states that a killed training resumes from, and its metrics."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError, words
from dejavu.files import read_table, write_text
from dejavu.progress import Progress, say
from dejavu.training.augment import Augmentation
from dejavu.training.job import Job
from dejavu.training.model import Clip, build, save_checkpoint
from dejavu.training.ranks import Ranks
from dejavu.training.recipe import Recipe
from dejavu.training.state import STATE, read_state, write_state
from dejavu.training.step import Learner, irreproducible, random_state, set_random_state
from dejavu.training.stream import PairStream
from dejavu.training.text import TextRandomizer

METRIC_LINES = 400
METRICS = "metrics.jsonl"


def run_job(job: Job, ranks: Ranks) -> None:
    """Train as one of several processes; the first one writes checkpoints and metrics into the folder of the job."""
    Run(job, ranks, read_state(Path(job.run))).train()


class Run:
    """The training in this process; its attributes hold everything that a saved state restores."""

    def __init__(self, job: Job, ranks: Ranks, saved: dict[str, Any] | None) -> None:
        self.job, self.ranks, self.recipe, self.folder = job, ranks, job.recipe, Path(job.run)
        _make_reproducible(self.recipe, job.device)
        seed = _seed(self.recipe.seed, job.side)
        torch.manual_seed(seed)
        self.clip = build(self.recipe.architecture, job.device)
        if job.device == "cuda":
            _require_reproducible(self.clip, job.title)
        if not ranks.first:
            # All processes start with the same weights but draw different dropout.
            torch.manual_seed(_seed(seed, f"process {ranks.rank}"))
        self.learner = Learner(self.clip, self.recipe, ranks)
        self.step, self.saved_step = 0, 0
        self.lines: list[dict[str, Any]] = []
        if saved is not None:
            self._restore(saved)
        self.randomize = TextRandomizer.of(self.clip.tokenizer, self.recipe, seed)
        self.stream = _stream(job, self.clip.size, seed)
        if ranks.first:
            # The metrics file grows during training, so that people can watch it. A restart removes lines after the
            # saved state.
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
                    # On cuda the step is still running: fetch the next batch before waiting for the step's result.
                    clock.start_waiting()
                    batch = next(batches)
                    clock.stop_waiting()
                self._conclude(report, rate, clock)
        if self.ranks.first:
            clock.progress.finish(f"loss {self.lines[-1]['loss']:.4f}")

    def _batches(self) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
        """Yield images and tokens of this process's part of each remaining batch, as input of the model."""
        size, part = self.recipe.batch_size, (self.ranks.rank, self.ranks.world)
        with closing(self.stream.batches(size, skip=self.step * size, part=part)) as batches:
            for batch in batches:
                tokens = self.clip.cut(self.randomize(batch.captions, batch.epochs.tolist(), batch.rows.tolist()))
                yield self.clip.normalize(batch.images, self.job.device), tokens.to(self.job.device)

    def _conclude(self, report: torch.Tensor, rate: float, clock: _Clock) -> None:
        """Check the loss and norm of a step, and write checkpoints, metrics and state that are due after the step."""
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
    """The measurements during training: progress, time, and the share of time spent waiting for batches."""

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
        """Return the rate and the share of time spent waiting for data, since the last call."""
        now = time.monotonic()
        seconds = max(now - self.marked, 1e-9)
        measured = {
            "samples_per_second": (step - self.step_at_mark) * self.batch_size / seconds,
            "data_wait": min(1.0, self.waited / seconds),
        }
        self.marked, self.step_at_mark, self.waited = now, step, 0.0
        return measured

    def state_is_due(self) -> bool:
        return time.monotonic() - self.saved >= self.state_seconds

    def state_is_written(self) -> None:
        self.saved = time.monotonic()


def _make_reproducible(recipe: Recipe, device: str) -> None:
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(recipe.torch_threads)
    # With warn_only, attention on cuda would use its faster kernel, which adds in any order.
    torch.use_deterministic_algorithms(True, warn_only=device != "cuda")
    # Filling every new tensor helps to find reads of uninitialised memory only, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False


def _require_reproducible(clip: Clip, title: str) -> None:
    """Let an architecture train even if the device lacks a reproducible form of its operations, and say so."""
    if (missing := irreproducible(clip)) is not None:
        torch.use_deterministic_algorithms(True, warn_only=True)
        say(f"[{title}] on this device, repetitions of the same training differ in their last digits: {missing}")


def _seed(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{purpose}".encode(), digest_size=4).digest(), "big")


def _stream(job: Job, size: int, seed: int) -> PairStream:
    recipe = job.recipe
    return PairStream(
        SampleStore(job.samples),
        read_table(job.manifest, ["row"])["row"].to_numpy(),
        size,
        recipe.shuffle_buffer,
        seed,
        augmentation=Augmentation.of(recipe),
        other_captions=recipe.caption_augmentation,
        workers=job.workers,
    )
