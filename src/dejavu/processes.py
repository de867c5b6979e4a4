"""Processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import signal
import sys


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Asks Linux to send a signal to this process when the one that started it dies; elsewhere it lives on."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, by)
