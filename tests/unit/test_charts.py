"""Figures of the page: their numbers against another computation, and names of strangers in them."""

import xml.etree.ElementTree as ET
from collections import defaultdict

import numpy as np
import pytest
from tests.harness.databases import write_database
from tests.harness.project import ROOT

from dejavu.report.charts.by_query import by_query
from dejavu.report.charts.epochs import epochs
from dejavu.report.charts.recall_by_object import MOST, recall_by_object
from dejavu.report.charts.recall_differences import recall_differences
from dejavu.report.queries import Queries

K = 10
OBJECTS = [f"thing {i}" for i in range(25)] + ["<script>alert('1')</script>"]
MODELS = {"two": "trained", "one": "text_encoder"}
ROLES = ("a", "b", "holdout")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A database of scores and neighbours that nobody computed, with duplicate groups; the rows it was made of."""
    rng = np.random.default_rng(0)

    def some(most):
        return [OBJECTS[i] for i in rng.choice(len(OBJECTS), rng.integers(0, most), replace=False)]

    samples, row = [], 0
    for role in (*ROLES, "public"):
        for _ in range(60):
            group = f"{role} {rng.integers(40)}"
            samples.append({"row": row, "role": role, "uid": str(row), "objects": some(6), "group_id": group})
            row += 1
    asked = [sample for sample in samples if sample["role"] != "public"]
    cell = {"query": "caption", "k": K, "labels": "all", "scope": "all"}
    neighbors, scores, gaps, sides = [], [], [], []
    for model, kind in MODELS.items():
        sides += [{"model": model, "side": "a", "kind": "trained"}, {"model": model, "side": "b", "kind": kind}]
        for epoch in (1, 2):
            for number, query in enumerate(("caption", "rare")):
                place = {"model": model, "epoch": epoch, **cell, "query": query, "metric": "ppg"}
                gaps += [
                    {**place, "population": role, "value": 0.1 * epoch + 0.01 * number, "ci_low": 0.0, "ci_high": 0.3}
                    for role in ("symmetric", "holdout", "unseen")
                ]
            for sample in asked:
                place = {"model": model, "epoch": epoch, "population": sample["role"], "row": sample["row"]}
                # a sample without objects has no recall
                recalls = rng.choice([0, 0.1, 0.3, 0.6, 0.7, 1], 2).tolist() if sample["objects"] else [None, None]
                scores.append({**place, **cell, "recall_a": recalls[0], "recall_b": recalls[1]})
                for side in "ab":
                    near = rng.choice(np.arange(180, 240), K + 1, replace=False)
                    neighbors += [
                        {**place, "query": "caption", "side": side, "rank": rank, "public_row": public}
                        for rank, public in enumerate(near.tolist(), 1)
                    ]
    tables = {"samples": samples, "neighbors": neighbors, "sample_scores": scores, "sides": sides}
    path = tmp_path_factory.mktemp("charts") / "planted.duckdb"
    write_database(path, tables | {"population_gaps": gaps})
    return Queries(path, ROOT / "workflow" / "sql"), tables


def interval(values, groups, reach):
    """Mean of values and the ends of an interval over their groups."""
    totals = defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        totals[group] += value - np.mean(values)
    error = np.sqrt(sum(t**2 for t in totals.values()) * len(totals) / (len(totals) - 1)) / len(values)
    return np.mean(values), np.mean(values) - reach * error, np.mean(values) + reach * error


def test_recall_by_object_is_the_share_of_images_whose_nearest_show_it(planted):
    queries, tables = planted
    shown = {sample["row"]: set(sample["objects"]) for sample in tables["samples"]}
    found = defaultdict(set)
    for near in tables["neighbors"]:
        if near["epoch"] == 2 and near["rank"] <= K:
            found[near["model"], near["side"], near["row"]] |= shown[near["public_row"]]
    rows = queries.rows("recall_by_object")
    for model, kind in MODELS.items():
        alone = kind == "text_encoder"
        own_of = {"a": "a"} if alone else {"a": "a", "b": "b"}
        for thing in OBJECTS:
            samples = [s for s in tables["samples"] if thing in s["objects"]]
            trained = [s for s in samples if s["role"] in own_of]
            own = [thing in found[model, own_of[s["role"]], s["row"]] for s in trained]
            other = [thing in found[model, "b" if own_of[s["role"]] == "a" else "a", s["row"]] for s in trained]
            unseen = [s for s in samples if s["role"] == "holdout"]
            either = [thing in found[model, side, s["row"]] for s in unseen for side in ("a" if alone else "ab")]
            (row,) = [r for r in rows if (r["model"], r["object"]) == (model, thing)]
            assert (row["number"], row["holdout_number"]) == (len(trained), len(unseen))
            assert (row["own"], row["other"]) == pytest.approx((np.mean(own), np.mean(other)))
            assert row["holdout"] == (pytest.approx(np.mean(either)) if unseen else None)
            gap = np.array(own, float) - np.array(other, float)
            ends = (row["gap"], row["gap_low"], row["gap_high"])
            assert ends == pytest.approx(interval(gap, [s["group_id"] for s in trained], 1.96), abs=1e-9)


def test_differences_of_recall_curves_and_their_bands_are_over_groups(planted):
    queries, tables = planted
    group = {sample["row"]: sample["group_id"] for sample in tables["samples"]}
    rows = queries.rows("recall_differences")
    assert len(rows) == len(MODELS) * len(ROLES) * 10
    for row in rows:
        asked = [
            s
            for s in tables["sample_scores"]
            if (s["model"], s["epoch"], s["population"]) == (row["model"], 2, row["population"])
            and s["recall_a"] is not None
        ]
        at_least = [[round(s[f"recall_{side}"] * 10) >= round(row["recall"] * 10) for s in asked] for side in "ab"]
        sign = -1 if (row["model"], row["population"]) == ("two", "b") else 1
        differences = sign * (np.array(at_least[0], float) - np.array(at_least[1], float))
        ends = (row["difference"], row["band_low"], row["band_high"])
        assert ends == pytest.approx(interval(differences, [group[s["row"]] for s in asked], 2.807), abs=1e-9)


def test_the_figures_show_the_rows_of_their_queries_and_are_sound(planted):
    queries, _ = planted
    charts = [by_query(queries), recall_differences(queries, {"one"}), recall_by_object(queries), epochs(queries)]
    assert [len(chart.drawings) for chart in charts] == [2, 2, 2, 2]
    for chart in charts:
        rows = queries.rows(chart.query)
        assert chart.rows and all(any(row.items() <= known.items() for known in rows) for row in chart.rows)
        for _, drawing in chart.drawings:
            text = "".join(ET.fromstring(drawing).itertext())
            assert "nan" not in text
            # a figure of names of strangers shows the name, and no element is made of it
            if chart.name == "recall-by-object" and OBJECTS[-1] in text:
                assert "script" not in {element.tag for element in ET.fromstring(drawing).iter()}
    objects = charts[2]
    assert len(objects.rows) == 2 * len(OBJECTS)
    assert all(f"{drawing}".count("name small") == MOST for _, drawing in objects.drawings)


def test_a_run_without_queries_or_with_one_checkpoint_has_no_such_figure(tmp_path):
    side = [{"model": "m", "side": side, "kind": "trained"} for side in "ab"]
    cell = {"model": "m", "epoch": 1, "query": "caption", "k": K, "labels": "all", "scope": "all", "metric": "ppg"}
    gaps = [{**cell, "population": role, "value": 0.1} for role in ("symmetric", "holdout")]
    path = write_database(tmp_path / "one.duckdb", {"sides": side, "population_gaps": gaps})
    queries = Queries(path, ROOT / "workflow" / "sql")
    assert (
        by_query(queries) is epochs(queries) is recall_by_object(queries) is recall_differences(queries, set()) is None
    )
