"""Processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# who starts processes that die with it leaves its process id here, for those that it does not live to see
STARTER = "DEJAVU_STARTER"


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Asks Linux to send a signal to this process when its parent dies, and sends it if the starter is dead already.

    Elsewhere than on Linux, a process outlives a parent that dies later.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, by)
    starter = os.environ.get(STARTER)
    if starter is not None and not _lives(int(starter)):
        os.kill(os.getpid(), by)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
