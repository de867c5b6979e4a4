"""Per-sample scores: how well the objects of the nearest public images predict the objects of a training image.

All definitions follow "Déjà Vu Memorization in Vision-Language Models" (arXiv 2402.02103): the prediction is made of
the labels shown by the k public images nearest to a caption; precision is the share of predicted labels that are true,
recall the share of true labels that are predicted, each 0 where its denominator is 0.

Ranked labels: by number of neighbours that show the label, then by best rank, then by label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dejavu.memorization.labels import LabelSets

ALL = "all"
SCOPES = ("all", "unnamed")
CELLS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class Hits:
    """What one side predicts for one cell (k, number of labels), for every query.

    Attributes:
        k: number of neighbours taken.
        labels: number of ranked labels taken, or ``all``.
        predicted: int32 (queries,), number of labels predicted.
        correct: scope -> int32 (queries,), number of true labels among them.
    """

    k: int
    labels: str
    predicted: np.ndarray
    correct: dict[str, np.ndarray]


def count_hits(
    neighbors: np.ndarray,
    public: LabelSets,
    truths: dict[str, LabelSets],
    ks: Sequence[int],
    labels: Sequence[int | str],
) -> list[Hits]:
    """Counts predicted and correct labels for every k and label count, in one pass over the neighbours.

    Args:
        neighbors: int64 (queries, k_max), positions in ``public``, the nearest first.
        public: the labels of the public images.
        truths: scope -> the true labels of the queries, in the order of ``neighbors``, with the vocabulary of
            ``public``.
        ks: numbers of neighbours, none above k_max.
        labels: numbers of ranked labels, or ``all``.

    Returns:
        One :class:`Hits` for each k and label count, k first.
    """
    queries = len(neighbors)
    cells = [(k, str(count)) for k in sorted(set(ks)) for count in labels]
    predicted = np.zeros((len(cells), queries), dtype=np.int32)
    correct = {scope: np.zeros((len(cells), queries), dtype=np.int32) for scope in truths}
    size = max(1, CELLS_PER_BLOCK // max(1, len(public.names), neighbors.shape[1] * 8))
    for start in range(0, queries, size):
        block = slice(start, min(start + size, queries))
        true = {scope: _true_mask(sets, block) for scope, sets in truths.items()}
        place = 0
        for query, label, rank in _ranked_labels(neighbors[block], public, sorted(set(ks))):
            distinct = np.bincount(query, minlength=block.stop - block.start)
            for count in labels:
                limit = None if count == ALL else int(count)
                taken = slice(None) if limit is None else rank < limit
                predicted[place, block] = distinct if limit is None else np.minimum(distinct, limit)
                for scope, mask in true.items():
                    hit = query[taken][mask[query[taken], label[taken]]]
                    correct[scope][place, block] = np.bincount(hit, minlength=len(distinct))
                place += 1
    return [
        Hits(k, count, predicted[i], {scope: found[i] for scope, found in correct.items()})
        for i, (k, count) in enumerate(cells)
    ]


def _true_mask(sets: LabelSets, block: slice) -> np.ndarray:
    owner, label = sets.expand(np.arange(block.start, block.stop))
    mask = np.zeros((block.stop - block.start, len(sets.names)), dtype=bool)
    mask[owner, label] = True
    return mask


def _ranked_labels(
    neighbors: np.ndarray, public: LabelSets, ks: list[int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each k: every distinct (query, label) that is shown, and the label's rank from 0 within its query."""
    queries, k_max = neighbors.shape
    names = len(public.names)
    flat, label = public.expand(neighbors.ravel())
    query, rank = np.divmod(flat, k_max)
    cell = query * names + label
    # the last write wins, so writing from the farthest to the nearest leaves the best rank
    best = np.full(queries * names, k_max, dtype=np.int64)
    best[cell[::-1]] = rank[::-1]
    for k in ks:
        shown = cell if k == k_max else cell[rank < k]
        times = np.bincount(shown, minlength=queries * names)
        found = np.flatnonzero(times)
        owner, name = np.divmod(found, names) if names else (found, found)
        # one integer that sorts by query, then most neighbours, then best rank, then label
        key = ((owner * (k + 1) + (k - times[found])) * (k_max + 1) + best[found]) * names + name
        key.sort()
        name = key % names if names else key
        distinct = np.bincount(owner, minlength=queries)
        position = np.arange(len(key)) - np.repeat(np.cumsum(distinct) - distinct, distinct)
        yield owner, name, position


def precision(correct: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """float64: correct / predicted, 0 where nothing is predicted."""
    return _ratio(correct, predicted)


def recall(correct: np.ndarray, true: np.ndarray) -> np.ndarray:
    """float64: correct / true, 0 where nothing is true."""
    return _ratio(correct, true)


def f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """float64: harmonic mean of precision and recall, 0 where both are 0."""
    return _ratio(2 * precision * recall, precision + recall)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(part), dtype=np.float64), where=np.asarray(whole) != 0)
