"""The package, built by hatchling from the working tree, without a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.harness.project import ROOT


def build(target: str, folder: Path, source: Path = ROOT) -> Path:
    """Build a ``wheel`` or an ``sdist`` into a folder, and return its path."""
    pytest.importorskip("hatchling", reason="hatchling builds the package: make install")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz")]
    return built


def unpacked_wheel(folder: Path, source: Path = ROOT) -> Path:
    """Build a wheel and return the folder that it was unpacked into, which holds the package ``dejavu``."""
    site = folder / "site"
    with zipfile.ZipFile(build("wheel", folder, source)) as archive:
        archive.extractall(site)
    return site
