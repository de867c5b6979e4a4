"""A known share of memorized queries, planted in files, comes out as exactly that gap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.errors import InputError
from dejavu.measurement.groups import QueryRoles
from dejavu.measurement.options import Measure, Statistics
from dejavu.measurement.population import summarize
from dejavu.measurement.scoring import ScoredFiles, score_population
from dejavu.memorization import draws
from dejavu.memorization.metrics import KEYS
from dejavu.tables import MANIFEST, NEIGHBORS, OBJECTS, SAMPLES

QUERIES = 8
TABLES = ("population_gaps", "bootstrap_draws", "top_l", "recall_curves")
MEASURE = Measure(k=(1, 2), labels=(1, "all"), score_threshold=0.5, synonyms={})
STATISTICS = Statistics(samplings=20, fraction=0.5, bootstrap=100, counts=(2,), fractions=(0.5,), seed=0)
FILE_OF = {"a": 11, "b": 22, "holdout": 33, "public": 44}
TRAINED = {"a": "a", "b": "b", "holdout": None}


def row_of(role: str, number: int) -> int:
    return FILE_OF[role] << 32 | number


def truth(query: int) -> list[str]:
    """The four objects of a query; its caption names the first."""
    return [f"thing{query}x{i}" for i in range(4)]


@dataclass
class Planted:
    """Everything ``score_population`` and ``summarize`` read, for the given number of memorized queries per role.

    For every query there are two public images: one that shows exactly its objects, and one that shows its first two
    and two wrong ones that come first in the alphabet. Who remembers a query finds the first image, who does not the
    second. The last public image shows nothing and is the second neighbour of all.
    """

    folder: Path
    samples: list[str]
    objects: list[str]

    def manifest(self, role: str) -> Path:
        return self.folder / f"{role}.parquet"

    def neighbors(self, role: str, side: str) -> Path:
        return self.folder / f"neighbors-{role}-{side}.parquet"

    def scores(self, role: str) -> Path:
        return self.folder / f"scores-{role}.parquet"

    def score(self, role: str, measure: Measure = MEASURE) -> int:
        files = ScoredFiles(
            {"caption": (self.neighbors(role, "a"), self.neighbors(role, "b"))},
            self.manifest(role),
            self.manifest("public"),
            self.samples,
            self.objects,
        )
        return score_population(files, self.scores(role), measure=measure, title=f"score {role}")

    def summarize(self) -> dict[str, list[dict]]:
        written = {name: self.folder / f"{name}.parquet" for name in TABLES}
        roles = QueryRoles(
            scores={role: self.scores(role) for role in TRAINED},
            manifests={role: self.manifest(role) for role in TRAINED},
        )
        summarize(roles, written, statistics=STATISTICS, title="population")
        return {name: pq.read_table(path).to_pylist() for name, path in written.items()}

    def gaps(self) -> dict[tuple, dict]:
        for role in TRAINED:
            self.score(role)
        keys = ("population", "k", "labels", "scope", "metric")
        return {tuple(row[key] for key in keys): row for row in self.summarize()["population_gaps"]}


@pytest.fixture
def plant(tmp_path, write_batch):
    def make(memorized: dict[str, int], queries: int = QUERIES, without_objects: int = 2) -> Planted:
        shown: dict[int, list] = {}
        captions: dict[int, str] = {}
        exact, half, empty = {}, {}, row_of("public", 10_000)
        shown[empty], captions[empty] = [], "nothing"
        number = 0
        for role in TRAINED:
            for i in range(queries + without_objects):
                row, labels = row_of(role, i), truth(number)
                captions[row] = f"a {labels[0]} in the fog"
                exact[row], half[row] = row_of("public", 2 * number), row_of("public", 2 * number + 1)
                shown[row] = [(label, 0.9) for label in labels] + [("unsure", 0.4)]
                shown[exact[row]] = [(label, 0.5) for label in labels]
                shown[half[row]] = [(label, 0.9) for label in (*labels[:2], "aaa wrong", "aab wrong")]
                if i >= queries:
                    # neither nothing at all nor an object below the threshold is an object
                    shown[row] = [] if i % 2 else [("unsure", 0.4)]
                number += 1
        captions |= {row: "a public image" for row in shown if row not in captions}
        objects = [
            {"row": row, "objects": [{"label": label, "score": score, "box": None} for label, score in found]}
            for row, found in shown.items()
        ]
        samples = [{"row": row, "uid": str(row), "caption": caption} for row, caption in captions.items()]
        planted = Planted(
            tmp_path,
            [write_batch(tmp_path / "samples", SAMPLES, samples)],
            [write_batch(tmp_path / "objects", OBJECTS, objects)],
        )
        for role in FILE_OF:
            rows = sorted(row for row in shown if row >> 32 == FILE_OF[role])
            records = [{"row": r, "uid": str(r), "group_id": f"g{r}", "position": 0.5} for r in reversed(rows)]
            pq.write_table(pa.Table.from_pylist(records, schema=MANIFEST), planted.manifest(role))
        for role, side in ((role, side) for role in TRAINED for side in "ab"):
            records = []
            for i in range(queries + without_objects):
                row = row_of(role, i)
                remembered = TRAINED[role] == side and i < memorized[role]
                for rank, found in enumerate((exact[row] if remembered else half[row], empty), start=1):
                    records.append({"row": row, "rank": rank, "public_row": found, "similarity": 1 / rank})
            pq.write_table(pa.Table.from_pylist(records, schema=NEIGHBORS), planted.neighbors(role, side))
        return planted

    return make


# Per memorized query, what the side that remembers it has over the other: (precision, recall) each side, by hand.
#   all labels, scope all:      the one predicts its 4 objects (1, 1); the other 2 of 4 right (1/2, 1/2)
#   all labels, scope unnamed:  3 objects count: 3 of 3 right (1, 1) against 1 of 3 right (1/3, 1/3)
#   first label, scope all:     its first object (1, 1/4) against 'aaa wrong' (0, 0)
#   first label, scope unnamed: its first object is named in the caption, the second is right (1, 1/3) against (0, 0)
GAINED = {
    ("all", "all"): ((1, 1), (1 / 2, 1 / 2)),
    ("all", "unnamed"): ((1, 1), (1 / 3, 1 / 3)),
    ("1", "all"): ((1, 1 / 4), (0, 0)),
    ("1", "unnamed"): ((1, 1 / 3), (0, 0)),
}


@pytest.mark.parametrize("on_a, on_b", [(3, 2), (8, 8), (0, 5), (1, 0)])
def test_the_written_gaps_are_exactly_the_planted_share(plant, on_a, on_b):
    gaps = plant({"a": on_a, "b": on_b, "holdout": 0}).gaps()
    assert len(gaps) == 7 * 2 * 2 * 2 * len(KEYS)
    for k in (1, 2):
        for (labels, scope), ((p, r), (p_other, r_other)) in GAINED.items():
            unit = {"ppg": float(p > p_other), "prg": float(r > r_other), "aucg": r - r_other}
            for metric, gain in unit.items():
                want = {
                    "a": on_a / QUERIES * gain,
                    "b": -on_b / QUERIES * gain,
                    "holdout": 0.0,
                    "symmetric": (on_a + on_b) / (2 * QUERIES) * gain,
                    "memory_a": on_a / QUERIES * gain,
                    "memory_b": on_b / QUERIES * gain,
                    "placebo": 0.0,
                }
                got = {population: gaps[population, k, labels, scope, metric]["value"] for population in want}
                assert got == pytest.approx(want, abs=1e-12), (k, labels, scope, metric)


def binned_area(recalls: list[float]) -> float:
    counts, edges = np.histogram(recalls, bins=100)
    heights = [1.0, *(sum(counts[i:]) / len(recalls) for i in range(100)), 0.0]
    points = [0.0, *edges, 1.0]
    return sum(height * (right - left) for height, (left, right) in zip(heights, pairwise(points), strict=True))


def test_the_binned_gap_is_that_of_the_released_code(plant):
    gaps = plant({"a": 3, "b": 2, "holdout": 0}).gaps()
    forgotten = binned_area([1 / 2] * QUERIES)
    on_a = binned_area([1.0] * 3 + [1 / 2] * 5) - forgotten
    on_b = forgotten - binned_area([1.0] * 2 + [1 / 2] * 6)
    got = {p: gaps[p, 1, "all", "all", "aucg_binned"]["value"] for p in ("a", "b", "holdout", "symmetric")}
    assert got == pytest.approx({"a": on_a, "b": on_b, "holdout": 0.0, "symmetric": (on_a - on_b) / 2}, abs=1e-9)


def test_identical_sides_have_gaps_of_exactly_zero_and_no_small_p_value(plant):
    gaps = plant({"a": 0, "b": 0, "holdout": 0}).gaps()
    for row in gaps.values():
        assert [row[c] for c in ("value", "mean", "std", "ci_low", "ci_high")] == [0.0] * 5
        assert row["p_value"] == 1.0


def test_a_planted_effect_is_significant_and_the_null_is_not(plant):
    gaps = plant({"a": 40, "b": 40, "holdout": 0}, queries=60).gaps()
    p = {population: gaps[population, 1, "all", "all", "aucg"]["p_value"] for population in (*TRAINED, "symmetric")}
    assert p == pytest.approx({"a": 1 / 101, "b": 1 / 101, "holdout": 1.0, "symmetric": 1 / 101})
    row = gaps["symmetric", 1, "all", "all", "aucg"]
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["ci_low"] > 0.2


def test_queries_without_objects_are_left_out_and_counted(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0}, without_objects=4)
    assert planted.score("a") == QUERIES
    scored = pq.read_table(planted.scores("a")).to_pylist()
    assert {row["row"] for row in scored} == {row_of("a", i) for i in range(QUERIES)}
    gaps = planted.gaps()
    assert {gaps[p, 1, "all", "all", "ppg"]["n"] for p in TRAINED} == {QUERIES}
    assert gaps["symmetric", 1, "all", "all", "ppg"]["n"] == 2 * QUERIES


def test_a_query_whose_objects_are_all_named_is_left_out_of_the_unnamed_alone(plant, write_batch):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    captions = {row_of("a", i): " ".join(truth(i)) if i == 0 else "fog" for i in range(QUERIES + 2)}
    write_batch(
        planted.folder / "samples", SAMPLES, [{"row": r, "uid": "x", "caption": c} for r, c in captions.items()]
    )
    planted.score("a")
    scored = pq.read_table(planted.scores("a")).to_pylist()
    rows = {scope: {row["row"] for row in scored if row["scope"] == scope} for scope in ("all", "unnamed")}
    assert rows["all"] - rows["unnamed"] == {row_of("a", 0)}


def test_per_sample_scores_are_those_of_the_hand(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    planted.score("a")
    for row in pq.read_table(planted.scores("a")).to_pylist():
        (p, r), (p_other, r_other) = GAINED[row["labels"], row["scope"]]
        if row["row"] not in {row_of("a", i) for i in range(3)}:
            p, r = p_other, r_other
        got = [row[c] for c in ("precision_a", "recall_a", "precision_b", "recall_b")]
        assert got == pytest.approx([p, r, p_other, r_other], abs=1e-12)
        assert row["objects_n"] == {"all": 4, "unnamed": 3}[row["scope"]]
        assert row["nearest_a"] == row["nearest_b"] == 1.0


def test_the_queries_with_the_largest_gap_are_those_that_were_planted(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    for role in TRAINED:
        planted.score(role)
    top = planted.summarize()["top_l"]
    cell = {"k": 1, "labels": "all", "scope": "all", "sort": "gap"}
    found = [row for row in top if all(row[key] == value for key, value in cell.items())]
    gap = {(row["population"], row["unit"], row["l"]): row["recall_gap"] for row in found}
    assert gap["a", "count", 2] == pytest.approx(1 / 2)  # both planted
    assert gap["a", "fraction", 0.5] == pytest.approx(3 / 4 * 1 / 2)  # 3 of the first 4
    assert gap["b", "fraction", 0.5] == pytest.approx(-2 / 4 * 1 / 2)
    assert gap["holdout", "fraction", 0.5] == 0.0
    assert gap["symmetric", "fraction", 0.5] == pytest.approx(5 / 16)
    assert gap["holdout_symmetric", "fraction", 0.5] == 0.0


def test_the_f1_of_means_and_the_mean_f1_of_top_queries_are_told_apart(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    for role in TRAINED:
        planted.score(role)
    cell = {"population": "a", "k": 1, "labels": "all", "scope": "all", "sort": "gap", "unit": "count", "l": 2}
    (row,) = [r for r in planted.summarize()["top_l"] if all(r[key] == value for key, value in cell.items())]
    (p, r), (p_other, r_other) = GAINED["all", "all"]
    own, other = 2 * p * r / (p + r), 2 * p_other * r_other / (p_other + r_other)
    assert row["mean_f1_gap"] == pytest.approx(own - other, abs=1e-12)
    assert row["f1_gap"] == pytest.approx(
        2 * p * r / (p + r + 1e-5) - 2 * p_other * r_other / (p_other + r_other + 1e-5), abs=1e-12
    )


def test_the_holdout_s_top_curve_for_symmetric_lets_either_side_choose(plant):
    planted = plant({"a": 0, "b": 0, "holdout": 0})
    lucky = {row_of("holdout", i) for i in range(3)}  # side b finds the image with all objects, one row before
    rewrite(
        planted.neighbors("holdout", "b"),
        lambda rows: [{**r, "public_row": r["public_row"] - (r["row"] in lucky and r["rank"] == 1)} for r in rows],
    )
    for role in TRAINED:
        planted.score(role)
    cell = {"k": 1, "labels": "all", "scope": "all", "sort": "gap", "unit": "count", "l": 2}
    rows = [row for row in planted.summarize()["top_l"] if all(row[key] == value for key, value in cell.items())]
    gap = {row["population"]: row["recall_gap"] for row in rows}
    assert gap["holdout"] == 0.0  # chosen by side a: none of the three
    assert gap["holdout_symmetric"] == pytest.approx(1 / 4)  # chosen by side b: two of them, so (0 - (-1/2)) / 2


def test_a_count_takes_as_large_a_share_of_the_holdout_as_of_the_training_role(plant):
    planted = plant({"a": 0, "b": 0, "holdout": 0})
    lucky = {row_of("holdout", i) for i in range(3)}  # side a finds the image with all objects
    rewrite(
        planted.neighbors("holdout", "a"),
        lambda rows: [{**r, "public_row": r["public_row"] - (r["row"] in lucky and r["rank"] == 1)} for r in rows],
    )
    for role in "ab":  # half as many queries as the holdout
        few = {row_of(role, i) for i in range(QUERIES // 2)}
        for path in (planted.manifest(role), planted.neighbors(role, "a"), planted.neighbors(role, "b")):
            rewrite(path, lambda rows, few=few: [r for r in rows if r["row"] in few])
    for role in TRAINED:
        planted.score(role)
    cell = {"k": 1, "labels": "all", "scope": "all", "sort": "gap", "unit": "count", "population": "holdout"}
    rows = [row for row in planted.summarize()["top_l"] if all(row[key] == value for key, value in cell.items())]
    # 2 of 4 are half, so 4 of the 8: three that are lucky and one that is not
    assert {row["l"]: row["recall_gap"] for row in rows}[2] == pytest.approx(3 / 4 * 1 / 2)


def test_groups_of_many_blocks_give_the_numbers_of_one_but_for_draws(plant, monkeypatch):
    planted = plant({"a": 3, "b": 2, "holdout": 1})
    for role in TRAINED:
        planted.score(role)
    at_once = planted.summarize()
    monkeypatch.setattr(draws, "GROUPS_PER_BLOCK", 3)
    in_blocks = planted.summarize()
    assert in_blocks["recall_curves"] == at_once["recall_curves"]
    drawn = (
        "mean",
        "std",
        "ci_low",
        "ci_high",
        "p_value",
        "p_joint",
        "detectable",
        "recall_gap_low",
        "recall_gap_high",
    )
    for table in ("population_gaps", "top_l"):
        for row, other in zip(in_blocks[table], at_once[table], strict=True):
            for name in set(row) - set(drawn):
                assert row[name] == (pytest.approx(other[name], abs=1e-12) if name == "value" else other[name]), name
    assert in_blocks["bootstrap_draws"] != at_once["bootstrap_draws"]
    symmetric = [row for row in in_blocks["population_gaps"] if row["population"] == "symmetric"]
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] and 0 < row["p_value"] <= 1 for row in symmetric)
    assert not list(planted.folder.glob(".*")), "a temporary folder is left"


def test_recall_curves_hold_the_share_that_was_planted(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    for role in TRAINED:
        planted.score(role)
    cell = {"k": 1, "labels": "all", "scope": "all", "population": "a"}
    rows = [r for r in planted.summarize()["recall_curves"] if all(r[key] == value for key, value in cell.items())]
    curve = {(row["side"], row["recall"]): row["share_at_least"] for row in rows}
    assert curve == {("a", 0.5): 1.0, ("a", 1.0): 3 / 8, ("b", 0.5): 1.0}


def rewrite(path: Path, change) -> None:
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), path)


def test_a_neighbour_outside_the_public_manifest_is_refused_naming_the_file(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    path = planted.neighbors("a", "b")
    rewrite(path, lambda rows: [*rows[:-1], {**rows[-1], "public_row": row_of("a", 1)}])
    with pytest.raises(InputError) as error:
        planted.score("a")
    assert str(path) in str(error.value)
    assert str(row_of("a", 1)) in str(error.value)
    assert not planted.scores("a").exists()


def test_sides_searched_with_different_queries_are_refused_naming_the_file(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    path = planted.neighbors("a", "b")
    rewrite(path, lambda rows: rows[2:])
    with pytest.raises(InputError) as error:
        planted.score("a")
    assert str(path) in str(error.value)


def test_a_query_with_fewer_neighbours_than_the_others_is_refused_naming_the_file(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    path = planted.neighbors("a", "a")
    rewrite(path, lambda rows: rows[:-1])
    with pytest.raises(InputError) as error:
        planted.score("a")
    assert str(path) in str(error.value)


def test_more_neighbours_than_were_searched_is_refused_with_a_remedy(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    with pytest.raises(InputError, match="measure.k asks for 3 .* lower k"):
        planted.score("a", Measure(k=(3,), labels=("all",), score_threshold=0.5, synonyms={}))


def test_a_sample_without_a_row_in_the_objects_is_refused_naming_the_file(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    path = planted.folder / "objects" / f"{FILE_OF['a']:08x}.parquet"
    rewrite(path, lambda rows: rows[1:])
    with pytest.raises(InputError) as error:
        planted.score("a")
    assert str(path) in str(error.value)


def test_scores_of_queries_that_the_manifest_lacks_are_refused(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    for role in TRAINED:
        planted.score(role)
    rewrite(planted.manifest("a"), lambda rows: [row for row in rows if row["row"] != row_of("a", 4)])
    with pytest.raises(InputError):
        planted.summarize()


def test_the_same_files_give_the_same_tables(plant):
    planted = plant({"a": 3, "b": 2, "holdout": 0})
    for role in TRAINED:
        planted.score(role)
    assert planted.summarize() == planted.summarize()
