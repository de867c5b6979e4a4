"""What a model is good for: how well it finds the other half of pairs that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

QUERIES_PER_BLOCK = 2048
RECALL_AT = (1, 5, 10)


def ranks_of_pair(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The rank (from 1) of candidate i for query i; int64 (n,). Of equal similarities the pair comes last.

    Args:
        queries, candidates: float32 (n, dimension), L2-normalised, row i of one belongs to row i of the other.
    """
    ranks = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        block = slice(start, min(start + QUERIES_PER_BLOCK, len(queries)))
        similarity = queries[block] @ np.asarray(candidates).T
        own = similarity[np.arange(block.stop - start), np.arange(start, block.stop)]
        ranks[block] = (similarity >= own[:, None]).sum(axis=1)
    return ranks


def retrieval(images: np.ndarray, captions: np.ndarray, at: Sequence[int] = RECALL_AT) -> list[dict]:
    """Recall@k of the pairs in both directions, as rows of the utility table."""
    found = []
    for name, queries, candidates in (
        ("caption_to_image", captions, images),
        ("image_to_caption", images, captions),
    ):
        ranks = ranks_of_pair(queries, candidates)
        for k in at:
            metric = f"{name}_recall@{k}"
            found.append({"task": "retrieval", "metric": metric, "value": float((ranks <= k).mean()), "n": len(ranks)})
    return found
