"""Embeddings that are no numbers: they are near to nothing, and a search would rank them nevertheless."""

from __future__ import annotations

import numpy as np

from dejavu.errors import InputError


def require_finite(embedded: np.ndarray, where: str) -> np.ndarray:
    """Embeddings, float (n, dimension), as they are.

    Args:
        embedded: the embeddings.
        where: for the message.

    Raises:
        InputError: when one holds a number that is not finite.
    """
    bad = int((~np.isfinite(embedded).all(axis=1)).sum())
    if bad:
        raise InputError(
            f"{where}: {bad:,} of {len(embedded):,} embeddings are not finite numbers, so the model's weights are "
            "damaged, or too large for their precision: give another checkpoint, or train it anew."
        )
    return embedded
