"""Embeddings that point nowhere, being no numbers or zero: a search would rank what is near to them nevertheless."""

from __future__ import annotations

import numpy as np

from dejavu.errors import InputError, words


def require_finite(embedded: np.ndarray, where: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Embeddings, float (n, dimension), as they are.

    Args:
        embedded: the embeddings.
        where: for the message.
        rows: int64 (n,), of the samples they belong to, for the message.

    Raises:
        InputError: when one holds a number that is not finite, or zeros alone.
    """
    finite = np.isfinite(embedded).all(axis=1)
    for bad, what, cause in (
        (~finite, words("not finite numbers"), words("damaged, or too large for their precision")),
        (
            finite & ~embedded.any(axis=1),
            words("zero in every place"),
            words("damaged, or nothing was left of them in training"),
        ),
    ):
        if bad.any():
            first = "" if rows is None else words(f" (the first is row {int(rows[int(bad.argmax())])})")
            raise InputError(
                f"{where}: {int(bad.sum()):,} of {len(embedded):,} embeddings are {what}{first}, so the model's "
                f"weights are {cause}: give another checkpoint, or train it anew."
            )
    return embedded
