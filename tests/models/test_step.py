"""The optimiser step: OpenCLIP's, in one part or several, in float32 or bfloat16."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from open_clip_train.train import train_one_epoch

from dejavu.errors import InputError
from dejavu.training.model import build
from dejavu.training.ranks import Ranks
from dejavu.training.step import Learner, irreproducible
from tests.harness.trainees import recipe

WORDS = ["red", "blue", "dog", "cat", "star", "ring", "sea", "sun"]


@pytest.fixture
def learner(tiny_architecture):
    torch.set_num_threads(1)

    def make(vision: dict | None = None, **changes) -> Learner:
        architecture = tiny_architecture("step-for-tests", **(vision or {}))
        if changes.get("loss") == "siglip":
            text = Path(architecture).read_text()
            Path(architecture).write_text(text.replace("{", '{"init_logit_bias": -10.0, ', 1))
        torch.manual_seed(0)
        return Learner(build(architecture), recipe(architecture, **changes), Ranks())

    return make


def batch(learner: Learner, number: int = 0, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, size=(size, 32, 32, 3), dtype=np.uint8)
    captions = [" ".join(rng.choice(WORDS, size=1 + i % 5)) for i in range(size)]
    return learner.clip.normalize(images, "cpu"), learner.clip.tokenizer(captions)


def losses(learner: Learner, steps: int, rate: float = 1e-3, batches: int = 5) -> list[float]:
    found = []
    for step in range(steps):
        images, tokens = batch(learner, step % batches)
        found.append(learner.step(images, learner.clip.cut(tokens), rate)[0].item())
    return found


def gradients(learner: Learner, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    learner.step(*inputs, 0.0)
    return {name: value.grad for name, value in learner.clip.model.named_parameters()}


def without_key_bias(name: str, value: torch.Tensor) -> torch.Tensor:
    """Leaves out what softmax makes no difference of: its gradient is rounding alone, which Adam makes large."""
    if not name.endswith("in_proj_bias"):
        return value
    queries, _, values = value.chunk(3)
    return torch.cat([queries, values])


SIGLIP = {"loss": "siglip", "temperature": 0.1}
LOSSES = pytest.mark.parametrize("how", [{}, SIGLIP], ids=["clip", "siglip"])


@LOSSES
def test_steps_are_those_of_open_clip_train(learner, how):
    ours = learner(**how)
    theirs = learner(**how).clip.model
    theirs.output_dict = True
    # open_clip_train.main groups the weights in the same way
    named = list(theirs.named_parameters())
    plain = [value for name, value in named if value.ndim < 2]
    groups = [
        {"params": plain, "weight_decay": 0.0},
        {"params": [value for _, value in named if value.ndim >= 2], "weight_decay": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
    loader = [batch(ours, step % 5) for step in range(12)]
    expected: list[float] = []

    class Noted(SigLipLoss if how else ClipLoss):
        def forward(self, *arguments, **named):
            found = super().forward(*arguments, **named)
            expected.append(found["contrastive_loss"].item())
            return found

    class Loader(list):
        num_batches, num_samples = 12, 96

    options = {"device": "cpu", "precision": "fp32", "accum_freq": 1, "distill": False, "skip_scheduler": False}
    options |= {"grad_clip_norm": None, "horovod": False, "rank": 0, "local_rank": 0, "log_every_n_steps": 100}
    options |= {"wandb": False, "batch_size": 8, "world_size": 1, "distributed": False, "log_local": False}
    data = {"train": SimpleNamespace(dataloader=Loader(loader), set_epoch=lambda epoch: None)}
    train_one_epoch(
        theirs, data, Noted(), 0, optimizer, None, lambda step: None, None, SimpleNamespace(**options), None
    )
    found = losses(ours, 12)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert found == pytest.approx(expected, abs=1e-4)
    for name, value in theirs.state_dict().items():
        one, other = (without_key_bias(name, tensor) for tensor in (ours.weights()[name], value))
        assert torch.allclose(one, other, atol=1e-4), name


@LOSSES
@pytest.mark.parametrize("vision", [{}, {"patch_dropout": 0.5}], ids=["plain", "dropout"])
def test_a_batch_in_four_parts_gives_the_gradient_of_the_whole(learner, vision, how):
    whole, parts = learner(vision, **how), learner(vision, accumulation=4, **how)
    images, tokens = batch(whole)
    if vision:
        # dropout draws other numbers for a batch in parts, and the same numbers for a batch in one part
        parts.recipe = recipe(parts.recipe.architecture, accumulation=1, **how)
        one_part = [(images, tokens)]
        parts._differentiate = lambda *_: parts._differentiate_in_parts(one_part)
    torch.manual_seed(5)
    expected = gradients(whole, images, tokens)
    torch.manual_seed(5)
    found = gradients(parts, images, tokens)
    assert expected["logit_scale"].abs() > 1e-3
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-6, rtol=1e-4), name


def test_after_several_steps_a_batch_in_four_parts_has_made_the_same_weights(learner):
    # the gradient of the keys' biases is rounding alone; with a larger epsilon AdamW makes no steps of it
    whole, parts = learner(epsilon=1e-4), learner(epsilon=1e-4, accumulation=4)
    assert losses(parts, 8) == pytest.approx(losses(whole, 8), abs=1e-5)
    for name, value in whole.weights().items():
        assert torch.allclose(parts.weights()[name], value, atol=1e-5), name


@LOSSES
def test_with_bfloat16_the_loss_falls_as_with_float32(learner, how):
    half, single = losses(learner(precision="bf16", **how), 60), losses(learner(**how), 60)
    assert sum(single[-5:]) < 0.7 * sum(single[:5])
    assert half == pytest.approx(single, abs=0.1)


def test_with_bfloat16_the_towers_compute_in_it_and_checkpoints_are_float32(learner):
    half = learner(precision="bf16")
    kinds = {name: value.dtype for name, value in half.clip.model.named_parameters()}
    assert kinds.pop("logit_scale") == torch.float32
    assert set(kinds.values()) == {torch.bfloat16}
    # of which the towers' are roundings
    for name, value in learner().weights().items():
        assert half.weights()[name].dtype == torch.float32
        assert torch.equal(half.weights()[name], value)
    images, tokens = batch(half)
    assert half.clip.model.encode_image(images.bfloat16()).dtype == torch.bfloat16
    assert half.step(images, tokens, 1e-3).dtype == torch.float32


def test_with_bfloat16_updates_too_small_for_it_add_up(learner):
    half, name = learner(precision="bf16"), "ln_final.weight"
    at_once = half.weights()[name].clone()
    assert torch.equal(at_once, torch.ones_like(at_once))
    images, tokens = batch(half)
    # one is 16 times smaller than the distance of 1 to the next bfloat16 below it
    for _ in range(40):
        half.step(images, tokens, 2**-8 / 16)
        if _ == 0:
            assert torch.equal(half.clip.model.ln_final.weight.float(), at_once)
            assert not torch.equal(half.weights()[name], at_once)
    moved = half.clip.model.ln_final.weight.float()
    assert (moved != at_once).float().mean() > 0.5
    assert torch.equal(moved, half.weights()[name].bfloat16().float())


def test_the_temperature_begins_as_the_recipe_says_and_stays_unless_learned(learner):
    fixed, learned = learner(temperature=0.05, learn_temperature=False), learner(temperature=0.05)
    for one in (fixed, learned):
        assert one.clip.model.logit_scale.exp().item() == pytest.approx(20, rel=1e-5)
        losses(one, 3)
    assert fixed.clip.model.logit_scale.exp().item() == pytest.approx(20, rel=1e-5)
    assert learned.clip.model.logit_scale.exp().item() != pytest.approx(20, rel=1e-4)


def test_the_inverse_temperature_never_passes_its_ceiling(learner):
    one = learner(temperature=1 / 14, max_logit_scale=14.1)
    images, tokens = batch(one)
    found = []
    for _ in range(60):
        one.step(images, tokens, 3e-3)
        found.append(one.clip.model.logit_scale.exp().item())
    assert max(found) == pytest.approx(14.1, rel=1e-5)


def test_the_gradient_s_norm_is_told_before_it_is_clipped(learner):
    plain, clipped = learner(), learner(gradient_clip=0.01)
    images, tokens = batch(plain)
    expected = gradients(plain, images, tokens)
    norm = math.sqrt(sum(value.double().square().sum().item() for value in expected.values()))
    assert clipped.step(images, tokens, 0.0)[1].item() == pytest.approx(norm, rel=1e-5)
    left = [value.grad for value in clipped.clip.model.parameters()]
    assert math.sqrt(sum(value.square().sum().item() for value in left)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(("bias", "loss"), [(True, "clip"), (False, "siglip")])
def test_a_loss_that_does_not_go_with_the_architecture_is_refused(learner, bias, loss):
    clip = learner(**(SIGLIP if bias else {})).clip
    with pytest.raises(InputError, match="with a bias that loss: clip leaves unused" if bias else "needs a bias"):
        Learner(clip, recipe(clip.name, loss=loss), Ranks())


@pytest.fixture
def asking_for_reproducible_operations():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("asking_for_reproducible_operations")
def test_an_operation_without_a_reproducible_form_is_told(learner):
    class Unordered(torch.autograd.Function):
        @staticmethod
        def forward(_, features):
            return features * 1.0

        @staticmethod
        def backward(_, gradient):
            # torch raises this error where it knows the cause
            raise RuntimeError("unordered_backward does not have a deterministic implementation, but you set\n...")

    clip = learner({"patch_dropout": 0.5}).clip
    before, state = {name: value.clone() for name, value in clip.model.state_dict().items()}, torch.get_rng_state()
    assert irreproducible(clip) is None
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in clip.model.state_dict().items())
    assert all(value.grad is None for value in clip.model.parameters())
    clip.model.ln_final.register_forward_hook(lambda module, inputs, output: Unordered.apply(output))
    assert irreproducible(clip).startswith("unordered_backward does not have a deterministic implementation")
