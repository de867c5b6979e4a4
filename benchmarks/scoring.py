"""Counting predicted and correct labels, against Python loops written from the definitions, all on one core.

There are two peers. The first does for each query and each label count what the definition says: count the labels of
the neighbours' sets, rank them, take the first ones, compare with the truth. The second counts and ranks once for each
query and takes all label counts from that.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Literal

import numpy as np

from benchmarks.synthetic import images, topical_neighbors
from benchmarks.timing import Result, best_seconds
from dejavu.memorization.labels import LabelSets
from dejavu.memorization.scores import count_hits, precision, recall
from dejavu.progress import say

QUERIES = 20_000
PUBLIC = 100_000
K = 100
Count = int | Literal["all"]
LABEL_COUNTS: tuple[Count, ...] = (1, 5, 10, "all")
REPEATS = 3

# label count -> precision and recall of every query
Scores = dict[Count, list[tuple[float, float]]]


def measure() -> list[Result]:
    """Scores the same queries in all three ways, and compares their speeds after their results."""
    say(f"[scoring] making {QUERIES:,} queries and {PUBLIC:,} public images")
    rng = np.random.default_rng(0)
    public, public_topics = images(PUBLIC, rng)
    truth, topics = images(QUERIES, rng)
    neighbors = topical_neighbors(topics, public_topics, K, rng)
    as_lists = neighbors.tolist(), _as_sets(public), _as_sets(truth)
    seconds, scores = best_seconds(
        "scoring",
        {
            # a copy has nothing prepared, so what ours prepares is timed too
            "ours": lambda: score(neighbors, dataclasses.replace(public), truth),
            "by definition": lambda: score_by_definition(*as_lists),
            "counted once": lambda: score_counted_once(*as_lists),
        },
        REPEATS,
    )
    ours = {count: list(zip(p, r, strict=True)) for count, (p, r) in zip(LABEL_COUNTS, scores["ours"], strict=True)}
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


def score(neighbors: np.ndarray, public: LabelSets, truth: LabelSets) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each label count precision and recall of all queries, as the workflow computes them."""
    return [
        (precision(hits.correct["all"], hits.predicted), recall(hits.correct["all"], truth.counts))
        for hits in count_hits(neighbors, public, {"all": truth}, [K], LABEL_COUNTS)
    ]


def score_by_definition(neighbors: list[list[int]], public: list[set[str]], truth: list[set[str]]) -> Scores:
    """The scores of all queries, one query and one label count at a time."""
    return {
        count: [
            compare(predict([public[i] for i in nearest], count), true)
            for nearest, true in zip(neighbors, truth, strict=True)
        ]
        for count in LABEL_COUNTS
    }


def score_counted_once(neighbors: list[list[int]], public: list[set[str]], truth: list[set[str]]) -> Scores:
    """The scores of all queries, one query at a time, its labels ranked once for all label counts."""
    scores: Scores = {count: [] for count in LABEL_COUNTS}
    for nearest, true in zip(neighbors, truth, strict=True):
        ranked = rank_labels([public[i] for i in nearest])
        for count in LABEL_COUNTS:
            scores[count].append(compare(set(ranked if count == "all" else ranked[:count]), true))
    return scores


def predict(shown: list[set[str]], count: Count) -> set[str]:
    """The labels predicted from those that the neighbours show."""
    if count == "all":
        return set().union(*shown)
    return set(rank_labels(shown)[:count])


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
