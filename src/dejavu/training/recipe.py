"""The recipe of a model: the keys of ``models`` in the configuration, and the schedule that follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The recipe of one model: every field is a key of ``models`` in the configuration.

    The schema of the configuration defines type, range, default and meaning of each key. A ``recipe.json`` omits keys
    at their default, so a new key changes no recipe. The defaults are repeated here as code, so that a changed default
    changes the code hash and trains again. A test compares both lists of defaults.
    """

    architecture: str
    samples_seen: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    warmup: float = 0.1
    text_mask: float = 0.0
    precision: str = "fp32"
    torch_threads: int = 2
    shuffle_buffer: int = 20_000
    seed: int = 0
    text_mask_unit: str = "words"
    text_mask_with: str = "nothing"
    caption_dropout: float = 0.0
    caption_augmentation: bool = False
    crop_scale: Sequence[float] | None = None
    flip: float = 0.0
    color_jitter: float = 0.0
    gray_scale: float = 0.0
    gradient_clip: float | None = None
    temperature: float = 0.07
    learn_temperature: bool = True
    max_logit_scale: float = 100.0
    accumulation: int = 1
    processes: int = 1
    checkpoints: Sequence[int] = ()
    loss: str = "clip"

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps: the whole batches in ``samples_seen``, at least 1."""
        return max(1, self.samples_seen // self.batch_size)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step (from 0): linear warm-up, then a half cosine to zero, as in OpenCLIP."""
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def checkpoints_after(self, step: int) -> list[int]:
        """Return the checkpoints, in samples seen, that are due after a step (from 1)."""
        seen = step * self.batch_size
        due = [count for count in self.checkpoints if seen - self.batch_size < count <= seen]
        return [*due, self.samples_seen] if step == self.steps else due
