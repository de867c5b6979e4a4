"""Whole trainings on a GPU: the same twice, the same when killed and continued, and nearly the CPU's."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
import torch

from dejavu.training.recipe import Recipe
from tests.harness.trainees import Place, recipe, train_until_rename, trainees

__all__ = ["trainees"]


@pytest.fixture
def place(tmp_path, pairs, device) -> Place:
    return Place.make(tmp_path, pairs, device)


@pytest.fixture
def how(tiny_architecture) -> Callable[..., Recipe]:
    # with dropout, so that random numbers which are not restored show
    architecture = tiny_architecture("dropout-for-gpu-tests", patch_dropout=0.5)
    return lambda **changes: recipe(architecture, **changes)


def weights(place: Place, name: str) -> dict[str, torch.Tensor]:
    return torch.load(next((place.folder / name / "checkpoints").iterdir()), weights_only=True)["model"]


CHANGES = pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16", "accumulation": 2}], ids=["fp32", "bf16 in two parts"]
)


@CHANGES
def test_the_same_recipe_gives_the_same_bytes(place, how, changes):
    for name in ("one", "again"):
        place.train(name, how(**changes))
    assert place.checkpoints("one") == place.checkpoints("again")
    assert place.metrics("one") == place.metrics("again")


@CHANGES
def test_killed_with_a_signal_and_started_again_it_ends_with_the_same_bytes(trainees, place, how, changes):
    recipe = how(**changes)
    assert trainees.run(place.train, "whole", recipe) == 0
    # the fourth state that it writes is after the fourth of ten steps
    assert trainees.run(train_until_rename, place, "killed", recipe, "state.pt", 4) == -signal.SIGKILL
    assert trainees.run(place.train, "killed", recipe) == 0
    assert place.checkpoints("killed") == place.checkpoints("whole")
    assert place.metrics("killed") == place.metrics("whole")
    assert not place.state("killed").exists()


def test_a_training_follows_that_of_the_cpu(tmp_path, pairs, device, tiny_architecture):
    how = recipe(tiny_architecture(), samples_seen=160, text_mask=0.0, epsilon=1e-4)
    place, on_cpu = (Place.make(tmp_path, pairs, on) for on in (device, "cpu"))
    place.train("here", how)
    on_cpu.train("there", how)
    here, there = ([line["loss"] for line in place.metrics(name)] for name in ("here", "there"))
    assert len(here) == 40
    assert sum(here[-8:]) < 0.8 * sum(here[:8])
    # TF32 in the convolution, three digits, and forty steps
    assert here == pytest.approx(there, abs=0.03)
    assert {value.device.type for value in weights(place, "here").values()} == {"cpu"}
