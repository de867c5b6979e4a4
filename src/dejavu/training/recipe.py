"""How a model is trained: the keys of ``models`` in the configuration, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; the keys of ``models`` in the configuration, where they are described.

    The schema of the configuration is the home of the keys: type, range, default and meaning. A recipe on disk lacks
    what stands at its default, so that a new key changes no recipe; the defaults stand here, too, as code, so that a
    changed default is seen by the code hash and trains anew. A test compares the two.
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
        """Number of optimiser steps: the whole batches in the budget."""
        return max(1, self.samples_seen // self.batch_size)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then a half cosine to zero, as OpenCLIP has it."""
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def checkpoints_after(self, step: int) -> list[int]:
        """The checkpoints, by their samples seen, that a step (from 1) is the first to have reached."""
        seen = step * self.batch_size
        due = [count for count in self.checkpoints if seen - self.batch_size < count <= seen]
        return [*due, self.samples_seen] if step == self.steps else due
