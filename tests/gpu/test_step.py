"""The optimiser step on a GPU against the same on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dejavu.training.model import build
from dejavu.training.ranks import Ranks
from dejavu.training.step import Learner
from tests.harness.trainees import recipe

WORDS = ["red", "blue", "dog", "cat", "star", "ring", "sea", "sun"]
SIGLIP = {"loss": "siglip", "temperature": 0.1}
# the keys' biases have no gradient but rounding, which AdamW makes steps of unless epsilon is larger
SMOOTH = {"epsilon": 1e-4}
LOSSES = pytest.mark.parametrize("how", [{}, SIGLIP], ids=["clip", "siglip"])


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Convolutions at full float32: with TF32, torch's default for them, the first three digits would be compared."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def learner(tiny_architecture) -> Callable[..., Learner]:
    """Makes a model in training, with the same weights every time, on a device."""
    torch.set_num_threads(1)

    def make(on: str, vision: dict | None = None, **changes) -> Learner:
        architecture = tiny_architecture("gpu-for-tests", **(vision or {}))
        if changes.get("loss") == "siglip":
            text = Path(architecture).read_text()
            Path(architecture).write_text(text.replace("{", '{"init_logit_bias": -10.0, ', 1))
        torch.manual_seed(0)
        clip = build(architecture)
        clip.model.to(on)
        return Learner(clip, recipe(architecture, **changes), Ranks(device=on))

    return make


def batch(learner: Learner, number: int = 0, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, size=(size, 32, 32, 3), dtype=np.uint8)
    captions = [" ".join(rng.choice(WORDS, size=1 + i % 5)) for i in range(size)]
    device = learner.ranks.device
    return learner.clip.normalize(images, device), learner.clip.tokenize(captions).to(device)


def losses(learner: Learner, steps: int, batches: int = 5) -> list[float]:
    return [learner.step(*batch(learner, step % batches), 1e-3)[0].item() for step in range(steps)]


def gradients(learner: Learner) -> dict[str, torch.Tensor]:
    learner.step(*batch(learner), 0.0)
    return {name: value.grad.cpu() for name, value in learner.clip.model.named_parameters()}


def require_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], within: float) -> None:
    """The distance of every tensor from the expected one, in the share of its norm (or of 1 % of all tensors' norm)."""
    whole = torch.sqrt(sum(value.double().square().sum() for value in expected.values()))
    for name, value in expected.items():
        distance = (found[name].double() - value.double()).norm()
        assert distance <= within * max(value.double().norm(), 0.01 * whole), (name, distance.item())


@LOSSES
def test_a_gradient_and_its_norm_are_those_of_the_cpu(learner, device, how):
    here, there = learner(device, **how), learner("cpu", **how)
    found, expected = gradients(here), gradients(there)
    assert expected["logit_scale"].abs() > 1e-3
    require_close(found, expected, 1e-4)
    one, other = (x.step(*batch(x), 0.0).tolist() for x in (here, there))
    assert one == pytest.approx(other, rel=1e-4)


@LOSSES
def test_after_several_steps_losses_and_weights_are_those_of_the_cpu(learner, device, how):
    here, there = learner(device, **SMOOTH, **how), learner("cpu", **SMOOTH, **how)
    assert losses(here, 12) == pytest.approx(losses(there, 12), abs=1e-3)
    require_close({name: value.cpu() for name, value in here.weights().items()}, there.weights(), 2e-3)


@LOSSES
@pytest.mark.parametrize("vision", [{}, {"patch_dropout": 0.5}], ids=["plain", "dropout"])
def test_a_batch_in_four_parts_gives_the_gradient_of_the_whole(learner, device, vision, how):
    whole, parts = learner(device, vision, **how), learner(device, vision, accumulation=4, **how)
    if vision:
        # in parts dropout draws other numbers; of a whole batch in one part it draws the same
        parts.recipe = recipe(parts.recipe.architecture, **how)
        parts._differentiate = lambda *inputs: parts._differentiate_in_parts([inputs])
    torch.manual_seed(5)
    expected = gradients(whole)
    torch.manual_seed(5)
    require_close(gradients(parts), expected, 1e-4)


@LOSSES
def test_with_bfloat16_the_loss_falls_as_with_float32_and_begins_as_on_the_cpu(learner, device, how):
    half, single = losses(learner(device, precision="bf16", **how), 60), losses(learner(device, **how), 60)
    assert sum(single[-5:]) < 0.7 * sum(single[:5])
    # single steps differ, as the curves rise and fall between; ten of them in the mean do not
    tens = [np.array(curve).reshape(-1, 10).mean(axis=1) for curve in (half, single)]
    assert tens[0] == pytest.approx(tens[1], abs=0.15)
    assert half[:3] == pytest.approx(losses(learner("cpu", precision="bf16", **how), 3), abs=0.03)
    one = learner(device, precision="bf16", **how)
    assert {value.dtype for value in one.clip.model.visual.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in one.weights().values() if value.is_floating_point()} == {torch.float32}


def test_a_clipped_gradient_has_the_norm_asked_for(learner, device):
    one = learner(device, gradient_clip=0.01)
    assert one.step(*batch(one), 0.0)[1] > 0.01
    left = [value.grad for value in one.clip.model.parameters()]
    assert torch.nn.utils.get_total_norm(left).item() == pytest.approx(0.01, rel=1e-3)
