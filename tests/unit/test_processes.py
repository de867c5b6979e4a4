"""A job that is still starting when who started it dies does not live on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("lives", [True, False])
def test_a_process_whose_starter_is_dead_when_it_looks_ends_at_once(lives: bool) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    done = subprocess.run(
        [sys.executable, "-c", "from dejavu.processes import die_with_parent; die_with_parent()"],
        env=os.environ | {"PYTHONPATH": str(SOURCES), "DEJAVU_STARTER": str(os.getpid() if lives else dead.pid)},
        check=False,
    )
    assert done.returncode == (0 if lives else -signal.SIGKILL)
