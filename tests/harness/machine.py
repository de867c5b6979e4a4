"""One machine of the test cluster: a process that runs a daemon, and kills all processes below itself when it ends.

``machine.py PARENT FOLDER COMMAND…`` ends when its daemon ends, on SIGTERM, and when its parent dies in any way; in the
last case it also removes the folder. The machine adopts orphans, so jobs that detach themselves stay below it: slurmd
detaches its slurmstepds in this way.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>


def main(parent: int, folder: str, command: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    try:
        if os.getppid() == parent:  # the parent may have died before PR_SET_PDEATHSIG was set
            daemon = subprocess.Popen(command).pid
            while os.wait()[0] != daemon:
                pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        kill_all_below()
        if os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


def kill_all_below() -> None:
    """Kill all processes below this one with SIGKILL, as a power cut would, until no new process appears."""
    with suppress(ChildProcessError):  # os.waitpid raises when no child is left
        while True:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.01)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
