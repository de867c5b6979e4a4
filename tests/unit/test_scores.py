"""Per-sample scores against a slow reading of their definitions with sets."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejavu.memorization import scores
from dejavu.memorization.labels import label_sets
from dejavu.memorization.scores import count_hits, f1, precision, recall

VOCABULARY = ["apple", "ball", "car", "dog", "egg", "fox"]
LABEL_COUNTS = [1, 2, 5, "all"]


def ranked(shown: list[set[str]]) -> list[str]:
    """Labels by number of neighbours that show them, then best rank, then alphabetically."""

    def order(label: str) -> tuple:
        ranks = [rank for rank, labels in enumerate(shown) if label in labels]
        return -len(ranks), ranks[0], label

    return sorted(set().union(*shown), key=order)


def expected(public: list[set[str]], neighbors: list[int], truth: set[str], k: int, count: int | str) -> dict:
    """What one query scores in one cell, from the definitions of precision, recall and F1."""
    labels = ranked([public[i] for i in neighbors[:k]])
    predicted = set(labels if count == "all" else labels[:count])
    correct = len(predicted & truth)
    p = correct / len(predicted) if predicted else 0.0
    r = correct / len(truth) if truth else 0.0
    f = 2 * correct / (len(predicted) + len(truth)) if correct else 0.0
    return {"predicted": len(predicted), "correct": correct, "precision": p, "recall": r, "f1": f}


def check(public: list[set[str]], queries: list[dict], ks: list[int], vocabulary: list[str]) -> None:
    """Compares every cell, scope and query with the oracle; a query has ``neighbors``, ``all`` and ``unnamed``."""
    sets = label_sets(range(len(public)), public, vocabulary)
    truths = {
        scope: label_sets(range(len(queries)), [query[scope] for query in queries], vocabulary)
        for scope in ("all", "unnamed")
    }
    neighbors = np.array([query["neighbors"] for query in queries], dtype=np.int64)
    found = count_hits(neighbors, sets, truths, ks, LABEL_COUNTS)
    assert [(hits.k, hits.labels) for hits in found] == [(k, str(c)) for k in sorted(set(ks)) for c in LABEL_COUNTS]
    for hits in found:
        count = "all" if hits.labels == "all" else int(hits.labels)
        for scope in truths:
            p = precision(hits.correct[scope], hits.predicted)
            r = recall(hits.correct[scope], truths[scope].counts)
            f = f1(p, r)
            for i, query in enumerate(queries):
                want = expected(public, query["neighbors"], query[scope], hits.k, count)
                got = {
                    "predicted": hits.predicted[i],
                    "correct": hits.correct[scope][i],
                    "precision": p[i],
                    "recall": r[i],
                    "f1": pytest.approx(f[i], abs=1e-12),
                }
                assert want == got, (hits.k, hits.labels, scope, query)


def random_case(seed: int, public: int, queries: int) -> tuple[list[set[str]], list[dict]]:
    rng = random.Random(seed)
    shown = [set(rng.sample(VOCABULARY, rng.randint(0, 4))) for _ in range(public)]
    asked = []
    for _ in range(queries):
        true = set(rng.sample(VOCABULARY, rng.randint(0, 5)))
        neighbors = rng.sample(range(public), public)
        asked.append({"neighbors": neighbors, "all": true, "unnamed": {x for x in true if rng.random() < 0.5}})
    return shown, asked


@st.composite
def cases(draw) -> tuple[list[set[str]], list[dict], list[int]]:
    label_set = st.sets(st.sampled_from(VOCABULARY))
    public = draw(st.lists(label_set, min_size=1, max_size=7))
    queries = []
    for _ in range(draw(st.integers(1, 5))):
        true = draw(label_set)
        unnamed = draw(st.sets(st.sampled_from(sorted(true)))) if true else set()
        neighbors = draw(st.permutations(range(len(public))))
        queries.append({"neighbors": neighbors, "all": true, "unnamed": unnamed})
    ks = sorted({1, len(public), draw(st.integers(1, len(public)))})
    return public, queries, ks


@settings(max_examples=150, deadline=None)
@given(cases())
def test_scores_equal_their_definitions_for_any_labels_and_neighbours(case):
    public, queries, ks = case
    check(public, queries, ks, VOCABULARY)


def predicted_first(public: list[list[str]], count: int) -> set[str]:
    """The labels that the first ``count`` ranks hold, found by asking for each label of the vocabulary alone."""
    names = sorted({label for shown in public for label in shown})
    sets = label_sets(range(len(public)), public, names)
    neighbors = np.arange(len(public))[None, :]
    found = set()
    for name in names:
        truth = {"all": label_sets([0], [[name]], names)}
        (hits,) = count_hits(neighbors, sets, truth, [len(public)], [count])
        if hits.correct["all"][0]:
            found.add(name)
    return found


def test_ranked_labels_come_by_number_of_neighbours_that_show_them():
    assert predicted_first([["ant"], ["zebra"], ["zebra"]], 1) == {"zebra"}


def test_ranked_labels_break_ties_by_best_rank_then_by_label():
    public = [["zebra"], ["bee", "ant"], ["bee", "ant"], ["zebra"]]
    assert predicted_first(public, 1) == {"zebra"}
    assert predicted_first(public, 2) == {"zebra", "ant"}


def test_a_label_that_an_image_shows_twice_counts_once():
    assert predicted_first([["ant"], ["bee", "bee"], ["ant"]], 1) == {"ant"}


def test_nothing_predicted_scores_zero_and_not_nan():
    check([set(), set()], [{"neighbors": [1, 0], "all": {"dog"}, "unnamed": set()}], [1, 2], VOCABULARY)


def test_a_single_true_object_has_recall_zero_or_one():
    public = [{"dog"}, {"car", "egg"}]
    queries = [{"neighbors": n, "all": {"dog"}, "unnamed": {"dog"}} for n in ([0, 1], [1, 0])]
    check(public, queries, [1, 2], VOCABULARY)


def test_no_label_anywhere_is_no_error():
    check([set(), set()], [{"neighbors": [0, 1], "all": set(), "unnamed": set()}], [1, 2], [])


def test_the_same_k_asked_twice_is_one_cell():
    public, queries = random_case(1, 4, 3)
    check(public, queries, [2, 2, 1], VOCABULARY)


@pytest.mark.parametrize("cells", [1, 97, 1000])
def test_splitting_the_queries_into_blocks_changes_nothing(cells, monkeypatch):
    monkeypatch.setattr(scores, "CELLS_PER_BLOCK", cells)
    public, queries = random_case(2, 9, 60)
    check(public, queries, [1, 4, 9], VOCABULARY)
