"""The recipe, checkpoints, and runs that are killed and continued."""

from __future__ import annotations

import errno
import math
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from dejavu.errors import InputError
from dejavu.tables import SAMPLES
from dejavu.training import step
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.model import build, load_checkpoint, save_checkpoint
from dejavu.training.step import Learner
from tests.harness.trainees import Place, hold, recipe, trainees

__all__ = ["trainees"]

# the recipe


@pytest.mark.parametrize(("seen", "batch", "steps"), [(40, 4, 10), (43, 4, 10), (4, 4, 1), (80_000, 128, 625)])
def test_a_recipe_takes_the_whole_batches_in_its_budget(seen, batch, steps):
    assert recipe(samples_seen=seen, batch_size=batch).steps == steps


def test_the_learning_rate_warms_up_linearly_and_falls_by_half_a_cosine():
    r = recipe(samples_seen=400, warmup=0.1, learning_rate=2.0)
    rates = [r.learning_rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([2.0 * (i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([1.0 * (1 + math.cos(math.pi * i / 90)) for i in range(90)])
    assert rates[99] < 0.01


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_learning_rate_lies_in_its_range_with_no_or_only_warm_up(warmup):
    r = recipe(warmup=warmup)
    rates = [r.learning_rate_at(step) for step in range(r.steps)]
    assert max(rates) == r.learning_rate
    assert min(rates) > 0


# checkpoints


@pytest.fixture
def tiny(tiny_architecture) -> str:
    return tiny_architecture(width=16)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["model"]


def test_a_checkpoint_comes_back_with_the_same_weights_and_embeddings(tmp_path, tiny):
    torch.manual_seed(0)
    clip = build(tiny)
    save_checkpoint(tmp_path / "c.pt", clip, 10, 40)
    torch.manual_seed(1)
    loaded = load_checkpoint(tmp_path / "c.pt", tiny)
    for name, value in clip.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    assert not loaded.model.training
    tokens = clip.tokenizer(["a red dog"])
    assert tokens.shape == (1, 16)
    assert torch.equal(loaded.model.encode_text(tokens), clip.model.eval().encode_text(tokens))


def test_a_model_normalises_pixels_by_channel(tiny):
    clip = build(tiny)
    assert clip.size == 32
    images = np.random.default_rng(0).integers(0, 256, size=(2, 32, 32, 3), dtype=np.uint8)
    found = clip.normalize(images, "cpu").numpy()
    assert found.shape == (2, 3, 32, 32)
    for c in range(3):
        mean, std = clip.mean.flatten()[c].item(), clip.std.flatten()[c].item()
        assert found[1, c, 4, 9] == pytest.approx((images[1, 4, 9, c] / 255 - mean) / std, abs=1e-5)


class Trap:
    """Unpickling it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_checkpoint_that_holds_code_is_refused_and_the_code_not_run(tmp_path, tiny, by):
    path, sprung = tmp_path / "c.pt", tmp_path / "sprung"
    content = {"model": Trap(str(sprung)), "architecture": "{}"}
    if by == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError) as error:
        load_checkpoint(path, tiny)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not sprung.exists()


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_checkpoint_is_refused_with_a_sentence(tmp_path, tiny, kept):
    path = tmp_path / "c.pt"
    save_checkpoint(path, build(tiny), 10, 40)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="delete it and run again"):
        load_checkpoint(path, tiny)


def test_a_checkpoint_of_another_architecture_is_refused_naming_both(tmp_path, tiny, tiny_architecture):
    path, other = tmp_path / "c.pt", tiny_architecture("other-for-tests", width=64)
    save_checkpoint(path, build(tiny), 10, 40)
    with pytest.raises(InputError) as error:
        load_checkpoint(path, other)
    message = str(error.value)
    assert str(path) in message
    assert other in message
    assert "'tiny-for-tests'" in message
    assert "embed_dim" in message


def test_an_unknown_architecture_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="'ViT-B-23' .did you mean 'ViT-B-32'"):
        build("ViT-B-23")


# runs


class Killed(BaseException):
    """Ends a run where a kill signal would."""


@pytest.fixture
def run(tmp_path, pairs, monkeypatch, tiny):
    """Trains in a folder of its own, optionally killed in the middle of a step; returns checkpoint and metrics."""
    place, steps, step = Place.make(tmp_path, pairs), [], Learner.step

    def start(name: str, kill_in_step: int | None = None, changes: dict | None = None, **options):
        steps.clear()

        def watched(self, *arguments):
            if len(steps) + 1 == kill_in_step:
                raise Killed
            steps.append(len(steps))
            return step(self, *arguments)

        monkeypatch.setattr(Learner, "step", watched)
        how = recipe(**({"architecture": tiny} | (changes or {})))
        if kill_in_step is None:
            options = {"state_seconds": 1e9} | options
        place.train(name, how, **options)
        return tmp_path / name / "checkpoints" / f"{how.samples_seen}.pt", place.metrics(name)

    start.steps, start.place = steps, place
    return start


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shuffle_buffer": 100, "text_mask": 0.0},
        {"precision": "bf16", "accumulation": 2},
        {"loss": "siglip", "temperature": 0.1},
    ],
    ids=["streaming", "resident", "bf16 in two parts", "siglip"],
)
def test_a_killed_run_continues_and_ends_with_bit_identical_weights(run, tiny, changes):
    if "loss" in changes:
        text = Path(tiny).read_text()
        Path(tiny).write_text(text.replace("{", '{"init_logit_bias": -10.0, ', 1))
    whole, whole_metrics = run("whole", changes=changes)
    # killed after 3 steps, and after 3 more
    for _ in range(2):
        with pytest.raises(Killed):
            run("killed", kill_in_step=4, changes=changes)
    continued, metrics = run("killed", changes=changes)
    assert len(run.steps) == 10 - 6
    assert same(whole, continued)
    assert metrics == whole_metrics
    assert not run.place.state("killed").exists()


def test_training_lowers_the_loss_and_writes_a_line_of_metrics_for_its_steps(run):
    _, metrics = run("one", changes={"samples_seen": 160, "text_mask": 0.0})
    assert [(m["step"], m["samples_seen"]) for m in metrics] == [(i, 4 * i) for i in range(1, 41)]
    assert [m["learning_rate"] for m in metrics] == [recipe(samples_seen=160).learning_rate_at(i) for i in range(40)]
    losses = [m["loss"] for m in metrics]
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])
    assert all(m["gradient_norm"] > 0 for m in metrics)
    measured = pq.read_table(run.place.folder / "one" / "metrics.parquet").to_pylist()
    assert all(0 <= m["data_wait"] <= 1 and m["samples_per_second"] > 0 for m in measured)
    assert any(m["data_wait"] > 0 for m in measured)


def test_the_same_recipe_gives_the_same_weights_and_another_seed_or_side_others(run):
    one, _ = run("one")
    assert same(one, run("again")[0])
    assert not same(one, run("seed", changes={"seed": 1})[0])
    assert not same(one, run("side", side="b")[0])


def test_checkpoints_are_kept_after_the_first_step_that_has_seen_so_many_samples(run):
    run("kept", changes={"checkpoints": [8, 13]})
    kept = {
        path.name: torch.load(path, weights_only=True) for path in (run.place.folder / "kept" / "checkpoints").iterdir()
    }
    assert {name: (saved["step"], saved["samples_seen"]) for name, saved in kept.items()} == {
        "8.pt": (2, 8),
        "13.pt": (4, 16),
        "40.pt": (10, 40),
    }
    assert same(run("plain")[0], run.place.folder / "kept" / "checkpoints" / "40.pt")
    assert not torch.equal(*(kept[name]["model"]["logit_scale"] for name in ("8.pt", "13.pt")))


# what a killed run left


@pytest.mark.parametrize(
    "change",
    [{"code": "new"}, {"changes": {"learning_rate": 2e-3}}, {"side": "b"}, {"data": True}],
    ids=["code", "recipe", "side", "data"],
)
def test_a_state_left_by_another_run_is_set_aside_and_not_continued(run, pairs, write_batch, capfd, change):
    with pytest.raises(Killed):
        run("x", kill_in_step=5)
    state = next(run.place.state("x").glob("*/state.pt")).read_bytes()
    if change.pop("data", False):
        # the same rows, with another caption in one
        pairs[1][3]["caption"] += "s"
        write_batch(pairs[0], SAMPLES, pairs[1])
    with pytest.raises(Killed):
        run("x", kill_in_step=3, **change)
    assert len(run.steps) == 2
    assert "not used: it is in" in capfd.readouterr().err
    assert [path.read_bytes() for path in run.place.state("x").glob("aside/*/state.pt")] == [state]
    assert same(run("x", **change)[0], run("fresh", **change)[0])
    assert not run.place.state("x").exists()


def test_of_the_states_that_are_set_aside_the_newest_is_kept(run):
    for code in "cde":
        with pytest.raises(Killed):
            run("x", kill_in_step=3, code=code)
    assert len(list(run.place.state("x").glob("aside/*"))) == 1
    with pytest.raises(Killed):
        run("x", kill_in_step=3, code="d")
    # the state that was set aside last is of this run
    assert len(run.steps) == 2
    run("x", code="d")
    assert len(run.steps) == 10 - 4


@pytest.mark.parametrize("kept", [0, 1000, -100], ids=["empty", "its beginning", "all but its end"])
def test_a_damaged_state_is_set_aside_and_training_begins_anew(run, capfd, kept):
    with pytest.raises(Killed):
        run("x", kill_in_step=5)
    state = next(run.place.state("x").glob("*/state.pt"))
    state.write_bytes(state.read_bytes()[:kept])
    with pytest.raises(Killed):
        run("x", kill_in_step=2)
    assert "the state is damaged" in capfd.readouterr().err
    assert len(list(run.place.state("x").glob("aside/*.damaged/state.pt"))) == 1
    assert same(run("x")[0], run("whole")[0])


def test_a_state_whose_kept_checkpoint_is_missing_is_not_continued(run):
    changes = {"checkpoints": [8]}
    with pytest.raises(Killed):
        run("x", kill_in_step=5, changes=changes)
    next(run.place.state("x").glob("*/8.pt")).unlink()
    run("x", changes=changes)
    assert len(run.steps) == 10
    assert (run.place.folder / "x" / "checkpoints" / "8.pt").exists()


def test_a_file_system_without_locks_is_named(run, monkeypatch):
    def without(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without)
    with pytest.raises(InputError, match=r"has no locks \(.*No locks available\).*mount it with locks"):
        run("x")


def test_a_second_trainer_of_the_same_side_is_refused_until_the_first_has_ended(run, trainees):
    state = run.place.state("held")
    holder = trainees.start(hold, state)
    while not (state / "held").exists():
        assert holder.is_alive()
        time.sleep(0.01)
    with pytest.raises(InputError, match="another process is training this side"):
        run("held")
    assert not run.steps
    holder.kill()
    holder.join()
    run("held")


# runs that cannot go on


def test_a_training_set_smaller_than_a_batch_is_refused_with_a_remedy(run):
    with pytest.raises(InputError, match="14 samples, fewer than one batch of 15: lower batch_size"):
        run("small", changes={"batch_size": 15, "samples_seen": 60})


@pytest.mark.parametrize(
    ("gpus", "told"),
    [(0, "device is cuda, but PyTorch finds no GPU"), (1, "processes is 2, but there are 1 GPUs here: lower")],
)
def test_without_enough_gpus_it_is_refused_with_a_remedy(tmp_path, run, monkeypatch, gpus, told):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    manifest = str(run.place.folder / "manifest.parquet")
    job = Job(recipe(processes=2), "a", manifest, [run.place.samples], "cuda", "train")
    with pytest.raises(InputError, match=told):
        train(job, tmp_path / "state", "c", tmp_path, tmp_path / "m.parquet")


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_no_number_stops_and_leaves_the_last_good_state(run, monkeypatch, what):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(_, loss):
            return loss * (float("nan") if what == "loss" else 1)

        @staticmethod
        def backward(_, gradient):
            return gradient * float("inf")

    calls: list[int] = []

    class Loss(step.open_clip.ClipLoss):
        def forward(self, *args, **kwargs):
            calls.append(1)
            loss = super().forward(*args, **kwargs)
            return Broken.apply(loss) if len(calls) == 6 else loss

    with monkeypatch.context() as patch:
        patch.setattr(step.open_clip, "ClipLoss", Loss)
        with pytest.raises(InputError, match="lower learning_rate") as error:
            run("nan", state_seconds=0.0)
    state = next(run.place.state("nan").glob("*/state.pt"))
    assert f"the {what}" in str(error.value)
    assert "at step 6" in str(error.value)
    assert f"the last good state, of step 5, stays in {state}" in str(error.value)
    assert not (run.place.folder / "nan" / "checkpoints").exists()
    assert torch.load(state, weights_only=True)["step"] == 5
    assert same(run("nan")[0], run("whole")[0])


def test_a_loss_that_is_no_number_in_the_first_step_says_that_there_is_no_state(run, monkeypatch):
    class Loss(step.open_clip.ClipLoss):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs) * float("nan")

    monkeypatch.setattr(step.open_clip, "ClipLoss", Loss)
    with pytest.raises(InputError, match="the loss is nan at step 1: .*no state had been saved"):
        run("nan")
