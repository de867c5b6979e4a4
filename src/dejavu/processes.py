"""How processes end: with the one that started them, and at once when their work is done."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

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


def end_well() -> NoReturn:
    """Ends this process with status 0 and without Python's teardown, which takes two seconds where torch is loaded.

    Files have to be closed; what functions registered with :mod:`atexit` would do is not done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
