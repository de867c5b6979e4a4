"""Training one side of a model: OpenCLIP's model and loss, AdamW, warm-up and cosine, resumable in the middle."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from open_clip.loss import ClipLoss

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.files import atomic, read_table, write_table, write_text
from dejavu.progress import Progress, say
from dejavu.tables import TRAINING
from dejavu.training.model import build, save_checkpoint
from dejavu.training.stream import Batch, PairStream
from dejavu.training.text import mask_words

MAX_LOGIT_SCALE = math.log(100)
METRIC_LINES = 400


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; the keys of ``models`` in the configuration, where they are described."""

    architecture: str
    samples_seen: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    warmup: float
    text_mask: float
    precision: str
    torch_threads: int
    shuffle_buffer: int
    seed: int

    @property
    def steps(self) -> int:
        """Number of optimiser steps: the whole batches in the budget."""
        return max(1, self.samples_seen // self.batch_size)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then a half cosine to zero, as OpenCLIP has it."""
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


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
) -> None:
    """Trains one side and writes its checkpoint ``<samples_seen>.pt`` and its metrics table.

    Args:
        recipe: how.
        side: ``a`` or ``b``; enters the random seed, nothing else.
        manifest: the training set.
        samples: batch folders of the samples table.
        checkpoints: folder to write to.
        metrics: parquet file to write, schema ``TRAINING``.
        state: folder for what a killed run continues from; removed at the end.
        code: hash of the training code; a state left by other code, another recipe or another training set is not used.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.
        state_seconds: time between two writings of the state.

    Raises:
        InputError: when the training set is smaller than a batch, another process trains the same side, or the loss
            is not a number.
    """
    torch.set_num_threads(recipe.torch_threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    rows = read_table(manifest, ["row"])["row"].to_numpy()
    if len(rows) < recipe.batch_size:
        raise InputError(
            f"{title}: the training set has {len(rows):,} samples, fewer than one batch of {recipe.batch_size:,}: "
            "lower batch_size, or enlarge the role."
        )
    with _locked(state, title):
        _Trainer(recipe, side, SampleStore(samples), rows, state, code, device, title, state_seconds).run(
            checkpoints, metrics
        )
    shutil.rmtree(state)


class _Trainer:
    """The run itself: everything that a saved state has to restore is an attribute."""

    def __init__(
        self,
        recipe: Recipe,
        side: str,
        store: SampleStore,
        rows: np.ndarray,
        state: Path,
        code: str,
        device: str,
        title: str,
        state_seconds: float,
    ) -> None:
        self.recipe, self.device, self.title, self.state_seconds = recipe, device, title, state_seconds
        self.seed = _seed(recipe.seed, side)
        self.state = state / f"{_key(recipe, side, rows, code)}.pt"
        torch.manual_seed(self.seed)
        self.clip = build(recipe.architecture, device)
        self.clip.model.train()
        self.optimizer = _optimizer(self.clip.model, recipe)
        self.step = 0
        self.lines: list[dict[str, Any]] = []
        self._restore()
        # the metrics as training goes, for who watches; a restart takes back what came after the saved state
        self.live = self.state.with_suffix(".jsonl")
        write_text(self.live, "".join(json.dumps(line) + "\n" for line in self.lines))
        self.stream = PairStream(store, rows, self.clip.size, recipe.shuffle_buffer, self.seed)

    def run(self, checkpoints: Path, metrics: Path) -> None:
        recipe, loss_of = self.recipe, ClipLoss()
        every = max(1, recipe.steps // METRIC_LINES)
        progress = Progress(self.title, recipe.steps * recipe.batch_size, "samples")
        progress.skip(self.step * recipe.batch_size)
        saved = marked = time.monotonic()
        seen_at_mark = self.step * recipe.batch_size
        for batch in self.stream.batches(recipe.batch_size, skip=seen_at_mark):
            if self.step >= recipe.steps:
                break
            rate = recipe.learning_rate_at(self.step)
            loss = self._update(batch, rate, loss_of)
            self.step += 1
            seen = self.step * recipe.batch_size
            if self.step % every == 0 or self.step in (1, recipe.steps):
                now = time.monotonic()
                speed = (seen - seen_at_mark) / max(now - marked, 1e-9)
                self._note(seen, loss, rate, speed)
                marked, seen_at_mark = now, seen
            progress.advance(recipe.batch_size, f"loss {loss:.4f}")
            if time.monotonic() - saved >= self.state_seconds:
                self._save()
                saved = time.monotonic()
        progress.finish(f"loss {self.lines[-1]['loss']:.4f}")
        save_checkpoint(checkpoints / f"{recipe.samples_seen}.pt", self.clip, self.step, self.step * recipe.batch_size)
        write_table(metrics, pa.Table.from_pylist(self.lines, schema=TRAINING), TRAINING)

    def _update(self, batch: Batch, rate: float, loss_of: ClipLoss) -> float:
        model, recipe = self.clip.model, self.recipe
        captions = [
            mask_words(caption, recipe.text_mask, self.seed, int(epoch), int(row))
            for caption, epoch, row in zip(batch.captions, batch.epochs, batch.rows, strict=True)
        ]
        images = self.clip.normalize(batch.images, self.device)
        tokens = self.clip.tokenizer(captions).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        image_features = model.encode_image(images, normalize=True)
        text_features = model.encode_text(tokens, normalize=True)
        loss = loss_of(image_features, text_features, model.logit_scale.exp())
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"{self.title}: the loss is {value} at step {self.step + 1}: lower learning_rate, or raise warmup."
            )
        self.optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        return value

    def _note(self, seen: int, loss: float, rate: float, speed: float) -> None:
        self.lines.append(
            {
                "step": self.step,
                "samples_seen": seen,
                "loss": loss,
                "learning_rate": rate,
                "logit_scale": self.clip.model.logit_scale.exp().item(),
                "samples_per_second": speed,
            }
        )
        with open(self.live, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.lines[-1]) + "\n")

    def _save(self) -> None:
        with atomic(self.state) as temporary:
            torch.save(
                {
                    "step": self.step,
                    "model": self.clip.model.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "random": torch.get_rng_state(),
                    "lines": json.dumps(self.lines),
                },
                temporary,
            )

    def _restore(self) -> None:
        if not self.state.exists():
            return
        saved = torch.load(self.state, map_location=self.device, weights_only=True)
        self.clip.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"].cpu())
        self.step, self.lines = saved["step"], json.loads(saved["lines"])
        say(f"[{self.title}] continues after step {self.step:,} of {self.recipe.steps:,}")


def _seed(seed: int, side: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{side}".encode(), digest_size=4).digest(), "big")


def _key(recipe: Recipe, side: str, rows: np.ndarray, code: str) -> str:
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps([vars(recipe), side, code], sort_keys=True).encode())
    digest.update(np.sort(rows).tobytes())
    if recipe.architecture.endswith(".json"):
        digest.update(Path(recipe.architecture).read_bytes())
    return digest.hexdigest()


def _optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW without weight decay on gains, biases and the temperature, as OpenCLIP has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True
    )


@contextmanager
def _locked(folder: Path, title: str) -> Iterator[None]:
    """Holds the folder's lock; the system frees it when its owner dies."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"{title}: another process is training this side: wait for it, or end it.") from None
    finally:
        os.close(handle)
