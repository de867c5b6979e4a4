"""Evaluation of one model on the benchmarks of its utility tasks."""

from __future__ import annotations

from collections.abc import Sequence

from dejavu.data.benchmarks import Benchmark
from dejavu.measurement.resampling import Resampling
from dejavu.utility.compositional import compositional
from dejavu.utility.encode import Encoder
from dejavu.utility.probe import linear_probe
from dejavu.utility.zero_shot import zero_shot

_TASKS = {"zero_shot": zero_shot, "linear_probe": linear_probe, "compositional": compositional}


def evaluate(encoder: Encoder, benchmarks: Sequence[Benchmark], resampling: Resampling) -> list[dict]:
    """Run benchmarks on a model, and return rows of the utility table, schema ``UTILITY`` of :mod:`dejavu.tables`.

    Where a row has an interval, its key ``drawn`` has the values in the resampled images.

    Args:
        encoder: the model.
        benchmarks: the benchmarks.
        resampling: draws the resamples of the intervals.

    Raises:
        InputError: when a file of a benchmark cannot be used.
    """
    rows = []
    for benchmark in benchmarks:
        rows += _TASKS[benchmark.task](encoder, benchmark, resampling)
    return rows
