"""Embedding in bfloat16, where that is asked for and near enough to float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dejavu.data.images import decode_rgb
from dejavu.data.samples import RoleSamples, SampleStore
from dejavu.encoders.interface import Encoder, TextEncoder
from dejavu.errors import InputError, words
from dejavu.progress import say
from dejavu.retrieval.finite import require_finite

LEAST_COSINE = 0.999
SAMPLES = 32


def embed_in_bfloat16(encoder: TextEncoder, role: RoleSamples, title: str, images: Encoder | None = None) -> None:
    """Round an encoder's weights to bfloat16, after a look at what that does to some samples of a role.

    Args:
        encoder: the model.
        role: the samples, of which 32 are embedded twice, evenly spaced among its rows.
        title: for the messages.
        images: the same model where it embeds images as well.

    Raises:
        InputError: when an embedding in bfloat16 has a cosine below 0.999 to that in float32.
    """
    chosen = _chosen(role.rows())
    columns = ["caption", *(["image"] if images else [])]
    samples = [pair for part in SampleStore(role.folders).read(chosen, columns) for pair in part.to_pylist()]
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "captions": lambda: encoder.texts([pair["caption"] for pair in samples])
    }
    if images is not None:
        kinds["images"] = lambda: images.images([decode_rgb(pair["image"]) for pair in samples])
    full = {kind: require_finite(embedded(), words(f"{title}, {kind}"), chosen) for kind, embedded in kinds.items()}
    encoder.halve()
    for kind, embedded in kinds.items():
        half = require_finite(embedded(), words(f"{title}, {kind} in bfloat16"), chosen)
        cosines = (full[kind] * half).sum(axis=1)
        worst = int(cosines.argmin())
        if cosines[worst] < LEAST_COSINE:
            raise InputError(
                f"{title}: the {kind[:-1]} of row {chosen[worst]} has a cosine of {cosines[worst]:.4f} between its "
                f"embeddings in bfloat16 and in float32, and {LEAST_COSINE} is the least allowed: set "
                "measure.embed_precision to fp32."
            )
        say(f"[{title}] {kind} in bfloat16 have a cosine of at least {cosines[worst]:.5f} to those in float32")


def _chosen(rows: np.ndarray) -> np.ndarray:
    """Return at most 32 of ascending rows, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(np.int64))]
