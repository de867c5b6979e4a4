"""Per-sample scores: how well the objects of the nearest public images predict the objects of a training image.

All definitions follow "Déjà Vu Memorization in Vision-Language Models" (arXiv 2402.02103): the prediction is made of
the labels shown by the k public images nearest to a caption; precision is the share of predicted labels that are true,
recall the share of true labels that are predicted, each 0 where its denominator is 0.

Ranked labels: by number of neighbours that show the label, then by best rank, then by label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dejavu.memorization.labels import LabelSets

ALL = "all"
SCOPES = ("all", "unnamed")
# labels that the neighbours of one block of queries show, repeats included: what they need is a few MB
CELLS_PER_BLOCK = 300_000


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
    ks = sorted(set(ks))
    cells = [(k, str(count)) for k in ks for count in labels]
    neighbors = neighbors[:, : max(ks, default=0)]
    predicted = np.zeros((len(cells), len(neighbors)), dtype=np.int32)
    correct = {scope: np.zeros((len(cells), len(neighbors)), dtype=np.int32) for scope in truths}
    for block in _blocks(neighbors, public):
        shown = _shown(neighbors[block], public)
        true = {scope: _true_cells(sets.part(block.start, block.stop), shown.names) for scope, sets in truths.items()}
        for i, (number, value, lowest) in enumerate(_predictions(shown, ks, labels)):
            predicted[i, block] = number
            for scope, (query, cell) in true.items():
                hit = query[value[cell] >= lowest[query]]
                correct[scope][i, block] = np.bincount(hit, minlength=len(lowest))
    return [
        Hits(k, count, predicted[i], {scope: found[i] for scope, found in correct.items()})
        for i, (k, count) in enumerate(cells)
    ]


def _blocks(neighbors: np.ndarray, public: LabelSets) -> Iterator[slice]:
    """Cuts the queries so that what one block works on stays in the processor's cache."""
    head, tail = public.head_and_tail
    size = neighbors.shape[1] * head.shape[1] + np.take(tail.counts, neighbors).sum(axis=1) + len(public.names)
    ends = np.cumsum(size)
    start = 0
    while start < len(size):
        full = ends[start] - size[start] + CELLS_PER_BLOCK
        stop = max(start + 1, int(np.searchsorted(ends, full, side="right")))
        yield slice(start, stop)
        start = stop


@dataclass(frozen=True)
class _Shown:
    """What the neighbours of a block of queries show: numbers of cells (query, label), the farthest neighbour first.

    Attributes:
        head: intp (queries, k_max, width), the first labels of each neighbour.
        tail: intp (m,), the labels beyond; of each query the farthest neighbour first.
        tail_rank: intp (m,), which neighbour shows it, from 0.
        names: number of cells of a query: one for each label, and a last one for the empty places of ``head``.
    """

    head: np.ndarray
    tail: np.ndarray
    tail_rank: np.ndarray
    names: int

    def between(self, first: int, stop: int) -> Iterator[np.ndarray]:
        """The cells that the neighbours of the ranks from ``first`` up to ``stop`` show."""
        k_max = self.head.shape[1]
        yield self.head[:, k_max - stop : k_max - first].ravel()
        if len(self.tail):
            yield self.tail[(self.tail_rank >= first) & (self.tail_rank < stop)]

    def nearness(self) -> tuple[np.ndarray, int]:
        """Integers that put the labels of a query in order: a better best rank has a larger one, then a lesser label.

        Returns:
            (cells,), all from 0; and a number above all that are possible.
        """
        queries, k_max, width = self.head.shape
        above = (k_max + 1) * self.names
        kind = np.int32 if above * (k_max + 1) < 2**31 else np.int64
        near = np.arange(1, k_max + 1, dtype=kind) * self.names
        best = np.zeros(queries * self.names, dtype=kind)
        # the last write wins, so writing from the farthest to the nearest leaves the best rank
        best[self.head.ravel()] = np.tile(np.repeat(near, width), queries)
        if len(self.tail):
            beyond = np.zeros_like(best)
            beyond[self.tail] = near[k_max - 1 - self.tail_rank]
            np.maximum(best, beyond, out=best)
        by_query = best.reshape(queries, self.names)
        by_query += np.arange(self.names - 1, -1, -1, dtype=kind)
        return best, above


def _shown(neighbors: np.ndarray, public: LabelSets) -> _Shown:
    head, tail = public.head_and_tail
    names = len(public.names) + 1
    farthest_first = np.ascontiguousarray(neighbors[:, ::-1])
    offset = np.arange(len(neighbors)) * names
    inside = np.add(np.take(head, farthest_first, axis=0), offset[:, None, None], dtype=np.intp)
    flat = farthest_first.ravel()
    beyond = np.flatnonzero(np.take(tail.counts, flat))
    owner, label = tail.expand(flat[beyond])
    query, place = np.divmod(beyond[owner], neighbors.shape[1])
    return _Shown(inside, offset[query] + label, neighbors.shape[1] - 1 - place, names)


def _true_cells(sets: LabelSets, names: int) -> tuple[np.ndarray, np.ndarray]:
    """For every true label its query and its cell."""
    query = np.repeat(np.arange(len(sets.counts)), sets.counts)
    return query, query * names + sets.labels


def _predictions(
    shown: _Shown, ks: list[int], labels: Sequence[int | str]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every k and label count: how many labels are predicted, and which.

    Yields:
        ``number`` (queries,) of predicted labels; ``value`` (cells,) and ``lowest`` (queries,): a label is predicted
        where its value is not below its query's lowest.
    """
    queries = len(shown.head)
    limits = [int(count) for count in labels if count != ALL]
    # times * seen + nearness orders the labels by rank; it reaches ``seen`` where any neighbour shows the label
    nearness, seen = shown.nearness() if limits else (0, 1)
    times = np.zeros(queries * shown.names, dtype=np.intp)
    for before, k in pairwise([0, *ks]):
        for cell in shown.between(before, k):
            times += np.bincount(cell, minlength=len(times))
        times[shown.names - 1 :: shown.names] = 0
        distinct = (times > 0).reshape(queries, -1).sum(axis=1, dtype=np.int32)
        value = np.multiply(times, seen, dtype=np.result_type(nearness), casting="same_kind") + nearness
        kth = _kth_largest(value.reshape(queries, -1), limits)
        for count in labels:
            if count == ALL:
                yield distinct, value, np.full(queries, seen)
            else:
                yield np.minimum(distinct, int(count)), value, np.maximum(kth[int(count)], seen)


def _kth_largest(value: np.ndarray, ks: Sequence[int]) -> dict[int, np.ndarray]:
    """k -> the k-th largest of each row, 0 where the row is shorter."""
    asked = [k for k in ks if k <= value.shape[1]]
    most = max(asked, default=0)
    largest = np.sort(np.partition(value, value.shape[1] - most, axis=1)[:, -most:], axis=1) if most else value
    return {k: largest[:, most - k] if k in asked else np.zeros(len(value), value.dtype) for k in ks}


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
