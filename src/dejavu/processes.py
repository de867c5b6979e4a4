"""Processes end with their parent, at once when their work is done, and give back memory that they do not need."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from typing import NoReturn

# This environment variable holds the id of the process that starts others. A new process reads it to see whether its
# starter died before the new process could ask for a signal.
STARTER = "DEJAVU_STARTER"


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Ask Linux to send a signal to this process when its parent dies, or send it now if the starter is dead already.

    On other systems than Linux, this process outlives a parent that dies later.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, by)
    starter = os.environ.get(STARTER)
    if starter is not None and not _lives(int(starter)):
        os.kill(os.getpid(), by)


def end_well() -> NoReturn:
    """End this process with status 0, without Python's teardown, which takes two seconds where torch is loaded.

    The caller must have closed its files. Functions that are registered with :mod:`atexit` do not run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def give_back_freed_arrays() -> None:
    """Have every array of a MiB or more given back to the system as soon as it is free, Arrow's as well as NumPy's.

    By itself glibc does so at first, but raises its threshold to the size of the largest block that was freed, up to
    32 MiB (mallopt(3)); from then on a process keeps what smaller arrays have taken. Arrow's own allocator keeps memory
    for later, too. Other libraries of C are left as they are.
    """
    # takes a while, and most processes do without
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    if platform.libc_ver()[0] == "glibc":
        mmap_threshold = -3
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 20)


def give_back_freed_pieces() -> None:
    """Give back what is free between small blocks of memory that are not, which glibc keeps for later."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
