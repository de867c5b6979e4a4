"""Messages of a job while it works: everything goes to its log, and progress lines also to the terminal."""

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
    """Send everything that this process and its children print to the log ``path``; end the process with the block.

    The redirection is one of file descriptors, so it includes what libraries in C print. Progress lines go to the
    terminal as well. A block that succeeds ends the process with status 0 (:func:`~dejavu.processes.end_well`). A block
    that fails ends it with status 1. The log then holds one sentence for an :class:`InputError` or for a disk that is
    full or read-only, and a traceback for any other error; Snakemake shows the log of a failed job. If the log's own
    disk is full, the message goes to the terminal. The process dies with the Snakemake that started it, so it cannot
    write into the files of the next run.
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
    # Snakemake does not show an empty log, so this line makes the log of a job that is killed early visible.
    with suppress(OSError):
        os.write(2, f"on {socket.gethostname()}, process {os.getpid()}\n".encode())
    try:
        yield
        end_well()
    except Exception as error:
        _say_why(error)
        raise SystemExit(1) from None


def _say_why(error: Exception) -> None:
    sentence = error if isinstance(error, InputError) else refused_writing(error)
    text = traceback.format_exc() if sentence is None else f"error: {sentence}\n"
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    try:
        os.write(2, text.encode())
    except OSError:
        if _terminal is not None:
            os.write(_terminal, text.encode())


def say(line: str) -> None:
    """Print one line to the log and, inside :func:`logged`, to the terminal."""
    print(line, file=sys.stderr, flush=True)
    if _terminal is not None:
        os.write(_terminal, (line + "\n").encode())


class Progress:
    """Prints the units done, the rate and the time left, at most once in ten seconds, and once at the end.

    Args:
        title: the name of the work, such as ``train baseline a``.
        total: the number of units in all, or 0 when it is not known.
        unit: the name of the units, in the plural.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self._skipped = 0
        self._start = self._last = time.monotonic()

    def skip(self, count: int) -> None:
        """Count ``count`` units that an earlier run did; they are left out of the rate."""
        self.done += count
        self._skipped += count

    def advance(self, count: int, note: str = "") -> None:
        """Count more units as done, and print a line with ``note`` if the last one is ten seconds old."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            say(self._line(now, note))

    def finish(self, note: str = "") -> None:
        """Print the last line."""
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
