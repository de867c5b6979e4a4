"""What a benchmark returns, and how times are taken."""

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
        name: what is compared.
        ours, peer: the two measurements, or ours and a bound.
        unit: their unit, such as ``queries/s``.
        ratio: how many times better ours is; above 1 when it is better.
        note: in a few words, what the peer is.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    note: str

    @classmethod
    def of_rates(cls, name: str, ours: float, peer: float, unit: str, note: str) -> Result:
        """A comparison of rates: the higher is better."""
        return cls(name, ours, peer, unit, ours / peer, note)

    @classmethod
    def of_costs(cls, name: str, ours: float, peer: float, unit: str, note: str) -> Result:
        """A comparison of costs, such as seconds or memory: the lower is better."""
        return cls(name, ours, peer, unit, peer / ours, note)


def best_seconds(
    title: str, functions: Mapping[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Times functions in turn, in the opposite order every other round, so that none always comes first.

    Args:
        title: for the progress lines.
        functions: name -> what to time.
        repeats: number of rounds.

    Returns:
        name -> the best of its times in seconds; name -> what it returned last.
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
