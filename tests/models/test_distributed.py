"""Several processes that share every batch train as one does, and end together."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from dejavu.errors import InputError
from dejavu.processes import die_with_parent
from dejavu.training.distributed import Processes, launch
from tests.harness.trainees import Place, recipe, train_on_two, trainees

__all__ = ["trainees"]
# the gradient of the keys' biases is rounding alone; with a larger epsilon AdamW makes no steps of it
HOW = {"batch_size": 8, "epsilon": 1e-4}


@pytest.fixture
def place(tmp_path, pairs) -> Place:
    return Place.make(tmp_path, pairs)


def weights(place: Place, name: str, count: int) -> dict[str, torch.Tensor]:
    return torch.load(place.folder / name / "checkpoints" / f"{count}.pt", weights_only=True)["model"]


def require_alike(place: Place, one: str, other: str, count: int) -> None:
    curves = [[(m["step"], m["loss"], m["gradient_norm"]) for m in place.metrics(name)] for name in (one, other)]
    for (_, *ours), (_, *theirs) in zip(*curves, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-4)
    for name, value in weights(place, one, count).items():
        assert torch.allclose(weights(place, other, count)[name], value, atol=1e-4), name


def test_two_processes_started_by_torchrun_train_as_one_does(place, tiny_architecture):
    how = HOW | {"architecture": tiny_architecture(width=16), "samples_seen": 400}
    place.train("one", recipe(**how), state_seconds=1e9)
    place.train("two", recipe(**how, processes=2), state_seconds=1e9)
    assert len(place.metrics("one")) == 50
    require_alike(place, "one", "two", 400)
    assert not place.state("two").exists()


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("accumulation", [1, 2], ids=["whole", "in parts"])
def test_two_processes_train_as_one_does_with(trainees, place, tiny_architecture, tmp_path, loss, accumulation):
    architecture, how = tiny_architecture(width=16), HOW | {"samples_seen": 400 if loss == "siglip" else 80}
    if loss == "siglip":
        text = Path(architecture).read_text()
        Path(architecture).write_text(text.replace("{", '{"init_logit_bias": -10.0, ', 1))
        how |= {"loss": "siglip", "temperature": 0.1}
    place.train("one", recipe(architecture, **how), state_seconds=1e9)
    shared = recipe(architecture, processes=2, accumulation=accumulation, **how)
    assert trainees.run(train_on_two, place, "two", shared, None, tmp_path / "counts") == 0
    require_alike(place, "one", "two", how["samples_seen"])
    if loss == "siglip":
        assert weights(place, "one", 400)["logit_bias"].item() != -10


# how processes end, with a module that imports nothing heavy

ENDINGS = {
    "killed": ("os.kill(os.getpid(), 9)", "train: process 2 of 2 ended (Signal 9 (SIGKILL)"),
    "failed": ("fail(OSError('disk full'))", "train: process 2 of 2 ended (OSError: disk full)"),
    "stopped": ("fail(InputError('lower learning_rate.'))", "lower learning_rate."),
}
MODULE = """
import json, os, sys, time

class InputError(Exception):
    pass

def fail(error):
    told = {{"message": f"{{type(error).__name__}}: {{error}}", "extraInfo": {{"timestamp": str(int(time.time()))}}}}
    with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
        json.dump({{"message": told}}, file)
    sys.exit(1)

open(sys.argv[1] + os.environ["RANK"], "w").write(str(os.getpid()))
if os.environ["RANK"] == "1":
    while not os.path.exists(sys.argv[1] + "0"):
        time.sleep(0.01)
    {ending}
time.sleep(60)
"""


@pytest.mark.parametrize(("ending", "told"), ENDINGS.values(), ids=ENDINGS)
def test_when_one_process_ends_all_end_and_one_sentence_says_why(tmp_path, monkeypatch, ending, told):
    (tmp_path / "ending_for_tests.py").write_text(MODULE.format(ending=ending))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with pytest.raises(InputError) as error:
        launch(Processes(2, "ending_for_tests", str(tmp_path / "pid")), tmp_path / "ranks", "train")
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)
    for rank in "01":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / f"pid{rank}").read_text()), 0)
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGTERM) == handler


def start_mortal(pid: Path) -> None:
    """Starts a process that dies with this one, and waits for it for ever."""
    child = os.fork()
    if not child:
        die_with_parent()
        pid.with_suffix(".new").write_text(str(os.getpid()))
        pid.with_suffix(".new").rename(pid)
        signal.pause()
    os.waitpid(child, 0)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="Linux alone kills the processes of a dead one")
def test_a_process_dies_with_the_one_that_launched_it(trainees, tmp_path):
    launcher = trainees.start(start_mortal, tmp_path / "pid")
    while not (tmp_path / "pid").exists():
        time.sleep(0.01)
    os.kill(launcher.pid, signal.SIGKILL)
    child = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    deadline = time.monotonic() + 20
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline, "it lives"
        time.sleep(0.01)
