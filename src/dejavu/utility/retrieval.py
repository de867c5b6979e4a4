"""Utility by retrieval: how well a model finds the image of a caption, and the caption of an image, in unseen pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

from dejavu.measurement.resampling import Resampling, shares

# similarities that are held at a time, of a block of queries with all candidates
QUERIES_PER_BLOCK = 2048
CELLS_PER_BLOCK = 2**24
RECALL_AT = (1, 5, 10)


def ranks_of_own(queries: np.ndarray, candidates: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the rank, from 1, of the nearest right candidate for every query; int64 (n,).

    All candidates in the query's own group are right; for an image with five captions, each of the five is. Wrong
    candidates that are as similar as the nearest right one count as nearer.

    Args:
        queries, candidates: float32 (n, dimension), L2-normalised; row i of both belongs to pair i.
        groups: int64 (n,), number of each pair's duplicate group.
    """
    ranks = np.empty(len(queries), dtype=np.int64)
    step = max(1, min(QUERIES_PER_BLOCK, CELLS_PER_BLOCK // max(1, len(candidates))))
    for start in range(0, len(queries), step):
        block = slice(start, min(start + step, len(queries)))
        similarity = queries[block] @ np.asarray(candidates).T
        right = groups[block, None] == groups
        own = np.where(right, similarity, -np.inf).max(axis=1)
        ranks[block] = ((similarity >= own[:, None]) & ~right).sum(axis=1) + 1
    return ranks


def chance_at(groups: np.ndarray, k: int) -> float:
    """Return the expected recall@k of a random ranking, in which every candidate of a query's own group is right."""
    number = len(groups)
    sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wrong = number - sizes[2][sizes[1]]
    if k >= number:
        return 1.0
    # The probability that all of k random candidates are wrong is C(wrong, k) / C(n, k).
    missed = np.zeros(number)
    possible = wrong >= k
    missed[possible] = np.exp(
        gammaln(wrong[possible] + 1) - gammaln(wrong[possible] - k + 1) - gammaln(number + 1) + gammaln(number - k + 1)
    )
    return float(1 - missed.mean())


def retrieval(
    images: np.ndarray,
    captions: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
    at: Sequence[int] = RECALL_AT,
) -> list[dict]:
    """Return recall@k in both directions, and the recall@k of chance, as rows of the utility table.

    The intervals come from resampling the queries by duplicate group. The candidates stay the same.

    Args:
        images, captions: float32 (n, dimension), L2-normalised; row i of both belongs to sample i.
        groups: int64 (n,), number of each sample's duplicate group, from 0.
        resampling: draws the resamples of the intervals.
        at: values of k.

    Returns:
        Rows like those of :func:`dejavu.measurement.resampling.shares`.
    """
    directions = {"caption_to_image": (captions, images), "image_to_caption": (images, captions)}
    hits: dict[str, np.ndarray] = {}
    for name, (queries, candidates) in directions.items():
        ranks = ranks_of_own(queries, candidates, groups)
        hits |= {f"{name}_recall@{k}": (ranks <= k).astype(float) for k in at}
    columns = np.column_stack(list(hits.values()))
    rows = shares("retrieval", list(hits), columns, groups, resampling.means(columns, groups, "retrieval"))
    for name in directions:
        for k in at:
            chance = {"metric": f"{name}_chance@{k}", "value": chance_at(groups, k)}
            rows.append({"task": "retrieval", **chance, "n": len(groups)})
    return rows
