"""The saved state of a training: one folder for each side, which one process at a time may lock.

The folder contains ``lock``, the training's own folder, and ``aside`` with the newest state that was not used. The
training's own folder is named by a hash of all that its result depends on. It contains ``state.pt``, and the metrics
and checkpoints so far.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.files import atomic, first_line
from dejavu.progress import say
from dejavu.training.recipe import Recipe

ASIDE = "aside"
STATE = "state.pt"
KEYS = {"step", "model", "optimizer", "random", "lines", "checkpoints"}
# Bytes at the end of a parquet file that enter the hash: the footer describes the file's content.
FOOTER_BYTES = 65_536


@contextmanager
def locked(folder: Path, title: str) -> Iterator[None]:
    """Within, hold the lock of a side's folder; remove the folder after success.

    The operating system frees the lock when its owner dies. On a network file system, the lock holds between machines
    only if that file system passes locks on, as NFS from Linux does. Snakemake's own lock of the working directory
    protects in addition.

    Raises:
        InputError: when another process holds the lock, or the file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{title}: another process is training this side: wait for it, or end it.") from None
        except OSError as error:
            raise InputError(
                f"{title}: the file system of {folder} has no locks ({first_line(error)}), without which two trainings "
                "could write one state: mount it with locks (Lustre: -o flock), or run with --directory elsewhere."
            ) from None
        yield
        shutil.rmtree(folder)
    finally:
        os.close(handle)


def run_key(recipe: Recipe, side: str, rows: np.ndarray, store: SampleStore, code: str) -> str:
    """Return a hash of all that the weights depend on; 16 hexadecimal digits.

    Args:
        recipe: the recipe; the content of an architecture's file counts, not its path.
        side: ``a`` or ``b``.
        rows: int64 (n,), the rows of the training set.
        store: the samples; sizes and footers of their files count.
        code: hash of the training code.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps([asdict(recipe), side, code], sort_keys=True).encode())
    digest.update(np.sort(rows).tobytes())
    if recipe.architecture.endswith(".json"):
        digest.update(Path(recipe.architecture).read_bytes())
    for upper in np.unique(rows >> 32):
        if (path := store.files.get(int(upper))) is not None:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - FOOTER_BYTES))
                digest.update(b"%d\0" % size + file.read())
    return digest.hexdigest()


def open_run(folder: Path, key: str, title: str) -> tuple[Path, dict[str, Any] | None]:
    """Return the folder of the training with this key, and the state that it resumes from; None: it begins anew.

    States of another configuration, training set or code are set aside, and so is a damaged state; only the newest of
    these is kept. A training whose own state was set aside before gets it back.
    """
    run, aside = folder / key, folder / ASIDE / key
    others = [path for path in folder.iterdir() if path.is_dir() and path.name not in (key, ASIDE)]
    if aside.is_dir() and not run.exists():
        os.replace(aside, run)
    for other in sorted(others, key=lambda path: path.stat().st_mtime):
        if (other / STATE).exists():
            kept = _set_aside(other, other.name)
            say(f"[{title}] a state of another configuration, training set or code is not used: it is in {kept}")
        else:
            shutil.rmtree(other)
    run.mkdir(exist_ok=True)
    for unfinished in run.rglob(".*.tmp"):
        unfinished.unlink()
    try:
        return run, read_state(run)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        kept = _set_aside(run, f"{key}.damaged")
        say(f"[{title}] the state is damaged ({first_line(error)}): it is in {kept}, and training begins anew")
        run.mkdir()
        return run, None


def _set_aside(run: Path, name: str) -> Path:
    aside = run.parent / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    os.replace(run, aside / name)
    return aside / name


def read_state(run: Path) -> dict[str, Any] | None:
    """Return the state in a training's folder, its tensors on the CPU; None without one. Code in it is never run.

    Raises:
        ValueError, or an error of ``torch.load``: when the state is damaged, or an earlier checkpoint is missing.
    """
    path = run / STATE
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise ValueError("it lacks parts")
    for name in state["checkpoints"]:
        if not (run / name).exists():
            raise ValueError(f"the checkpoint {name} that came before it is missing")
    return state


def write_state(run: Path, state: dict[str, Any]) -> None:
    """Write the state of a training, atomically."""
    with atomic(run / STATE) as temporary, open(temporary, "wb") as handle:
        torch.save(state, handle)
