"""What the pages of the report say and draw, from results that are made up."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tests.harness.databases import write_database
from tests.harness.project import ROOT
from tests.harness.reports import write_report
from tests.harness.shown_numbers import assert_shown, shown_tables

from dejavu.report.charts.forest import forest
from dejavu.report.charts.svg import scale_of
from dejavu.report.pages.first_screen import first_screen, largest_gaps, mitigations
from dejavu.report.queries import Queries
from dejavu.report.scripts import script_of

GAP = {
    **{"metric": "ppg", "scope": "all", "control_population": "holdout"},
    **{"band_low": 0.1, "band_high": 0.3, "detectable": 0.05},
    **{"control_value": 0.01, "control_band_low": -0.02, "control_band_high": 0.04},
}


RECIPES = [
    *[("plain", "text_mask", "0"), ("plain", "seed", "0"), ("less", "text_mask", "0.6"), ("less", "seed", "0")],
    *[("less", "sides.a.model", "x"), ("less-still", "text_mask", "0.9")],
]


def gap(model, query, value, **more):
    return {**GAP, "model": model, "query": query, "value": value, **more}


def verdict(word, **more):
    row = {"about": "objects", "verdict": word, "doubts": [], "sentence": f"Déjà vu: {word}. Because of this."}
    return [{**row, **more}]


def cost(model, gaps, *, other=None, reference="trained", change=(None, None, None)):
    low, high = change[1:]
    return {
        **{
            "model": model,
            "compared_with": other,
            "reference": reference,
            "gap": float(np.mean(gaps)),
            "query": "rare",
        },
        **{"drawn_gap": list(gaps), "change": change[0], "change_low": low, "change_high": high},
        **{"common_recall": 0.5, "other_recall": 0.6},
    }


def test_each_model_is_shown_by_the_query_with_its_largest_gap():
    rows = [gap("m", "caption", 0.1), gap("m", "rare", 0.2), gap("m", "masked", 0.9, metric="prg")]
    rows += [gap("m", "rare", 0.8, scope="unnamed"), gap("one", "caption", 0.1, control_population="unseen")]
    found = largest_gaps(rows)
    assert [(row["model"], row["query"]) for row in found.values()] == [("m", "rare"), ("one", "caption")]
    assert found["m"]["value"] == pytest.approx(20) and found["m"]["band_high"] == pytest.approx(30)
    # the gap between two roles is twice the symmetric gap of a one-model test
    assert found["one"]["value"] == pytest.approx(20) and found["one"]["detectable"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("word", "style", "told"),
    [
        ("detected", "detected", "m remembers training images"),
        ("not detected", "not-detected", "No memory of training images was found in m"),
        ("cannot say", "cannot-say", "This run cannot say whether m remembers training images"),
    ],
)
def test_colour_and_words_of_the_first_screen_follow_the_verdict(word, style, told):
    shown = first_screen({"m": verdict(word)}, [gap("m", "caption", 0.2)], [], [], [])
    (card,) = shown["cards"]
    assert (card["style"], card["headline"]) == (style, told)
    sentences = " ".join(card["sentences"])
    assert ("Because of this." in sentences) == (word == "cannot say")
    assert ("would have been found" in sentences) == (word == "not detected")
    assert ("a net 20 of 100" in sentences) == (word != "cannot say")


def test_the_first_screen_says_where_its_number_alone_shows_no_memory():
    (card,) = first_screen({"m": verdict("detected")}, [gap("m", "caption", 0.2, band_low=-0.1)], [], [], [])["cards"]
    assert any("This number alone does not show it" in sentence for sentence in card["sentences"])


def test_a_mitigation_reduces_memory_only_where_the_interval_says_so():
    drawn = np.random.default_rng(0).normal(size=(2, 400))
    plain, less = 0.4 + 0.01 * drawn[0], 0.3 + 0.01 * drawn[0] + 0.01 * drawn[1]
    rows = [cost("plain", plain), cost("less", less, other="plain", change=(-0.1, -0.15, -0.05))]
    (found,) = mitigations(rows, [])
    low, high = np.quantile(100 * (less - plain), [0.025, 0.975])
    assert (found["less"]["low"], found["less"]["high"]) == pytest.approx((low, high))
    assert found["word"] == "shows less" and "less shows less memory than plain" in found["gap"]
    assert "(asked with the rare words of the caption)" in found["gap"] and not found["by_query"]
    assert "retrieval is worse" in found["price"] and "−10.00 points (−15.00 to −5.00)" in found["price"]
    same = [cost("plain", plain), cost("same", plain + 0.01 * drawn[1], other="plain", change=(0.01, -0.1, 0.1))]
    (found,) = mitigations(same, [])
    assert found["word"] == "" and "cannot be told from plain" in found["gap"]
    assert "not settled, up to 10.00 points" in found["price"]
    config = [{"key": f"models.{m}.{k}", "value": v} for m, k, v in RECIPES]
    assert mitigations(rows, [], config)[0]["recipe"] == "text_mask 0.6 instead of 0"
    other = [cost("plain", plain), cost("one", less, other="plain", reference="text_encoder")]
    assert mitigations(other, []) == []


def test_memory_that_a_mitigation_moves_to_another_query_is_said():
    gaps = {("plain", "caption"): 0.4, ("plain", "rare"): 0.1, ("less", "caption"): 0.1, ("less", "rare"): 0.3}
    results = [gap(model, query, value) for (model, query), value in gaps.items()]
    results += [gap("less", "rare", 0.9, scope="unnamed"), gap("less", "masked", 0.2)]
    rows = [cost("plain", [0.4, 0.41]), cost("less", [0.3, 0.31], other="plain", change=(0.0, -0.1, 0.1))]
    (found,) = mitigations(rows, [], [], results)
    assert found["by_query"] == (
        "Of 2 kinds of query, the gap is smaller in 1: 10 instead of 40 with the caption; larger in 1: 30 instead of "
        "10 with the rare words of the caption. These numbers have bands in the table below."
    )


def test_figures_are_sound_xml_and_names_of_strangers_are_text_in_them():
    name = "</text><script>alert(1)</script>"
    rows = list(largest_gaps([gap(name, "caption", 0.2), gap("m", "rare", 0.1, band_low=None)]).values())
    tree = ET.fromstring(str(forest(rows)))
    assert {element.tag for element in tree.iter()} == {"svg", "title", "desc", "line", "text", "circle", "rect"}
    assert any(name in (element.text or "") for element in tree.iter("text"))
    assert ET.fromstring(str(forest([]))).tag == "svg"


@pytest.mark.parametrize(("low", "high"), [(-0.03, 0.41), (0, 120_000), (-7, -1), (0, 0), (1e-9, 2e-9)])
def test_a_scale_holds_its_values_and_has_few_round_ticks(low, high):
    scale = scale_of([low, None, high], 10, 90, at_most=6)
    assert 10 <= scale(low) <= scale(high) <= 90
    ticks = scale.ticks(6)
    assert 2 <= len(ticks) <= 8 and ticks[0] <= min(low, 0) and ticks[-1] >= max(high, 0)


def test_a_script_of_data_holds_nothing_that_html_reads_and_gives_the_data_back():
    data = {"caption": "</script><!-- & \u2028 \u2029 'q' \"q\" é 漢", "row": str(2**62)}
    text = script_of("data", data)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(json.loads(text.removeprefix("window.data = JSON.parse(").removesuffix(");\n"))) == data


def test_no_script_of_the_report_makes_html_from_text():
    for script in (ROOT / "workflow" / "report").rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch("):
            assert word not in text, script


def test_the_share_of_luck_is_what_the_holdout_shows_of_a_gap(tmp_path):
    rng = np.random.default_rng(0)
    scores = []
    for role, number in (("a", 60), ("b", 40), ("holdout", 50)):
        for i in range(number):
            row = {"model": "m", "epoch": 1, "population": role, "query": "caption", "k": 10, "labels": "all"}
            counts = {"correct_a": int(rng.integers(0, 4)), "correct_b": int(rng.integers(0, 4))}
            scores.append({**row, "scope": "unnamed", "row": len(scores) + i, "objects_n": 4, **counts})
    database = write_database(
        tmp_path / "d.duckdb",
        {
            "sample_scores": scores,
            "sides": [{"model": "m", "side": side, "kind": "trained"} for side in "ab"],
            "population_gaps": [{"model": "m", "epoch": 1, "population": "symmetric"}],
        },
    )
    found = {row["gap"]: row for row in Queries(database, ROOT / "workflow" / "sql").rows("gallery_luck")}
    differences = {
        role: np.array([s["correct_a"] - s["correct_b"] for s in scores if s["population"] == role])
        for role in ("a", "b", "holdout")
    }
    for size, row in found.items():
        samples = (differences["a"] >= size).sum() + (-differences["b"] >= size).sum()
        luck = 60 * (differences["holdout"] >= size).mean() + 40 * (-differences["holdout"] >= size).mean()
        assert (row["samples"], row["of_samples"]) == (samples, 100)
        assert row["by_luck"] == pytest.approx(luck) and row["luck"] == pytest.approx(min(1, luck / samples))
    assert sorted(found) == [1, 2, 3]


def test_the_first_screen_says_how_many_pairs_there_are_and_whether_they_are_drawn():
    roles = [
        {"role": role, "dataset": "mine", "samples": 1000 + i} for i, role in enumerate(("a", "b", "public", "holdout"))
    ]
    photographs = [{"key": "datasets.mine.raw", "value": "[]"}, {"key": "datasets.other.synthetic.pairs", "value": "9"}]
    (told,) = first_screen({}, [], [], [], [], photographs, roles)["data_sentences"]
    assert told == "Role a has 1,000 pairs, role b 1,001, the holdout 1,003; 1,002 public images are searched."
    drawn = [{"key": "datasets.mine.synthetic.pairs", "value": "9"}]
    assert "drawn by the workflow" in first_screen({}, [], [], [], [], drawn, roles)["data_sentences"][1]


def test_a_one_model_test_beside_others_is_said_to_have_another_scale():
    of_two, alone = gap("m", "caption", 20.0), gap("one", "caption", 20.0, control_population="unseen")
    assert "another scale" in forest([of_two, alone]) and "another scale" not in forest([alone])


def test_a_mitigation_names_the_membership_that_both_models_show():
    rows = [cost("plain", [0.4, 0.41]), cost("less", [0.3, 0.31], other="plain")]
    members = {m: {"metric": "roc_auc", "value": v} for m, v in (("plain", 0.99), ("less", 0.78))}
    (found,) = mitigations(rows, [], [], [], members)
    assert found["membership"] == "Membership: ROC AUC 0.780 instead of 0.990; chance is 0.5."
    assert found["further"].startswith("Each was trained once")
    (found,) = mitigations(rows, [], [], [], {"plain": members["plain"]})
    assert found["membership"] == ""


def test_confirmed_lists_and_duplicates_are_shown_by_their_columns(tmp_path):
    names = ("listing", "confirming", "listed", "confirmed", "advantage", "std_error", "unlisted_advantage")
    found = [(2, 3, 40, 31, 0.125, 0.0117, -0.0021), (2, 3, 1234, 5, 0.031, 0.004, 0.0162)]
    # a list without samples has no line
    found += [(2, 3, 0, 0, None, None, 0.5)]
    confirmations = [
        {"statistic": statistic, "query": "caption", **dict(zip(names, values, strict=True))}
        for statistic, values in zip(("pair cosine", "recall", "nearest"), found, strict=True)
    ]
    criteria = ({"image": 2}, {"image": 4, "caption": 5}, {"caption": 2, "key": 2})
    duplicates = [
        {"dataset": "made", "group_id": f"g{size}", "size": size, "criteria": list(by.items()), "members": []}
        for size, by in zip((2, 7, 3), criteria, strict=True)
    ]
    more = {"confirmations": confirmations, "duplicates": duplicates}
    write_report(tmp_path, ["a dog on grass"], ["dog", "ball", "tree"], more=more)
    for table in ("confirmations-table", "duplicates-table"):
        assert_shown(table, tmp_path)
    shown = shown_tables(tmp_path / "report")["duplicates-table"]
    assert [cells[2:] for cells in shown[1:]] == [["3", "12", "7"], ["1", "2", "3"], ["2", "6", "7"], ["2", "7", "7"]]
