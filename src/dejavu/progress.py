"""What a job says while it works: a log that holds everything, and progress on the terminal."""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dejavu.errors import InputError, refused_writing
from dejavu.processes import die_with_parent, end_well

SECONDS_BETWEEN_LINES = 10.0

_terminal: int | None = None


@contextmanager
def logged(path: str | os.PathLike[str]) -> Iterator[None]:
    """Sends all that this process and its children print, at the level of file descriptors, to the log ``path``.

    Progress lines go to the terminal as well. Its good end is that of the process, at once
    (:func:`~dejavu.processes.end_well`). A failure ends the process with status 1 after the log holds its
    traceback, or one sentence for an :class:`InputError` and for a disk that is full or read-only; Snakemake shows the
    log of a failed job. What the log's own disk does not take goes to the terminal. The process dies with the Snakemake
    that started it, so that the next one need not fear what it writes.
    """
    global _terminal
    die_with_parent()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    _terminal = os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    # the first line, for a job that is killed before it says anything: Snakemake shows no log that is empty
    with suppress(OSError):
        os.write(2, f"on {socket.gethostname()}, process {os.getpid()}\n".encode())
    try:
        yield
        end_well()
    except Exception as error:
        _say_why(error)
        raise SystemExit(1) from None


def _say_why(error: Exception) -> None:
    told = error if isinstance(error, InputError) else refused_writing(error)
    text = traceback.format_exc() if told is None else f"error: {told}\n"
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    try:
        os.write(2, text.encode())
    except OSError:
        if _terminal is not None:
            os.write(_terminal, text.encode())


def say(line: str) -> None:
    """Prints one line to the log and, inside :func:`logged`, to the terminal."""
    print(line, file=sys.stderr, flush=True)
    if _terminal is not None:
        os.write(_terminal, (line + "\n").encode())


class Progress:
    """Says how far, how fast and how long still, at most once in ten seconds, and once at the end.

    Args:
        title: what is being done, as in ``train baseline a``.
        total: the number of units in all, or 0 when it is not known.
        unit: their name in the plural.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self._skipped = 0
        self._start = self._last = time.monotonic()

    def skip(self, count: int) -> None:
        """Counts ``count`` units that an earlier run had done; they do not enter the rate."""
        self.done += count
        self._skipped += count

    def advance(self, count: int, note: str = "") -> None:
        """Counts ``count`` more units as done; ``note`` is shown with the line, if one is due."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            say(self._line(now, note))

    def finish(self, note: str = "") -> None:
        """Says the last line."""
        say(self._line(time.monotonic(), note))

    def _line(self, now: float, note: str) -> str:
        seconds = max(now - self._start, 1e-9)
        rate = (self.done - self._skipped) / seconds
        parts = [f"{self.done:,}" + (f"/{self.total:,}" if self.total else "") + f" {self.unit}"]
        if self.total:
            parts[0] += f" ({100 * self.done / self.total:.0f} %)"
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2f}/s")
        if self.total > self.done and rate > 0:
            parts.append(f"{_duration((self.total - self.done) / rate)} left")
        else:
            parts.append(f"took {_duration(seconds)}")
        return f"[{self.title}] " + ", ".join([*parts, note] if note else parts)


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
