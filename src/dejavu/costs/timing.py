"""Timing of a unit of work, from amounts of it that were done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from dejavu.costs.rates import Rate


def seconds_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> float:
    """Return how long a call takes: as it passes, or as processors work, whichever is less.

    So what else a machine does while it is measured changes little.
    """
    start, worked = time.perf_counter(), time.process_time()
    function(*arguments, **named)
    return min(time.perf_counter() - start, time.process_time() - worked)


def size_below(paths: Iterable[str | Path]) -> int:
    """Return the bytes of some files, and of all files in some folders."""
    files = [file for path in map(Path, paths) for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return sum(file.stat().st_size for file in files if file.is_file())


def per_unit(seconds: float, units: float, written: float = 0.0) -> Rate:
    """Return the rate of work that has no other part."""
    return Rate(seconds / units, written / units)


def line(small: tuple[float, Rate], large: tuple[float, Rate]) -> tuple[Rate, Rate]:
    """Return what work costs whatever its amount, and what every unit costs, from two amounts of it.

    Neither is below 0: where the larger amount took no longer, all counts as the part that does not grow.

    Args:
        small, large: number of units, and what they cost together.
    """
    (few, less), (many, more) = small, large
    pairs = ((less.seconds, more.seconds), (less.written, more.written))
    slopes = [max(0.0, (second - first) / (many - few)) for first, second in pairs]
    fixed = [max(0.0, first - slope * few) for (first, _), slope in zip(pairs, slopes, strict=True)]
    return Rate(*fixed), Rate(*slopes)


def fit(measured: Sequence[tuple[Mapping[str, float], Rate]]) -> dict[str, Rate]:
    """Return the rate of every unit, none below 0, by least squares.

    Args:
        measured: pairs of unit -> number of units, and what they cost together; at least as many pairs as units.
    """
    units = sorted({unit for amounts, _ in measured for unit in amounts})
    numbers = np.array([[amounts.get(unit, 0.0) for unit in units] for amounts, _ in measured])
    most = numbers.max(axis=0)
    costs = np.array([(rate.seconds, rate.written) for _, rate in measured])
    seconds, written = (nnls(numbers / most, cost)[0] / most for cost in costs.T)
    return {unit: Rate(float(seconds[place]), float(written[place])) for place, unit in enumerate(units)}
