"""Faults that this module injects into the jobs of a run. Tests copy the module as ``sitecustomize.py`` into a folder
on PYTHONPATH: every Python process runs it at its start, and it acts in the processes of the workflow's scripts only.

The environment variable FAULTS names the faults. The first job of each rule meets one fault at each attempt, and each
fault leaves a file in the folder FAULT_NOTES:

    read-only:RULE  the file system of results/ becomes read-only before the script of this rule does anything
    full            the file system of results/ has no free space while the script runs
    killed          SIGKILL when the first output is written but not yet renamed; training's state is no output
"""

import atexit
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

RESULTS = Path("results")


def make_read_only(note):
    subprocess.run(["mount", "-o", "remount,ro", RESULTS], check=True)
    note.touch()


def fill_disk(note):
    ballast = RESULTS / "ballast"
    atexit.register(ballast.unlink)
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    assert os.statvfs(RESULTS).f_bavail == 0
    note.touch()


def kill_at_rename(note):
    rename = os.replace

    def replace(temporary, target):
        parts = Path(target).parts
        if "results" in parts and "state" not in parts:
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rename(temporary, target)

    os.replace = replace


FAULTS = {"read-only": make_read_only, "full": fill_disk, "killed": kill_at_rename}


def meet_fault(rule):
    for entry in os.environ["FAULTS"].split():
        fault, _, only = entry.partition(":")
        note = Path(os.environ["FAULT_NOTES"], f"{rule}.{fault}")
        if only in ("", rule) and not note.exists():
            FAULTS[fault](note)
            return


for argument in sys.orig_argv:
    if script := re.fullmatch(r".*\.snakemake/scripts/tmp[^/.]+\.(\w+)\.py", argument):
        meet_fault(script[1])
