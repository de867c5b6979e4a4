"""Per-sample scores against a slow reading of their definitions with sets, in memory and through files."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejavu.errors import InputError
from dejavu.measurement import scoring
from dejavu.measurement.options import Measure
from dejavu.measurement.scoring import ScoredFiles, score_population
from dejavu.measurement.shown_labels import normal_objects
from dejavu.memorization import labels as label_module
from dejavu.memorization import scores
from dejavu.memorization.labels import label_sets
from dejavu.memorization.scores import count_hits, f1, precision, recall
from dejavu.tables import MANIFEST, NEIGHBORS, OBJECTS, SAMPLES

VOCABULARY = ["apple", "ball", "car", "dog", "egg", "fox"]
LABEL_COUNTS = [1, 2, 5, "all"]


def ranked(shown: list[set[str]]) -> list[str]:
    """Labels by number of neighbours that show them, then best rank, then alphabetically."""

    def order(label: str) -> tuple:
        ranks = [rank for rank, labels in enumerate(shown) if label in labels]
        return -len(ranks), ranks[0], label

    return sorted(set().union(*shown), key=order)


def expected(
    public: list[set[str]], neighbors: list[int], truth: set[str], k: int, count: int | str, named: set[str]
) -> dict:
    """What one query scores in one cell, from the definitions of precision, recall and F1."""
    labels = [label for label in ranked([public[i] for i in neighbors[:k]]) if label not in named]
    predicted = set(labels if count == "all" else labels[:count])
    correct = len(predicted & truth)
    p = correct / len(predicted) if predicted else 0.0
    r = correct / len(truth) if truth else 0.0
    f = 2 * correct / (len(predicted) + len(truth)) if correct else 0.0
    return {"predicted": len(predicted), "correct": correct, "precision": p, "recall": r, "f1": f}


def check(public: list[set[str]], queries: list[dict], ks: list[int], vocabulary: list[str]) -> None:
    """Compares every cell, scope and query with the oracle; a query has ``neighbors``, ``all``, ``named``."""
    sets = label_sets(range(len(public)), public, vocabulary)
    truths = {
        "all": label_sets(range(len(queries)), [query["all"] for query in queries], vocabulary),
        "unnamed": label_sets(range(len(queries)), [query["all"] - query["named"] for query in queries], vocabulary),
    }
    named = label_sets(range(len(queries)), [query["named"] for query in queries], vocabulary)
    neighbors = np.array([query["neighbors"] for query in queries], dtype=np.int64)
    found = count_hits(neighbors, sets, truths, ks, LABEL_COUNTS, {"unnamed": named})
    assert [(hits.k, hits.labels) for hits in found] == [(k, str(c)) for k in sorted(set(ks)) for c in LABEL_COUNTS]
    for hits in found:
        count = "all" if hits.labels == "all" else int(hits.labels)
        for scope in truths:
            p = precision(hits.correct[scope], hits.predicted[scope])
            r = recall(hits.correct[scope], truths[scope].counts)
            f = f1(p, r)
            for i, query in enumerate(queries):
                out = query["named"] if scope == "unnamed" else set()
                want = expected(public, query["neighbors"], query["all"] - out, hits.k, count, out)
                got = {
                    "predicted": hits.predicted[scope][i],
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
        asked.append({"neighbors": neighbors, "all": true, "named": {x for x in VOCABULARY if rng.random() < 0.4}})
    return shown, asked


@st.composite
def cases(draw) -> tuple[list[set[str]], list[dict], list[int]]:
    label_set = st.sets(st.sampled_from(VOCABULARY))
    public = draw(st.lists(label_set, min_size=1, max_size=7))
    queries = []
    for _ in range(draw(st.integers(1, 5))):
        true = draw(label_set)
        neighbors = draw(st.permutations(range(len(public))))
        queries.append({"neighbors": neighbors, "all": true, "named": draw(label_set)})
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
    check([set(), set()], [{"neighbors": [1, 0], "all": {"dog"}, "named": set()}], [1, 2], VOCABULARY)


def test_a_single_true_object_has_recall_zero_or_one():
    public = [{"dog"}, {"car", "egg"}]
    queries = [{"neighbors": n, "all": {"dog"}, "named": {"car"}} for n in ([0, 1], [1, 0])]
    check(public, queries, [1, 2], VOCABULARY)


def test_no_label_anywhere_is_no_error():
    check([set(), set()], [{"neighbors": [0, 1], "all": set(), "named": set()}], [1, 2], [])


def test_the_same_k_asked_twice_is_one_cell():
    public, queries = random_case(1, 4, 3)
    check(public, queries, [2, 2, 1], VOCABULARY)


@pytest.mark.parametrize("cells", [1, 97, 1000])
def test_splitting_the_queries_into_blocks_changes_nothing(cells, monkeypatch):
    monkeypatch.setattr(scores, "CELLS_PER_BLOCK", cells)
    public, queries = random_case(2, 9, 60)
    check(public, queries, [1, 4, 9], VOCABULARY)


@pytest.mark.parametrize("cost", [0, 1, 1_000_000])
def test_images_with_unequal_numbers_of_labels_are_all_counted(cost, monkeypatch):
    # from no label in the table of first labels to every one
    monkeypatch.setattr(label_module, "COST_BEYOND", cost)
    public, queries = random_case(3, 12, 40)
    check(public, queries, [1, 5, 12], VOCABULARY)


def test_an_image_with_thousands_of_labels_is_counted_and_widens_nothing():
    vocabulary = [f"label{i:04d}" for i in range(5_000)]
    rng = random.Random(4)
    public = [set(vocabulary), *(set(rng.sample(vocabulary, 3)) for _ in range(20))]
    queries = []
    for _ in range(4):
        true = set(rng.sample(vocabulary, 6))
        queries.append({"neighbors": rng.sample(range(21), 21), "all": true, "named": set()})
    check(public, queries, [1, 21], vocabulary)
    head, tail = label_sets(range(len(public)), public, vocabulary).head_and_tail
    assert head.shape[1] == 3
    assert tail.counts.tolist() == [4_997, *[0] * 20]


def test_more_ranked_labels_than_there_are_labels_is_all_of_them():
    assert predicted_first([["ant"], ["bee"]], 50) == {"ant", "bee"}


@dataclass
class Scored:
    """The files of one population: ``width`` neighbours of each query, whose labels a caption may name."""

    folder: Path
    samples: str
    objects: str
    rows: list[int]
    public: list[set[str]]
    queries: list[dict]

    def neighbors(self, side: str) -> Path:
        return self.folder / f"neighbors-{side}.parquet"

    def change(self, side: str, change: Callable[[list[dict]], list[dict]]) -> None:
        rows = change(pq.read_table(self.neighbors(side)).to_pylist())
        # a row group ends in the middle of a query
        pq.write_table(pa.Table.from_pylist(rows, schema=NEIGHBORS), self.neighbors(side), row_group_size=7)

    @property
    def scores(self) -> Path:
        return self.folder / "scores.parquet"

    def score(self, ks: tuple[int, ...] = (1, 3)) -> list[dict]:
        files = ScoredFiles(
            {"caption": (self.neighbors("a"), self.neighbors("b"))},
            self.folder / "queries.parquet",
            self.folder / "public.parquet",
            [self.samples],
            [self.objects],
        )
        measure = Measure(k=ks, labels=(1, 2, "all"), score_threshold=0.5, synonyms={})
        score_population(files, self.scores, measure=measure, title="score")
        return pq.read_table(self.scores).to_pylist()


@pytest.fixture
def population(tmp_path, write_batch) -> Scored:
    public, queries = random_case(5, 6, 25)
    public_rows = [1 << 32 | i for i in range(len(public))]
    rows = [2 << 32 | i for i in range(len(queries))]
    objects = [
        {"row": row, "objects": [{"label": label, "score": 0.9, "box": None} for label in sorted(found)]}
        for row, found in zip(public_rows + rows, public + [query["all"] for query in queries], strict=True)
    ]
    captions = [" ".join(["seen", *sorted(query["named"])]) for query in queries]
    samples = [{"row": row, "uid": "x", "caption": text} for row, text in zip(rows, captions, strict=True)]
    found = Scored(
        tmp_path,
        write_batch(tmp_path / "samples", SAMPLES, samples),
        write_batch(tmp_path / "objects", OBJECTS, objects),
        rows,
        public,
        queries,
    )
    for name, of_role in (("public", public_rows), ("queries", rows)):
        manifest = [{"row": row, "uid": "x", "group_id": "g", "position": 0.5} for row in of_role]
        pq.write_table(pa.Table.from_pylist(manifest, schema=MANIFEST), tmp_path / f"{name}.parquet")
    for side in "ab":
        records = [
            {"row": row, "rank": rank, "public_row": public_rows[image], "similarity": 1 / rank}
            for row, query in zip(rows, queries, strict=True)
            for rank, image in enumerate(query["neighbors"][:: 1 if side == "a" else -1][:4], start=1)
        ]
        pq.write_table(pa.Table.from_pylist([], schema=NEIGHBORS), found.neighbors(side))
        found.change(side, lambda _, records=records: records)
    return found


def by_cell(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (row["k"], row["labels"], row["scope"], row["row"]))


def test_scores_through_files_equal_their_definitions(population):
    written = population.score()
    assert len(written) == 2 * 3 * sum(bool(q["all"]) + bool(q["all"] - q["named"]) for q in population.queries)
    for row in written:
        query = population.queries[population.rows.index(row["row"])]
        count = row["labels"] if row["labels"] == "all" else int(row["labels"])
        for side, order in (("a", 1), ("b", -1)):
            out = query["named"] if row["scope"] == "unnamed" else set()
            nearest = query["neighbors"][::order]
            want = expected(population.public, nearest, query["all"] - out, row["k"], count, out)
            assert row["objects_n"] == len(query["all"] - out)
            for name in ("precision", "recall", "f1", "correct"):
                assert row[f"{name}_{side}"] == pytest.approx(want[name], abs=1e-12)


@pytest.mark.parametrize("queries", [1, 4, 24])
def test_scoring_block_by_block_gives_the_same_rows_as_at_once(population, queries, monkeypatch):
    at_once = population.score()
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", queries)
    assert by_cell(population.score()) == by_cell(at_once)


def test_fewer_neighbours_in_a_block_than_a_query_has_still_makes_whole_queries(population, monkeypatch):
    at_once = population.score()
    monkeypatch.setattr(scoring, "NEIGHBORS_PER_BLOCK", 3)
    assert by_cell(population.score()) == by_cell(at_once)


def test_sides_with_unequal_numbers_of_neighbours_are_scored_block_by_block(population, monkeypatch):
    at_once = population.score()
    population.change("b", lambda rows: [row for row in rows if row["rank"] <= 3])
    monkeypatch.setattr(scoring, "NEIGHBORS_PER_BLOCK", 24)
    assert by_cell(population.score()) == by_cell(at_once)


def test_a_row_group_of_the_scores_holds_one_cell(population, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", 10)
    population.score()
    cells = []
    with pq.ParquetFile(population.scores) as file:
        for group in range(file.num_row_groups):
            columns = [file.metadata.row_group(group).column(i).statistics for i in range(4)]
            assert all(column.min == column.max for column in columns)
            cells.append(tuple(column.min for column in columns))
    assert len(cells) == 3 * len(set(cells)) == 3 * 2 * 3 * 2


SMALL_BLOCKS = pytest.mark.parametrize("queries", [3, 100])


def refusal(population: Scored) -> str:
    with pytest.raises(InputError) as error:
        population.score()
    assert not population.scores.exists()
    return str(error.value)


def swapped(rows: list[dict], one: int, other: int) -> list[dict]:
    rows[one], rows[other] = rows[other], rows[one]
    return rows


@SMALL_BLOCKS
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: swapped(rows, 81, 82),
        lambda rows: swapped(rows, 79, 80),
        lambda rows: rows[40:] + rows[:40],
        lambda rows: rows[::-1],
    ],
    ids=["ranks of a query", "neighbours of two queries", "halves", "all"],
)
def test_neighbours_out_of_order_are_refused_naming_the_file(population, change, queries, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", queries)
    population.change("b", change)
    assert refusal(population).startswith(f"{population.neighbors('b')} is not in the order of its queries and ranks")


@SMALL_BLOCKS
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[:81] + rows[82:],
        lambda rows: [*rows[:82], {**rows[82], "rank": 2}, *rows[83:]],
        lambda rows: [*rows[:83], {**rows[83], "row": rows[84]["row"]}, *rows[84:]],
    ],
    ids=["last missing", "one missing", "twice", "another query's"],
)
def test_unequal_ranks_are_refused_wherever_they_are(population, change, queries, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", queries)
    population.change("a", change)
    message = refusal(population)
    assert str(population.neighbors("a")) in message
    assert "does not hold the same ranks for every query" in message or "is not in the order" in message


@SMALL_BLOCKS
@pytest.mark.parametrize("keep", [slice(4, None), slice(0, -4)], ids=["first missing", "last missing"])
def test_queries_that_were_not_searched_are_refused_with_their_number(population, keep, queries, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", queries)
    population.change("b", lambda rows: rows[keep])
    message = refusal(population)
    assert f"{population.neighbors('b')} and {population.folder / 'queries.parquet'}: 0 rows are only in" in message
    assert "and 1 only in the second" in message


@SMALL_BLOCKS
def test_a_query_that_the_manifest_lacks_is_refused_with_their_number(population, queries, monkeypatch):
    monkeypatch.setattr(scoring, "QUERIES_PER_BLOCK", queries)
    added = population.rows[-1] + 1
    population.change("a", lambda rows: rows + [{**row, "row": added} for row in rows[-4:]])
    assert "1 rows are only in the first and 0 only in the second" in refusal(population)


def test_a_damaged_neighbour_file_is_refused_with_a_remedy(population):
    content = population.neighbors("a").read_bytes()
    population.neighbors("a").write_bytes(content[: len(content) // 2])
    assert f"{population.neighbors('a')} cannot be read" in refusal(population)


def test_objects_below_the_threshold_without_a_label_or_absent_are_left_out(tmp_path, write_batch):
    def thing(label: str | None, score: float) -> dict:
        return {"label": label, "score": score, "box": None}

    shown = [
        [thing("Dogs", 0.9), thing("dog", 0.7), thing("car", 0.2)],
        None,
        [],
        [thing("", 0.9), thing(None, 0.9), thing("egg", 0.75)],
    ]
    folder = write_batch(tmp_path / "objects", OBJECTS, [{"row": 9 + i, "objects": o} for i, o in enumerate(shown)])
    rows = np.array([12, 9, 10, 11])
    found = list(normal_objects([folder], rows, 0.7, label_module.Normalizer()))
    # 0.7 as a float32 is a little less than 0.7
    assert found == [(9, ["dog"]), (10, []), (11, []), (12, ["egg"])]
