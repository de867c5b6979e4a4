"""Per-sample scores: how well the objects of the nearest public images predict the objects of a training image.

All definitions follow "Déjà Vu Memorization in Vision-Language Models" (arXiv 2402.02103): the prediction is made of
the labels shown by the k public images nearest to a caption; precision is the share of predicted labels that are true,
recall the share of true labels that are predicted, each 0 where its denominator is 0.

Ranked labels: by number of neighbours that show the label, then by best rank, then by label.

In scope ``unnamed`` a label that the caption names is neither true nor predicted: the ranked labels there are those
that the caption does not name, so that a named one uses up no rank and counts in no denominator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        predicted: scope -> int32 (queries,), number of labels predicted.
        correct: scope -> int32 (queries,), number of true labels among them.
    """

    k: int
    labels: str
    predicted: dict[str, np.ndarray]
    correct: dict[str, np.ndarray]


def count_hits(
    neighbors: np.ndarray,
    public: LabelSets,
    truths: dict[str, LabelSets],
    ks: Sequence[int],
    labels: Sequence[int | str],
    left_out: Mapping[str, LabelSets] | None = None,
) -> list[Hits]:
    """Count predicted and correct labels for every k and label count, in one pass over the neighbours.

    Args:
        neighbors: int64 (queries, k_max), positions in ``public``, the nearest first.
        public: the labels of the public images.
        truths: scope -> the true labels of the queries, in the order of ``neighbors``, with the vocabulary of
            ``public``.
        ks: numbers of neighbours, none above k_max.
        labels: numbers of ranked labels, or ``all``.
        left_out: scope -> labels that are not predicted there, in the same order and vocabulary; the true labels of
            the scope hold none of them. A scope that is not there leaves nothing out.

    Returns:
        One :class:`Hits` for each k and label count, k first.
    """
    ks = sorted(set(ks))
    cells = [(k, str(count)) for k in ks for count in labels]
    neighbors = neighbors[:, : max(ks, default=0)]
    predicted, correct = (
        {scope: np.zeros((len(cells), len(neighbors)), dtype=np.int32) for scope in truths} for _ in range(2)
    )
    for block in _blocks(neighbors, public):
        shown = _shown(neighbors[block], public)
        true, out = (
            {scope: _cells(sets.part(block.start, block.stop), shown.names) for scope, sets in of_scopes.items()}
            for of_scopes in (truths, left_out or {})
        )
        for i, (value, found) in enumerate(_predictions(shown, ks, labels, list(truths), out)):
            for scope, (query, cell) in true.items():
                predicted[scope][i, block], lowest = found[scope]
                hit = query[value[cell] >= lowest[query]]
                correct[scope][i, block] = np.bincount(hit, minlength=len(lowest))
    return [
        Hits(k, count, *({scope: counted[i] for scope, counted in of.items()} for of in (predicted, correct)))
        for i, (k, count) in enumerate(cells)
    ]


def _blocks(neighbors: np.ndarray, public: LabelSets) -> Iterator[slice]:
    """Cut the queries so that what one block works on stays in the processor's cache."""
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
        """Yield the cells that the neighbours of the ranks from ``first`` up to ``stop`` show."""
        k_max = self.head.shape[1]
        yield self.head[:, k_max - stop : k_max - first].ravel()
        if len(self.tail):
            yield self.tail[(self.tail_rank >= first) & (self.tail_rank < stop)]

    def nearness(self) -> tuple[np.ndarray, int]:
        """Return integers that order the labels of a query: a better best rank has a larger one, then a lesser label.

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


def _cells(sets: LabelSets, names: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for every label its query and its cell."""
    query = np.repeat(np.arange(len(sets.counts)), sets.counts)
    return query, query * names + sets.labels


def _predictions(
    shown: _Shown,
    ks: list[int],
    labels: Sequence[int | str],
    scopes: Sequence[str],
    left_out: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]]:
    """Yield for every k and label count how many labels are predicted, and which.

    Args:
        shown: what the neighbours show.
        ks, labels: as in :func:`count_hits`, ``ks`` ascending.
        scopes: all scopes.
        left_out: scope -> query and cell of every label that is not predicted there.

    Yields:
        ``value`` (cells,), and for each scope ``number`` (queries,) of predicted labels and ``lowest`` (queries,): a
        label that the scope does not leave out is predicted where its value is not below its query's lowest.
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
        gone = {scope: _Gone.of(query, value[cell], seen, queries) for scope, (query, cell) in left_out.items()}
        most = max((out.most for out in gone.values()), default=0)
        top = _largest(value.reshape(queries, -1), max(limits, default=0) + most if limits else 0)
        number = {scope: distinct - gone[scope].counts if scope in gone else distinct for scope in scopes}
        tops = {scope: gone[scope].without(top) if scope in gone else top for scope in scopes}
        for count in labels:
            yield (
                value,
                {
                    scope: (number[scope], np.full(queries, seen))
                    if count == ALL
                    else (np.minimum(number[scope], int(count)), np.maximum(_kth(tops[scope], int(count)), seen))
                    for scope in scopes
                },
            )


@dataclass(frozen=True)
class _Gone:
    """Labels that neighbours show and a scope leaves out.

    Attributes:
        query, value: (m,), of each label.
        counts: int32 (queries,), their number.
    """

    query: np.ndarray
    value: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, query: np.ndarray, value: np.ndarray, seen: int, queries: int) -> _Gone:
        """Return those of the labels that are seen."""
        query, value = query[value >= seen], value[value >= seen]
        return cls(query, value, np.bincount(query, minlength=queries).astype(np.int32))

    @property
    def most(self) -> int:
        """The largest number of one query."""
        return int(self.counts.max(initial=0))

    def without(self, top: np.ndarray) -> np.ndarray:
        """Return the largest values of each row, ascending, without those of these labels; zeros take their places."""
        # rows one above the other, so that one search finds the places in all of them
        step = int(top.max(initial=0)) + 1
        ladder = (top + step * np.arange(len(top), dtype=np.int64)[:, None]).ravel()
        wanted = self.value + step * self.query.astype(np.int64)
        wanted = wanted[self.value < step]
        place = np.searchsorted(ladder, wanted)
        left = top.ravel().copy()
        # what is not among the largest of its row leaves nothing to take out
        left[place[ladder[place] == wanted]] = 0
        return np.sort(left.reshape(top.shape), axis=1)


def _largest(value: np.ndarray, number: int) -> np.ndarray:
    """Return the largest of each row, ascending, all of it where it is shorter."""
    number = min(number, value.shape[1])
    return (
        np.sort(np.partition(value, value.shape[1] - number, axis=1)[:, -number:], axis=1) if number else value[:, :0]
    )


def _kth(top: np.ndarray, k: int) -> np.ndarray:
    """Return the k-th largest of each row of ascending values, 0 where the row is shorter."""
    return top[:, top.shape[1] - k] if k <= top.shape[1] else np.zeros(len(top), top.dtype)


def precision(correct: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the precision of every query: float64 (queries,), correct / predicted, 0 where nothing is predicted.

    Args:
        correct, predicted: int (queries,), numbers of labels, as in :class:`Hits`.
    """
    return _ratio(correct, predicted)


def recall(correct: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the recall of every query: float64 (queries,), correct / true, 0 where nothing is true.

    Args:
        correct, true: int (queries,), numbers of labels.
    """
    return _ratio(correct, true)


def f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return the harmonic mean of precision and recall of every query: float64 (queries,), 0 where both are 0.

    Args:
        precision, recall: float64 (queries,).
    """
    return _ratio(2 * precision * recall, precision + recall)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(part), dtype=np.float64), where=np.asarray(whole) != 0)
