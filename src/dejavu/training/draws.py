"""Random numbers for one pair in one epoch: the same after a restart, in any thread, on any number of devices."""

from __future__ import annotations

from enum import Enum

import numpy as np


class Purpose(Enum):
    """The purpose of a draw; draws for different purposes are independent of each other."""

    TEXT_MASK = ()
    CAPTION_DROPOUT = (1,)
    CAPTION = (2,)
    IMAGE = (3,)
    QUERY_MASK = (4,)


def generator(purpose: Purpose, seed: int, epoch: int, row: int) -> np.random.Generator:
    """Return a generator that depends on its arguments alone; ``seed``, ``epoch`` and ``row`` are not negative."""
    return np.random.default_rng(np.random.SeedSequence([seed, epoch, row], spawn_key=purpose.value))
