"""The result of a measurement, and the timing of functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dejavu.progress import say


@dataclass(frozen=True)
class Result:
    """One comparison.

    Attributes:
        name: name of the comparison.
        ours: value measured for this project.
        peer: value measured for the peer, or a bound.
        unit: unit of both values, such as ``queries/s``.
        ratio: how many times better this project is; above 1 when it is better.
        note: the peer, in a few words.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    note: str

    @classmethod
    def of_rates(cls, name: str, ours: float, peer: float, unit: str, note: str) -> Result:
        """Return a comparison of rates, of which the higher is better."""
        return cls(name, ours, peer, unit, ours / peer, note)

    @classmethod
    def of_costs(cls, name: str, ours: float, peer: float, unit: str, note: str) -> Result:
        """Return a comparison of costs, such as seconds or memory, of which the lower is better."""
        return cls(name, ours, peer, unit, peer / ours, note)


def best_seconds(
    title: str, functions: Mapping[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Time functions in turn; every other round reverses the order, so that no function always comes first.

    Args:
        title: name of the measurement in progress lines.
        functions: name -> function to time.
        repeats: number of rounds.

    Returns:
        name -> the function's shortest time in seconds; name -> the function's last return value.
    """
    best: dict[str, float] = {}
    returned: dict[str, Any] = {}
    for turn in range(repeats):
        for name in list(functions)[:: 1 if turn % 2 == 0 else -1]:
            start = time.perf_counter()
            returned[name] = functions[name]()
            seconds = time.perf_counter() - start
            best[name] = min(seconds, best.get(name, seconds))
            say(f"[{title}] round {turn + 1}/{repeats}: {name} took {seconds:.3f} s")
    return best, returned
