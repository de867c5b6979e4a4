"""Which GPUs a job works on: on one machine, no two jobs of a user are given the same one.

Snakemake's resource ``gpu`` limits how many jobs run at once, but tells none of them which device is its own. So a job
claims its devices before CUDA starts in its process, by locks on files that all projects of the user on this machine
share, as long as they share a folder for temporary files. The system frees a lock when the process that holds it ends,
however it ends. Its children do not hold it: those of this package die with the one that started them.

Inside a Slurm job the scheduler has assigned the devices, and nothing is claimed.

Tested with a stand-in for nvidia-smi, and on a machine with one GPU; never with several.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dejavu.errors import InputError
from dejavu.progress import say

VISIBLE = "CUDA_VISIBLE_DEVICES"
# set in the jobs of a cluster, whose scheduler has assigned their GPUs
CLUSTER_JOB = "DEJAVU_CLUSTER_JOB"
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_LINES = 60.0


def claim(device: str, count: int, title: str) -> None:
    """Waits until ``count`` GPUs are free and makes them the only ones that this process and its children see.

    Call it once in a process, before CUDA starts there; the claim holds until the process ends. Which GPUs there are
    says CUDA_VISIBLE_DEVICES if it is set, of whose entries a number means what nvidia-smi shows under it, or else
    nvidia-smi. A GPU that is cut into MIG instances counts as one, unless CUDA_VISIBLE_DEVICES names the instances.

    Args:
        device: ``cpu``, for which nothing is claimed, or ``cuda``.
        count: how many; all are claimed at once or none, so that two jobs never wait for each other. A job that needs
            several can wait long behind ever new jobs that need one.
        title: for the progress lines and errors.

    Raises:
        InputError: when there are not as many GPUs here.
    """
    if device == "cpu" or CLUSTER_JOB in os.environ:
        return
    devices = _visible()
    if not devices:
        raise InputError(
            f"{title}: device is cuda, but no GPU is found here: set device to cpu, or name the GPUs in {VISIBLE}."
        )
    _require_enough(len(devices), count, title)
    said = -SECONDS_BETWEEN_LINES
    while not (claimed := _take(devices, count)):
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            say(f"[{title}] waits: it needs {count} of {len(devices)} GPUs, and other jobs hold too many")
        time.sleep(SECONDS_BETWEEN_TRIES)
    os.environ[VISIBLE] = ",".join(claimed)


def require(device: str, count: int, title: str) -> None:
    """Refuses a job whose GPUs PyTorch does not see; for after :func:`claim`, since looking may start CUDA.

    Args:
        device: ``cpu``, for which all is well, or ``cuda``.
        count: how many GPUs the job needs.
        title: for the errors.

    Raises:
        InputError: when PyTorch sees fewer.
    """
    if device == "cpu":
        return
    # slow import, which claim() does not need
    import torch

    found = torch.cuda.device_count()
    if not found:
        raise InputError(f"{title}: device is cuda, but PyTorch finds no GPU here: set device to cpu.")
    _require_enough(found, count, title)


def _require_enough(found: int, count: int, title: str) -> None:
    if found < count:
        raise InputError(f"{title}: processes is {count}, but there are {found} GPUs here: lower processes.")


def _visible() -> list[str]:
    """The devices of which this process may claim some, by UUID where nvidia-smi tells it."""
    installed, listed = _installed(), os.environ.get(VISIBLE)
    if listed is None:
        return installed
    devices = []
    for entry in listed.split(","):
        if (device := _named(entry.strip(), installed)) is None:
            # CUDA, too, ignores all that follows a name it does not know
            break
        devices.append(device)
    return list(dict.fromkeys(devices))


def _named(entry: str, installed: Sequence[str]) -> str | None:
    """The device that an entry of CUDA_VISIBLE_DEVICES means: a number, a UUID or its beginning, a MIG instance."""
    if entry.startswith("MIG-"):
        return entry
    if not (entry.isdecimal() or entry.startswith("GPU-")):
        return None
    if not installed:
        return entry
    if entry.isdecimal():
        return installed[int(entry)] if int(entry) < len(installed) else None
    matches = [device for device in installed if device.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _installed() -> list[str]:
    """UUIDs of the machine's GPUs, from another process: asked in this one, CUDA might start and fix what it sees."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.startswith("GPU-")]


def _take(devices: Sequence[str], count: int) -> list[str]:
    """Locks ``count`` of the devices for this process, until it ends, and returns them; or none."""
    folder = Path(tempfile.gettempdir()) / f"dejavu-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    taken: dict[str, int] = {}
    # one process chooses at a time, or two could each hold what the other lacks
    choosing = _open(folder / "choosing")
    try:
        fcntl.flock(choosing, fcntl.LOCK_EX)
        for device in devices:
            if len(taken) < count and (handle := _lock(folder / re.sub(r"[^\w-]", "_", device))) is not None:
                taken[device] = handle
        if len(taken) == count:
            return list(taken)
        for handle in taken.values():
            os.close(handle)
        return []
    finally:
        os.close(choosing)


def _lock(file: Path) -> int | None:
    """An open handle that holds the file's lock; None when another process does."""
    handle = _open(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _open(file: Path) -> int:
    # Python closes it in the programs that this process starts
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
