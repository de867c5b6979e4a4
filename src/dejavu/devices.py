"""Assignment of GPUs to jobs: on one machine, no two jobs of a user get the same GPU.

Snakemake's resource ``gpu`` limits how many jobs run at once, but tells no job which device is its own. Therefore a job
claims its devices before CUDA starts in its process. A claim is a lock on a file in the folder for temporary files,
which all projects of the user on this machine share unless TMPDIR differs. The system frees a lock when the process
that holds the lock ends, whatever ends the process. Child processes do not inherit the lock, but the children that this
package starts die with their parent.

Inside a Slurm job the scheduler has assigned the devices, so the job claims nothing.

This module is tested with a stand-in for nvidia-smi and on a machine with one GPU, but never with several GPUs.
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
# The jobs of a cluster have this environment variable. Their scheduler has assigned their GPUs.
CLUSTER_JOB = "DEJAVU_CLUSTER_JOB"
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_LINES = 60.0


def claim(device: str, count: int, title: str) -> None:
    """Wait until ``count`` GPUs are free, and make them the only GPUs that this process and its children see.

    Call this function once in a process, before CUDA starts there. The claim holds until the process ends.
    CUDA_VISIBLE_DEVICES says which GPUs may be claimed; a number in it means the GPU with that number in the list of
    nvidia-smi. If the variable is not set, all GPUs that nvidia-smi lists may be claimed. A GPU that is cut into MIG
    instances counts as one GPU, unless CUDA_VISIBLE_DEVICES names the instances.

    Args:
        device: ``cpu``, for which nothing is claimed, or ``cuda``.
        count: number of GPUs. A job claims all of them at once or none, so two jobs never wait for each other. A job
            that needs several GPUs can wait long while new jobs keep taking single GPUs.
        title: name of the job, for the progress lines and errors.

    Raises:
        InputError: when the machine has fewer GPUs than ``count``.
    """
    if device == "cpu" or CLUSTER_JOB in os.environ:
        return
    devices = _visible()
    if not devices:
        raise InputError(
            f"{title}: device is cuda, but no GPU is found here: set device to cpu, or name the GPUs in {VISIBLE}."
        )
    _require_enough(len(devices), count, title)
    last_line = -SECONDS_BETWEEN_LINES
    while not (claimed := _take(devices, count)):
        if time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            say(f"[{title}] waits: it needs {count} of {len(devices)} GPUs, and other jobs hold too many")
        time.sleep(SECONDS_BETWEEN_TRIES)
    os.environ[VISIBLE] = ",".join(claimed)


def require(device: str, count: int, title: str) -> None:
    """Refuse a job if PyTorch sees fewer GPUs than it needs. Call this after :func:`claim`, since it may start CUDA.

    Args:
        device: ``cpu``, for which nothing is checked, or ``cuda``.
        count: number of GPUs that the job needs.
        title: name of the job, for the errors.

    Raises:
        InputError: when PyTorch sees fewer GPUs.
    """
    if device == "cpu":
        return
    # Importing PyTorch takes seconds, and claim() works without it.
    import torch

    available = torch.cuda.device_count()
    if not available:
        raise InputError(f"{title}: device is cuda, but PyTorch finds no GPU here: set device to cpu.")
    _require_enough(available, count, title)


def _require_enough(available: int, count: int, title: str) -> None:
    if available < count:
        raise InputError(f"{title}: processes is {count}, but there are {available} GPUs here: lower processes.")


def _visible() -> list[str]:
    """Return the devices that this process may claim, as UUIDs where nvidia-smi lists them."""
    installed, listed = _installed(), os.environ.get(VISIBLE)
    if listed is None:
        return installed
    devices = []
    for entry in listed.split(","):
        if (device := _named(entry.strip(), installed)) is None:
            # CUDA ignores an entry that it does not know and every entry after it, so this loop does the same.
            break
        devices.append(device)
    return list(dict.fromkeys(devices))


def _named(entry: str, installed: Sequence[str]) -> str | None:
    """Return the device of an entry of CUDA_VISIBLE_DEVICES: a number, a UUID or its beginning, or a MIG instance."""
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
    """Return the UUIDs of the machine's GPUs, from nvidia-smi.

    Asking CUDA in this process instead could start it, and CUDA fixes the visible devices when it starts.
    """
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.strip() for line in listing.stdout.splitlines() if line.startswith("GPU-")]


def _take(devices: Sequence[str], count: int) -> list[str]:
    """Lock ``count`` of the devices until this process ends, and return them; lock none if too few are free."""
    folder = Path(tempfile.gettempdir()) / f"dejavu-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    handles: dict[str, int] = {}
    # Only one process chooses at a time. Otherwise two processes could each hold a device that the other needs.
    choosing = _open(folder / "choosing")
    try:
        fcntl.flock(choosing, fcntl.LOCK_EX)
        for device in devices:
            if len(handles) < count and (handle := _lock(folder / re.sub(r"[^\w-]", "_", device))) is not None:
                handles[device] = handle
        if len(handles) == count:
            return list(handles)
        for handle in handles.values():
            os.close(handle)
        return []
    finally:
        os.close(choosing)


def _lock(file: Path) -> int | None:
    """Return an open handle that holds the file's lock; None when another process holds the lock."""
    handle = _open(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _open(file: Path) -> int:
    # Python closes this handle in the programs that this process starts, so they do not keep the lock.
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
