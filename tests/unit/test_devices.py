"""Claiming GPUs: real processes, with a stand-in for nvidia-smi; none of it needs a GPU."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dejavu.devices import claim
from dejavu.errors import InputError

SOURCES = Path(__file__).resolve().parents[2] / "src"
INSTALLED = ["GPU-1111-aa", "GPU-2222-bb", "GPU-3333-cc"]
# a child writes down which GPUs it sees, and lives until the test ends, whatever happens to its parent
CLAIMANT = """
import subprocess, sys
from dejavu.devices import claim
claim("cuda", int(sys.argv[1]), "job")
subprocess.run(["sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec cat"], close_fds=False)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Gives this process, and those it starts, a machine with the GPUs that nvidia-smi tells; none: no driver."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(SOURCES))
    monkeypatch.delenv("DEJAVU_CLUSTER_JOB", raising=False)

    def set_up(visible: str | None, installed: list[str] = INSTALLED) -> None:
        # set before the claim, so that pytest restores the variable afterwards
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' {' '.join(installed)}\n" if installed else "#!/bin/sh\nexit 9\n")
        program.chmod(0o755)

    return set_up


@pytest.fixture
def start(tmp_path):
    """Starts processes that claim devices, each in a folder of its own."""
    started = []

    def start_one(count: int) -> subprocess.Popen:
        folder = tmp_path / f"project {len(started)}"
        folder.mkdir()
        command = [sys.executable, "-c", CLAIMANT, str(count)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, cwd=folder, text=True, **pipes))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def line(stream) -> str:
    assert select.select([stream], [], [], 60)[0], "nothing was said for a minute"
    return stream.readline().strip()


def test_no_two_jobs_get_one_device_and_the_device_of_a_killed_job_goes_to_the_next(machine, start):
    machine("0,1", installed=[])
    first, second = start(1), start(1)
    devices = [line(first.stdout), line(second.stdout)]
    assert sorted(devices) == ["0", "1"]
    third = start(1)
    assert line(third.stderr) == "[job] waits: it needs 1 of 2 GPUs, and other jobs hold too many"
    first.kill()
    assert line(third.stdout) == devices[0]


def test_a_job_that_waits_for_several_devices_holds_none(machine, start):
    machine(None)
    first = start(2)
    assert line(first.stdout) == "GPU-1111-aa,GPU-2222-bb"
    waiting = start(2)
    assert "waits: it needs 2 of 3" in line(waiting.stderr)
    assert line(start(1).stdout) == "GPU-3333-cc"
    first.kill()
    assert line(waiting.stdout) == "GPU-1111-aa,GPU-2222-bb"


@pytest.mark.parametrize(
    ("visible", "installed", "claimed"),
    [
        (None, INSTALLED, INSTALLED),
        ("2,0", INSTALLED, ["GPU-3333-cc", "GPU-1111-aa"]),
        ("GPU-2222, GPU-1111-aa", INSTALLED, ["GPU-2222-bb", "GPU-1111-aa"]),
        ("1,7,0", INSTALLED, ["GPU-2222-bb"]),
        ("0,-1,1", [], ["0"]),
        ("GPU-1234", [], ["GPU-1234"]),
        ("MIG-GPU-1111-aa/1/0,MIG-5678", INSTALLED, ["MIG-GPU-1111-aa/1/0", "MIG-5678"]),
    ],
)
def test_the_devices_are_those_that_cuda_would_see(machine, visible, installed, claimed):
    machine(visible, installed)
    with pytest.raises(InputError, match=f"processes is 9, but there are {len(claimed)} GPUs here: lower processes"):
        claim("cuda", 9, "job")
    claim("cuda", len(claimed), "job")
    assert os.environ["CUDA_VISIBLE_DEVICES"].split(",") == claimed


def test_one_device_under_two_names_is_still_one_device(machine, start):
    machine("1")
    assert line(start(1).stdout) == "GPU-2222-bb"
    machine("GPU-2222,GPU-3333")
    assert line(start(1).stdout) == "GPU-3333-cc"


@pytest.mark.parametrize(("visible", "installed"), [(None, []), ("", INSTALLED), ("-1", INSTALLED), ("none", [])])
def test_without_a_gpu_a_job_is_refused_with_a_remedy(machine, visible, installed):
    machine(visible, installed)
    with pytest.raises(InputError, match="job: device is cuda, but no GPU is found here: set device to cpu"):
        claim("cuda", 1, "job")


@pytest.mark.parametrize(("device", "job"), [("cpu", None), ("cuda", "17")])
def test_on_the_cpu_and_in_a_slurm_job_nothing_is_claimed(machine, monkeypatch, tmp_path, device, job):
    machine("0", installed=[])
    if job:
        monkeypatch.setenv("DEJAVU_CLUSTER_JOB", job)
    claim(device, 2, "job")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert not list((tmp_path / "temporary").iterdir())
