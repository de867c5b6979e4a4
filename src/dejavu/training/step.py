"""One optimiser step: OpenCLIP's loss of the whole batch, over any number of parts and processes, and AdamW."""

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

    With ``precision: bf16`` the towers compute in bfloat16. AdamW changes float32 copies of the weights, which are
    rounded to bfloat16 after each step. Features are compared in float32. With ``fp32`` on ``cuda``, torch's default
    settings hold: TF32 in convolutions, not in matrix products.

    Args:
        clip: the model with its initial weights, float32.
        recipe: the recipe.
        ranks: the processes that share every batch.
    """

    def __init__(self, clip: Clip, recipe: Recipe, ranks: Ranks) -> None:
        self.clip, self.recipe, self.ranks = clip, recipe, ranks
        scale = clip.model.logit_scale
        with torch.no_grad():
            scale.fill_(math.log(1 / recipe.temperature))
        scale.requires_grad_(recipe.learn_temperature)
        clip.model.train()
        # Name -> (parameter, master): AdamW changes the master, which for float32 is the parameter itself.
        self._pairs = {name: (value, value) for name, value in clip.model.named_parameters()}
        if recipe.precision == "bf16":
            self._pairs |= {name: (value, _halved(value)) for name, value in _halvable(clip.model)}
        self.optimizer = _optimizer([master for _, master in self._pairs.values() if master.requires_grad], recipe)
        self._towers: Any = _Towers(clip)
        if ranks.world > 1:
            # find_unused_parameters allows parameters that the loss does not reach. It also keeps the gradient buckets
            # the same from the first step on, so a resumed training adds gradients in the same order.
            self._towers = DistributedDataParallel(
                self._towers, forward_sync_buffers=False, find_unused_parameters=True
            )
        self._loss = _loss(clip, recipe, ranks)

    def step(self, images: torch.Tensor, tokens: torch.Tensor, rate: float) -> torch.Tensor:
        """Change the weights once; on ``cuda``, return before the change is complete.

        Args:
            images: float32 (n, 3, size, size), normalised images of this process's part of the batch.
            tokens: int64 (n, length), captions of this process's part.
            rate: learning rate.

        Returns:
            float32 (2,): the loss of this process's part against the whole batch (its mean over the processes is the
            batch's loss), and the L2 norm of the gradient before clipping.
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
        """Return the model's state dict, with the weights in float32."""
        masters = {name: master.detach() for name, (_, master) in self._pairs.items()}
        return self.clip.model.state_dict() | masters

    def load(self, weights: dict[str, torch.Tensor], optimizer: dict[str, Any]) -> None:
        """Load weights that :meth:`weights` returned, and the optimiser's ``state_dict``."""
        self.clip.model.load_state_dict(weights)
        with torch.no_grad():
            for name, (_, master) in self._pairs.items():
                master.copy_(weights[name])
            self._round()
        self.optimizer.load_state_dict(optimizer)

    def _differentiate(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Store the loss's gradient, averaged over the processes, in the parameters, and return the loss."""
        if self.recipe.accumulation == 1:
            loss = self._loss(*self._towers(images, tokens))
            loss.backward()
            return loss
        return self._differentiate_in_parts(
            list(zip(images.chunk(self.recipe.accumulation), tokens.chunk(self.recipe.accumulation), strict=True))
        )

    def _differentiate_in_parts(self, parts: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Store the gradient of the whole batch's loss, with the activations of one part in memory at a time.

        The method is GradCache (arXiv 2101.06983). First compute the features of all parts without activations, then
        the loss's gradient in these features. Then compute each part's features again, and propagate their gradient to
        the parameters.
        """
        device, states, features = self.ranks.device, [], []
        with torch.no_grad():
            for part in parts:
                states.append(random_state(device))
                features.append(self._inner(*part))
        found = [torch.cat([feature[i] for feature in features]).requires_grad_() for i in (0, 1)]
        # The inverse temperature and SigLIP's bias are the same for all parts.
        shared = [value.requires_grad_() for value in features[0][2:]]
        loss = self._loss(*found, *shared)
        of_images, of_texts, *of_shared = torch.autograd.grad(loss, [*found, *shared])
        image_parts, text_parts = of_images.chunk(len(parts)), of_texts.chunk(len(parts))
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            # Dropout has to be the same in both passes.
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
        """Copy the gradients of the parameters to the masters, which AdamW changes, and return the masters."""
        for value, master in self._pairs.values():
            if master is not value:
                master.grad = None if value.grad is None else value.grad.float()
        return [master for _, master in self._pairs.values()]

    def _round(self) -> None:
        for value, master in self._pairs.values():
            if master is not value:
                value.copy_(master)


class _Towers(torch.nn.Module):
    """Both towers in one call, because ``DistributedDataParallel`` synchronises one call per step.

    The call returns image features, text features, the inverse temperature and, where the architecture has one for
    SigLIP's loss, a bias.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.model, self._clip = clip.model, clip

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = self.model.encode_image(images.to(_precision(self.model)), normalize=False)
        text = self._clip.encode_text(tokens, normalize=False)
        features = normalize(image.float(), dim=-1), normalize(text.float(), dim=-1), self.model.logit_scale.exp()
        # The product is a new tensor: the loss in parts calls requires_grad_ on it, which must not touch the parameter.
        return features if self.model.logit_bias is None else (*features, self.model.logit_bias * 1.0)


def irreproducible(clip: Clip) -> str | None:
    """Return torch's error about an operation of the model without a reproducible form on its device; None without one.

    The function tries a copy of the model on two pairs. It leaves torch's deterministic algorithms turned on.
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
    """Return OpenCLIP's loss for a recipe, over the batches of all processes.

    Raises:
        InputError: when the loss needs a bias that the architecture lacks, or the architecture has an unused bias.
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
    """Yield the parameters that may be bfloat16: all but temperature, bias of the loss and batch normalisation."""
    for prefix, module in model.named_modules():
        for name, value in module.named_parameters(prefix, recurse=False):
            if not isinstance(module, _BatchNorm) and name not in ("logit_scale", "logit_bias"):
                yield name, value


def _halved(value: torch.nn.Parameter) -> torch.nn.Parameter:
    """Make a parameter bfloat16, and return its float32 copy."""
    master = torch.nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad)
    value.data = value.data.bfloat16()
    return master


def _optimizer(parameters: list[torch.Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW without weight decay on gains, biases and the temperature, as in OpenCLIP."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True
    )


def random_state(device: str) -> torch.Tensor:
    """Return the state of torch's random generators, of the CPU and, for ``cuda``, of the device; uint8 (n,)."""
    states = [torch.get_rng_state()]
    if device == "cuda":
        states.append(torch.cuda.get_rng_state())
    return torch.cat(states)


def set_random_state(state: torch.Tensor, device: str) -> None:
    """Restore a state that :func:`random_state` returned."""
    on_cpu = torch.get_rng_state().numel()
    torch.set_rng_state(state[:on_cpu].clone())
    if device == "cuda":
        torch.cuda.set_rng_state(state[on_cpu:].clone())
