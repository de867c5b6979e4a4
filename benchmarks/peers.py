"""``train_one_epoch`` of ``open_clip_train`` on prepared batches, as a peer of this project's training step."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from open_clip.loss import ClipLoss
from open_clip_train.train import train_one_epoch

from dejavu.training.model import build
from dejavu.training.recipe import Recipe

Batch = tuple[torch.Tensor, torch.Tensor]


class OpenClipTraining:
    """A training of ``open_clip_train`` with a recipe's model, optimiser and schedule.

    Args:
        recipe: the recipe; its precision and its number of processes are ignored.
        device: ``cpu`` or ``cuda``.
        precision: a precision of ``open_clip_train``: ``fp32`` or ``amp_bf16``.

    Attributes:
        losses: the loss of each step so far, float32 () on the device.
    """

    def __init__(self, recipe: Recipe, device: str = "cpu", precision: str = "fp32") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.losses = recipe, list[torch.Tensor]()
        self._model = build(recipe.architecture, device).model
        self._model.output_dict = True
        # The groups of open_clip_train: no weight decay on gains, biases and the temperature.
        decayed = [p for p in self._model.parameters() if p.ndim >= 2]
        others = [p for p in self._model.parameters() if p.ndim < 2]
        groups = [{"params": others, "weight_decay": 0.0}, {"params": decayed, "weight_decay": recipe.weight_decay}]
        self._optimizer = torch.optim.AdamW(
            groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon
        )
        self._contrast = ClipLoss()
        self._args = Namespace(
            device=device,
            precision=precision,
            distill=False,
            accum_freq=recipe.accumulation,
            skip_scheduler=False,
            grad_clip_norm=None,
            horovod=False,
            rank=0,
            local_rank=0,
            world_size=1,
            log_every_n_steps=10**9,
            log_local=False,
            wandb=False,
            tensorboard_path=None,
            batch_size=recipe.batch_size // recipe.accumulation,
        )
        logging.disable(logging.INFO)

    def run(self, batches: Sequence[Batch]) -> None:
        """Train one step on every batch of (images, tokens); tokens have the full context length."""
        parts = self.recipe.accumulation
        loader = _Loader([part for batch in batches for part in zip(*(x.chunk(parts) for x in batch), strict=True)])
        train_one_epoch(
            self._model, {"train": loader}, self._loss, 0, self._optimizer, None, self._schedule, None, self._args
        )

    def _loss(self, **features: Any) -> dict[str, torch.Tensor]:
        losses = self._contrast(**features)
        self.losses.append(losses["contrastive_loss"].detach())
        return losses

    def _schedule(self, _step: int) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(len(self.losses) // self.recipe.accumulation)


class _Loader:
    """The attributes and methods that ``train_one_epoch`` uses of its data."""

    def __init__(self, batches: list[Batch]) -> None:
        self.dataloader, self._batches = self, batches
        self.num_batches, self.num_samples = len(batches), sum(len(images) for images, _ in batches)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: there is only one epoch."""

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)
