"""Where a database comes from: version, date and machine of the run, and SHA-256 of what the run measured."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dejavu.database.run import Run
from dejavu.digests import digests_of
from dejavu.project import BASE
from dejavu.replicates import replicate_splits
from dejavu.sides import Side, sides_measured

# what decides what is computed; a changed configuration is no change of the code, and has a hash of its own
CODE = ("src", "workflow", "Snakefile")
# name in the table -> distributions that may provide it
PACKAGES = {
    "torch": ("torch",),
    "open_clip": ("open_clip_torch", "open-clip-torch"),
    "snakemake": ("snakemake",),
    "duckdb": ("duckdb",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "numpy": ("numpy",),
    "pyarrow": ("pyarrow",),
    "transformers": ("transformers",),
    "sentence_transformers": ("sentence-transformers",),
}


def provenance_rows() -> list[dict[str, str | None]]:
    """Return the rows of the table ``provenance``, of this process: nothing here names the machine or its user."""
    commit, modified = git_state(BASE)
    values = {
        "version": str(sys.modules["dejavu"].__version__),
        "commit": commit,
        "modified": None if modified is None else json.dumps(modified),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "python": platform.python_version(),
        **{name: _installed(*distributions) for name, distributions in PACKAGES.items()},
        "system": platform.system(),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "gpu": gpus(),
    }
    return [{"key": key, "value": value} for key, value in values.items()]


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of a clone, and whether files of its code differ from it; (None, None) where git cannot say.

    Args:
        root: folder of the clone. A folder within some other repository is no clone.
    """
    if not (root / ".git").exists():
        return None, None
    commit = _git(root, "rev-parse", "HEAD")
    changes = None if commit is None else _git(root, "status", "--porcelain", "--", *CODE)
    return commit, None if changes is None else bool(changes)


def processor() -> str:
    """Return the model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def gpus() -> str | None:
    """Return number and names of the GPUs that nvidia-smi lists; None where it lists none."""
    listed = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    names = [line.strip() for line in (listed or "").splitlines() if line.strip()]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or None


def hash_rows(run: Run, epoch: Callable[[int], int]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table ``hashes``.

    Args:
        run: the files of the split.
        epoch: samples seen -> epoch.
    """
    yield {"of": "configuration", "sha256": _sha256_of_json(run.config)}
    for dataset in run.batches:
        yield {"of": "raw files", "name": dataset, "sha256": _sha256_of_json(dict(run.inventory[dataset]))}
        yield {"of": "samples", "name": dataset, "sha256": _content(run, dataset)}
    for replicate, split in enumerate(replicate_splits(run.config, run.split)):
        for side in sides_measured(run.config, split):
            place = {"model": side.model, "side": side.letter, "epoch": epoch(side.seen), "replicate": replicate}
            for file in _weights(run, split, side):
                yield {"of": "checkpoint", **place, **file}


def _weights(run: Run, split: str, side: Side) -> list[dict]:
    """Return the digests of a side's weights; none of a text encoder.

    A checkpoint that was trained here and deleted since has no digest, since nothing is trained again for it. Notes
    that an earlier version wrote on a checkpoint from elsewhere have none either.
    """
    if side.kind == "checkpoint":
        noted = json.loads(run.checkpoint_notes(side).read_text(encoding="utf-8"))
        return list(noted.get("files", []))
    if not side.has_images:
        return []
    file = run.checkpoint(split, side)
    return digests_of(file) if file.is_file() else [{"name": file.name}]


def _content(run: Run, dataset: str) -> str:
    """Return the SHA-256 of the hashes of all samples' uid, caption and image, by file and row, however batched."""
    whole = hashlib.sha256()
    files = [file for folder in run.folders("fingerprints", dataset) for file in folder.glob("*.parquet")]
    for file in sorted(files, key=lambda path: path.name):
        for batch in pq.ParquetFile(file).iter_batches(columns=["copy"]):
            whole.update(batch.column(0).to_numpy(zero_copy_only=False).astype("<u8").tobytes())
    return whole.hexdigest()


def _sha256_of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _installed(*names: str) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _git(root: Path, *arguments: str) -> str | None:
    return _output(["git", "-C", str(root), *arguments])


def _output(command: list[str]) -> str | None:
    """Return what a program prints, without the last line break; None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
