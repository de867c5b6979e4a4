"""One optimiser step: OpenCLIP's losses of the whole batch, however many parts and processes work on it, and AdamW."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from dejavu.errors import InputError, loss_mismatch
from dejavu.files import first_line
from dejavu.training.model import Clip
from dejavu.training.openclip import open_clip
from dejavu.training.ranks import Ranks
from dejavu.training.recipe import Recipe


class Learner:
    """A model in training, its optimiser, and the step that changes both.

    With ``precision: bf16`` the towers compute in bfloat16, and AdamW works on float32 copies of their weights, of
    which they are roundings. Features are compared in float32. With ``fp32`` on ``cuda``, torch's own settings hold:
    TF32 in convolutions, not in matrix products.

    Args:
        clip: the model with its initial weights, float32.
        recipe: how.
        ranks: the processes that share every batch.
    """

    def __init__(self, clip: Clip, recipe: Recipe, ranks: Ranks) -> None:
        self.clip, self.recipe, self.ranks = clip, recipe, ranks
        scale = clip.model.logit_scale
        with torch.no_grad():
            scale.fill_(math.log(1 / recipe.temperature))
        scale.requires_grad_(recipe.learn_temperature)
        clip.model.train()
        # name: (parameter, what AdamW changes in its place, which for float32 is the parameter itself)
        self._pairs = {name: (value, value) for name, value in clip.model.named_parameters()}
        if recipe.precision == "bf16":
            self._pairs |= {name: (value, _halved(value)) for name, value in _halvable(clip.model)}
        self.optimizer = _optimizer([master for _, master in self._pairs.values() if master.requires_grad], recipe)
        self._towers: Any = _Towers(clip)
        if ranks.world > 1:
            # parameters that the loss does not reach are allowed; and the gradients then travel in the same pieces
            # from the first step on, so that a resumed run adds them up in the same order
            self._towers = DistributedDataParallel(
                self._towers, forward_sync_buffers=False, find_unused_parameters=True
            )
        self._loss = _loss(clip, recipe, ranks)

    def step(self, images: torch.Tensor, tokens: torch.Tensor, rate: float) -> torch.Tensor:
        """Changes the weights once; on ``cuda`` returns before that is done.

        Args:
            images: float32 (n, 3, size, size), this process's share of the batch, normalised.
            tokens: int64 (n, length), its captions.
            rate: learning rate.

        Returns:
            float32 (2,): loss of this process's share against the whole batch (the mean over the processes is that of
            the batch), and the L2 norm of the gradient before clipping.
        """
        self._towers.zero_grad(set_to_none=True)
        loss = self._differentiate(images, tokens)
        masters = self._carry_gradients()
        gradients = [master.grad for master in masters if master.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.recipe.gradient_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(masters, self.recipe.gradient_clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            if self.recipe.learn_temperature:
                self.clip.model.logit_scale.clamp_(0, math.log(self.recipe.max_logit_scale))
            self._round()
        return torch.stack([loss.detach(), norm])

    def weights(self) -> dict[str, torch.Tensor]:
        """The model's state, its weights in float32."""
        masters = {name: master.detach() for name, (_, master) in self._pairs.items()}
        return self.clip.model.state_dict() | masters

    def load(self, weights: dict[str, torch.Tensor], optimizer: dict[str, Any]) -> None:
        """Takes over what :meth:`weights` and the optimiser's ``state_dict`` gave."""
        self.clip.model.load_state_dict(weights)
        with torch.no_grad():
            for name, (_, master) in self._pairs.items():
                master.copy_(weights[name])
            self._round()
        self.optimizer.load_state_dict(optimizer)

    def _differentiate(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Leaves the loss's gradient in the parameters, its mean over the processes; returns the loss."""
        if self.recipe.accumulation == 1:
            loss = self._loss(*self._towers(images, tokens))
            loss.backward()
            return loss
        return self._differentiate_in_parts(
            list(zip(images.chunk(self.recipe.accumulation), tokens.chunk(self.recipe.accumulation), strict=True))
        )

    def _differentiate_in_parts(self, parts: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """As GradCache (arXiv 2101.06983): features of all parts, the loss's gradient in them, then part by part."""
        device, states, features = self.ranks.device, [], []
        with torch.no_grad():
            for part in parts:
                states.append(random_state(device))
                features.append(self._inner(*part))
        found = [torch.cat([feature[i] for feature in features]).requires_grad_() for i in (0, 1)]
        # the inverse temperature and SigLIP's bias, which no part has to itself
        shared = [value.requires_grad_() for value in features[0][2:]]
        loss = self._loss(*found, *shared)
        of_images, of_texts, *of_shared = torch.autograd.grad(loss, [*found, *shared])
        image_parts, text_parts = of_images.chunk(len(parts)), of_texts.chunk(len(parts))
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            # dropout has to drop the same in both passes
            set_random_state(states[index], device)
            with nullcontext() if last or self.ranks.world == 1 else self._towers.no_sync():
                image, text, *own = self._towers(*part)
                surrogate = (image * image_parts[index]).sum() + (text * text_parts[index]).sum()
                for value, gradient in zip(own, of_shared, strict=True):
                    if last and value.requires_grad:
                        surrogate = surrogate + (value * gradient).sum()
                surrogate.backward()
        return loss

    @property
    def _inner(self) -> Any:
        return self._towers.module if self.ranks.world > 1 else self._towers

    def _carry_gradients(self) -> list[torch.Tensor]:
        """Takes the gradients to what AdamW changes, and returns that."""
        for value, master in self._pairs.values():
            if master is not value:
                master.grad = None if value.grad is None else value.grad.float()
        return [master for _, master in self._pairs.values()]

    def _round(self) -> None:
        for value, master in self._pairs.values():
            if master is not value:
                value.copy_(master)


class _Towers(torch.nn.Module):
    """Both towers in one call, as data parallelism wants it: image and text features, inverse temperature, and a bias.

    The bias is there where the architecture has one, which is for SigLIP's loss.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.model, self._clip = clip.model, clip

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = self.model.encode_image(images.to(_precision(self.model)), normalize=False)
        text = self._clip.encode_text(tokens, normalize=False)
        features = normalize(image.float(), dim=-1), normalize(text.float(), dim=-1), self.model.logit_scale.exp()
        # a new tensor, as the inverse temperature is one, which the loss in parts takes as its own
        return features if self.model.logit_bias is None else (*features, self.model.logit_bias * 1.0)


def irreproducible(clip: Clip) -> str | None:
    """What torch says of an operation of a model that gives other last digits each time on the model's device.

    Tried on a copy, with two pairs; asks torch for reproducible operations and leaves that on. None: it has them all.
    """
    device = clip.model.logit_scale.device
    copied = replace(clip, model=copy.deepcopy(clip.model).train())
    state = random_state(device.type)
    torch.use_deterministic_algorithms(True)
    try:
        images = torch.zeros(2, 3, clip.size, clip.size, device=device)
        image, text, *_ = _Towers(copied)(images, clip.tokenize(["a", "b"]).to(device))
        (image @ text.T).sum().backward()
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        return first_line(error)
    finally:
        set_random_state(state, device.type)
    return None


def _loss(clip: Clip, recipe: Recipe, ranks: Ranks) -> torch.nn.Module:
    """OpenCLIP's loss of a recipe, over the batches of all processes.

    Raises:
        InputError: when the architecture's bias and the loss do not go together.
    """
    biased = clip.model.logit_bias is not None
    if biased != (recipe.loss == "siglip"):
        raise InputError(loss_mismatch(clip.name, recipe.loss))
    if biased:
        return open_clip.loss.SigLipLoss(rank=ranks.rank, world_size=ranks.world, dist_impl="gather")
    return open_clip.ClipLoss(local_loss=True, gather_with_grad=True, rank=ranks.rank, world_size=ranks.world)


def _precision(model: Any) -> torch.dtype:
    return next(model.visual.parameters()).dtype


def _halvable(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters that bfloat16 is enough for: not the temperature, nor batch normalisation."""
    for prefix, module in model.named_modules():
        for name, value in module.named_parameters(prefix, recurse=False):
            if not isinstance(module, _BatchNorm) and name not in ("logit_scale", "logit_bias"):
                yield name, value


def _halved(value: torch.nn.Parameter) -> torch.nn.Parameter:
    """Makes a parameter bfloat16; returns its float32 copy."""
    master = torch.nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad)
    value.data = value.data.bfloat16()
    return master


def _optimizer(parameters: list[torch.Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW without weight decay on gains, biases and the temperature, as OpenCLIP has it."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True
    )


def random_state(device: str) -> torch.Tensor:
    """The state of torch's random numbers on the CPU and, for ``cuda``, on the device; uint8 (n,)."""
    states = [torch.get_rng_state()]
    if device == "cuda":
        states.append(torch.cuda.get_rng_state())
    return torch.cat(states)


def set_random_state(state: torch.Tensor, device: str) -> None:
    """Takes over what :func:`random_state` gave."""
    on_cpu = torch.get_rng_state().numel()
    torch.set_rng_state(state[:on_cpu].clone())
    if device == "cuda":
        torch.cuda.set_rng_state(state[on_cpu:].clone())
