"""What a model is good for: how well it finds the other half of pairs that it has never seen."""

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
    """The rank (from 1) of the nearest right candidate for every query; int64 (n,).

    Right are the candidates of the query's own group: of an image with five captions each of the five. Of equal
    similarities the right one comes last; those of its group that are further away do not come before it.

    Args:
        queries, candidates: float32 (n, dimension), L2-normalised, row i of one belongs to row i of the other.
        groups: int64 (n,), numbers that are the same within a group of duplicates.
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
    """The recall@k of a random order: of n candidates, as many as a query's group has are right, mean over queries."""
    number = len(groups)
    sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wrong = number - sizes[2][sizes[1]]
    if k >= number:
        return 1.0
    # the share of choices of k that are all wrong, C(wrong, k) / C(n, k)
    missed = np.zeros(number)
    some = wrong >= k
    missed[some] = np.exp(
        gammaln(wrong[some] + 1) - gammaln(wrong[some] - k + 1) - gammaln(number + 1) + gammaln(number - k + 1)
    )
    return float(1 - missed.mean())


def retrieval(
    images: np.ndarray,
    captions: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
    at: Sequence[int] = RECALL_AT,
) -> list[dict]:
    """Recall@k in both directions, and what chance would reach, as rows of the utility table.

    Resampled are the queries, by duplicate group; what they search stays as it is.

    Args:
        images, captions: float32 (n, dimension), L2-normalised; row i of either is of sample i.
        groups: int64 (n,), as for :func:`ranks_of_own`, numbered from 0.
        resampling: how intervals are drawn.
        at: values of k.

    Returns:
        Rows as those of :func:`dejavu.measurement.resampling.shares`.
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
