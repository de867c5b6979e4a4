"""A job ends with who started it, and at once when its work is done."""

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


def test_a_job_that_is_done_ends_at_once_with_all_that_it_printed_in_its_log(tmp_path: Path) -> None:
    program = """
import atexit, sys, time
from dejavu.progress import logged

atexit.register(time.sleep, 1000)
with logged(sys.argv[1]):
    print("first")
    print("last", end="")
"""
    log = tmp_path / "job.log"
    subprocess.run(
        [sys.executable, "-c", program, log], env=os.environ | {"PYTHONPATH": str(SOURCES)}, check=True, timeout=60
    )
    assert log.read_text().splitlines()[1:] == ["first", "last"]
