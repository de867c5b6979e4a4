"""Training that is killed with SIGKILL at any moment ends, started again, with the very bytes of one that was not."""

from __future__ import annotations

import json
import random
import shutil
import signal

import pytest

from tests.harness.trainees import (
    Place,
    recipe,
    train_counted,
    train_on_two,
    train_until_call,
    train_until_rename,
    trainees,
)

__all__ = ["trainees"]
KILLED = -signal.SIGKILL


@pytest.fixture
def place(tmp_path, pairs) -> Place:
    return Place.make(tmp_path, pairs)


@pytest.fixture
def how(tiny_architecture):
    # dropout shows whether the random state was restored
    architecture = tiny_architecture("dropout-for-tests", width=16, patch_dropout=0.5)
    return lambda **changes: recipe(architecture, batch_size=4, checkpoints=[30, 61], **changes)


def start_again(trainees, place, *arguments) -> int:
    """As Snakemake does: what the rule declares is deleted first."""
    shutil.rmtree(place.folder / "killed" / "checkpoints", ignore_errors=True)
    (place.folder / "killed" / "metrics.parquet").unlink(missing_ok=True)
    return trainees.run(*arguments)


def require_same(place: Place) -> None:
    assert place.checkpoints("killed") == place.checkpoints("whole")
    assert place.metrics("killed") == place.metrics("whole")
    assert not place.state("killed").exists()


def test_killed_at_random_moments_training_ends_with_the_same_bytes(trainees, place, how, tmp_path):
    recipe = how(samples_seen=96)
    assert trainees.run(train_counted, place, "whole", recipe, tmp_path / "counts") == 0
    assert sorted(place.checkpoints("whole")) == ["30.pt", "61.pt", "96.pt"]
    before, total = json.loads((tmp_path / "counts").read_text())

    def before_rename(of, last):
        return start_again(trainees, place, train_until_rename, place, "killed", recipe, of, last)

    def at_call(call):
        return start_again(trainees, place, train_until_call, place, "killed", recipe, call)

    assert before_rename("state.pt", 3) == KILLED
    assert before_rename("30.pt", 1) == KILLED
    moments = random.Random(0)
    for number in range(10):
        # two kills fall into the start, the others into the training, each within the next few steps
        earliest, latest = (0, before) if number in (0, 5) else (before, before + (total - before) // 8)
        assert at_call(moments.randrange(earliest, latest)) == KILLED
    # the last checkpoint is written beside the state, and copied to its place in the end
    assert before_rename("96.pt", 1) == KILLED
    assert before_rename("96.pt", 2) == KILLED
    assert before_rename("metrics.parquet", 1) == KILLED
    # each start continued the training, and none began anew
    assert not (place.state("killed") / "aside").exists()
    assert start_again(trainees, place, place.train, "killed", recipe) == 0
    require_same(place)


def test_two_processes_killed_at_random_moments_end_with_the_same_bytes(trainees, place, how, tmp_path):
    recipe = how(samples_seen=72, processes=2)
    assert trainees.run(train_on_two, place, "whole", recipe, None, tmp_path / "counts") == 0
    before, total = json.loads((tmp_path / "counts").read_text())
    moments = random.Random(0)
    for _ in range(3):
        call = moments.randrange(before, before + (total - before) // 3)
        assert start_again(trainees, place, train_on_two, place, "killed", recipe, call, tmp_path / "counts") == KILLED
    assert start_again(trainees, place, train_on_two, place, "killed", recipe, None, tmp_path / "counts") == 0
    require_same(place)
