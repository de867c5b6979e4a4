"""Counting predicted and correct labels, against Python loops written from the definitions, all on one core.

There are two peers. The first does for each query and each label count what the definition says: count the labels of
the neighbours' sets, rank them, take the first ones, compare with the truth. The second counts and ranks once for each
query and takes all label counts from that. Both do so in both scopes: in ``unnamed`` what the caption names is
neither true nor ranked.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Literal

import numpy as np

from benchmarks.synthetic import images, topical_neighbors
from benchmarks.timing import Result, best_seconds
from dejavu.memorization.labels import LabelSets, label_sets
from dejavu.memorization.scores import SCOPES, count_hits, precision, recall
from dejavu.progress import say

QUERIES = 20_000
PUBLIC = 100_000
K = 100
Count = int | Literal["all"]
LABEL_COUNTS: tuple[Count, ...] = (1, 5, 10, "all")
REPEATS = 3

# scope and label count -> precision and recall of every query
Scores = dict[tuple[str, Count], list[tuple[float, float]]]
CELLS: list[tuple[str, Count]] = [(scope, count) for count in LABEL_COUNTS for scope in SCOPES]
# of the labels that an image shows, and of as many others: the share that its caption names
NAMED = 0.3


def measure() -> list[Result]:
    """Scores the same queries in all three ways, and compares their speeds after their results."""
    say(f"[scoring] making {QUERIES:,} queries and {PUBLIC:,} public images")
    rng = np.random.default_rng(0)
    public, public_topics = images(PUBLIC, rng)
    truth, topics = images(QUERIES, rng)
    neighbors = topical_neighbors(topics, public_topics, K, rng)
    named = _named(truth, rng)
    as_lists = neighbors.tolist(), _as_sets(public), _as_sets(truth), _as_sets(named)
    left = [true - out for true, out in zip(as_lists[2], as_lists[3], strict=True)]
    unnamed = label_sets(truth.rows, [sorted(labels) for labels in left], truth.names)
    seconds, scores = best_seconds(
        "scoring",
        {
            # a copy has nothing prepared, so what ours prepares is timed too
            "ours": lambda: score(neighbors, dataclasses.replace(public), truth, unnamed, named),
            "by definition": lambda: score_by_definition(*as_lists),
            "counted once": lambda: score_counted_once(*as_lists),
        },
        REPEATS,
    )
    ours = {cell: list(zip(p, r, strict=True)) for cell, (p, r) in scores["ours"].items()}
    if not ours == scores["by definition"] == scores["counted once"]:
        raise AssertionError("ours and the peers disagree on a score")
    rate = {name: QUERIES / taken for name, taken in seconds.items()}
    return [
        Result.of_rates(name, rate["ours"], rate[peer], "queries/s", note)
        for name, peer, note in (
            ("scoring", "by definition", "Python sets, counted anew for each label count"),
            ("scoring_counted_once", "counted once", "Python sets, counted once for all label counts"),
        )
    ]


def _as_sets(images: LabelSets) -> list[set[str]]:
    return [set(images.names_at(i)) for i in range(len(images.rows))]


def _named(truth: LabelSets, rng: np.random.Generator) -> LabelSets:
    """Labels that captions name: some of those that the images show, and some others."""
    owner = np.repeat(np.arange(len(truth.rows)), truth.counts)
    other = rng.integers(len(truth.names), size=len(owner))
    cells = [owner * len(truth.names) + labels for labels in (truth.labels, other)]
    picked = [cell[rng.random(len(owner)) < NAMED] for cell in cells]
    query, label = np.divmod(np.unique(np.concatenate(picked)), len(truth.names))
    starts = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=len(truth.rows)))])
    return LabelSets(truth.rows, starts, label.astype(np.int32), truth.names)


def score(
    neighbors: np.ndarray, public: LabelSets, truth: LabelSets, unnamed: LabelSets, named: LabelSets
) -> dict[tuple[str, Count], tuple[np.ndarray, np.ndarray]]:
    """Precision and recall of all queries for each scope and label count, as the workflow computes them."""
    truths = {"all": truth, "unnamed": unnamed}
    found = count_hits(neighbors, public, truths, [K], LABEL_COUNTS, {"unnamed": named})
    return {
        (scope, count): (
            precision(hits.correct[scope], hits.predicted[scope]),
            recall(hits.correct[scope], truths[scope].counts),
        )
        for count, hits in zip(LABEL_COUNTS, found, strict=True)
        for scope in SCOPES
    }


def score_by_definition(
    neighbors: list[list[int]], public: list[set[str]], truth: list[set[str]], named: list[set[str]]
) -> Scores:
    """The scores of all queries, one query, one scope and one label count at a time."""
    return {
        (scope, count): [
            compare(predict([public[i] for i in nearest], count, out), true - out)
            for nearest, true, out in zip(neighbors, truth, _left_out(scope, named), strict=True)
        ]
        for scope, count in CELLS
    }


def score_counted_once(
    neighbors: list[list[int]], public: list[set[str]], truth: list[set[str]], named: list[set[str]]
) -> Scores:
    """The scores of all queries, one query at a time, its labels ranked once for all label counts."""
    scores: Scores = {cell: [] for cell in CELLS}
    for nearest, true, names in zip(neighbors, truth, named, strict=True):
        every = rank_labels([public[i] for i in nearest])
        for scope, out in (("all", set()), ("unnamed", names)):
            ranked = [label for label in every if label not in out]
            for count in LABEL_COUNTS:
                predicted = set(ranked if count == "all" else ranked[:count])
                scores[scope, count].append(compare(predicted, true - out))
    return scores


def _left_out(scope: str, named: list[set[str]]) -> list[set[str]]:
    return named if scope == "unnamed" else [set()] * len(named)


def predict(shown: list[set[str]], count: Count, out: set[str]) -> set[str]:
    """The labels predicted from those that the neighbours show, without those that are left out."""
    if count == "all":
        return set().union(*shown) - out
    return set([label for label in rank_labels(shown) if label not in out][:count])


def rank_labels(shown: list[set[str]]) -> list[str]:
    """Labels by number of neighbours that show them, then by best rank, then by label."""
    times: Counter[str] = Counter()
    best: dict[str, int] = {}
    for rank, labels in enumerate(shown):
        times.update(labels)
        for label in labels:
            best.setdefault(label, rank)
    return sorted(times, key=lambda label: (-times[label], best[label], label))


def compare(predicted: set[str], true: set[str]) -> tuple[float, float]:
    """Precision and recall."""
    correct = len(predicted & true)
    return correct / len(predicted) if predicted else 0.0, correct / len(true) if true else 0.0
