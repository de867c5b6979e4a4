"""The change between two recipes that were trained in replicates, paired by replicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dejavu.memorization.replicates import RecipeInterval, recipe_interval
from dejavu.report.changes import shuffled

# replicate -> its gap, and the bootstrap draws of it
Trained = Mapping[int, tuple[float, Sequence[float] | np.ndarray]]


def paired_change(start: Trained, end: Trained, *, together: bool = True) -> tuple[RecipeInterval, int] | None:
    """Return the recipe's interval of end minus start, and the number of replicates; None where fewer than two pair.

    The same coins deal a group in the same replicate of both recipes, whose trainings have the same seed, so replicates
    are paired: what their noise has in common is no part of the change.

    Args:
        start, end: what the replicates of each recipe measured.
        together: whether draw i is the same resample of the same queries at both ends. Otherwise the noise of the
            queries is that of independent ones, which is too wide where they overlap.
    """
    common = sorted(start.keys() & end.keys())
    if len(common) < 2:
        return None
    values = np.array([end[replicate][0] - start[replicate][0] for replicate in common])
    before, after = (
        np.array([np.asarray(ends[replicate][1], dtype=np.float64) for replicate in common]) for ends in (start, end)
    )
    if not together:
        # one order for all replicates: a draw takes the same groups in all of them
        after = after[:, shuffled(np.arange(after.shape[1]))]
    drawn = after - before
    interval = recipe_interval(values, drawn[:, ~np.isnan(drawn).any(axis=0)])
    assert interval is not None
    return interval, len(common)
