"""A verdict is detected, not detected or cannot say, from one place, and its sentence says what it rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulations import scores as simulation

from dejavu.memorization.gaps import by_group
from dejavu.memorization.permutation import effective_groups, joint_test
from dejavu.memorization.verdicts import FEWEST_GROUPS, LEVEL, Grounds, Verdict, verdicts


def cell(**changes) -> dict:
    found = {"query": "caption", "k": 10, "labels": "all", "scope": "unnamed", "metric": "aucg", "value": 0.01}
    found |= {"ci_low": -0.01, "ci_high": 0.03, "p_joint": 0.4, "expected": 0.0, "detectable": 0.03}
    return found | {"effective_groups": 400.0} | changes


def attack(**changes) -> dict:
    found = {"side": "a", "attack": "csa", "metric": "roc_auc", "value": 0.51, "ci_low": 0.49, "ci_high": 0.53}
    return found | {"p_value": 0.3, "null_value": 0.5} | changes


GROUNDS = Grounds(
    cells=[cell(), cell(metric="ppg", scope="all", value=0.02)],
    memories={"a": 0.5, "b": 0.5},
    attacks=[attack(), attack(side="b", value=0.5)],
    k=10,
    labels="all",
    one_model=False,
    datasets={"a": "data", "b": "data", "holdout": "data"},
    draws=999,
    retrieval=(0.1, 0.01),
    skill=0.2,
)


def on_objects(**changes) -> Verdict:
    return verdicts(replace(GROUNDS, **changes))[0]


def on_membership(**changes) -> Verdict:
    return verdicts(replace(GROUNDS, **changes))[1]


def test_not_detected_says_which_gap_would_have_been():
    found = on_objects()
    assert (found.about, found.verdict, found.sides) == ("objects", "not detected", None)
    assert "a gap of 0.030 there would have been found in 4 of 5 such runs" in found.sentence


def test_the_strongest_cell_decides_beside_the_one_chosen_beforehand():
    strong = cell(query="masked", k=50, labels="10", scope="all", value=0.04, ci_low=0.03, ci_high=0.05, p_joint=0.001)
    found = on_objects(cells=[cell(), strong], memories={"a": 0.001, "b": 0.001})
    assert (found.verdict, found.sides, found.cell, found.p_value) == ("detected", "both", strong, 0.001)
    assert "(both models): asked with masked captions, symmetric AUCG of all objects" in found.sentence
    assert "p ≤ 0.001" in found.sentence and "In the cell chosen beforehand" in found.sentence


@pytest.mark.parametrize(
    ("p", "sides", "words"),
    [
        ({"a": 0.01, "b": 0.6}, "a", "(model a)"),
        ({"a": 0.2, "b": 0.01}, "b", "(model b)"),
        ({"a": 0.2, "b": 0.2}, None, "(which of the two models is not known)"),
        ({"a": None, "b": None}, None, "(which of the two models is not known)"),
    ],
)
def test_what_is_detected_is_said_of_the_side_that_remembers(p, sides, words):
    found = on_objects(cells=[cell(p_joint=0.01)], memories=p)
    assert (found.verdict, found.sides) == ("detected", sides)
    assert words in found.sentence


def test_no_verdict_is_drawn_from_too_few_groups_however_small_p_is():
    found = on_objects(cells=[cell(p_joint=0.001, effective_groups=FEWEST_GROUPS - 0.5)])
    assert found.verdict == "cannot say"
    assert f"{FEWEST_GROUPS} are needed" in found.sentence
    assert on_membership(cells=[cell(effective_groups=3.0)]).verdict == "cannot say"


def test_no_verdict_is_drawn_where_scores_do_not_vary_or_there_are_none():
    found = on_objects(cells=[cell(value=0.0, p_joint=None, detectable=None)])
    assert found.verdict == "cannot say" and "do not vary" in found.sentence
    assert on_objects(cells=[]).verdict == "cannot say"
    assert on_membership(attacks=[attack(p_value=None)]).verdict == "cannot say"


def test_a_blind_test_says_so_unless_it_finds_something():
    blind = {"retrieval": (0.013, 0.008), "skill": 0.01}
    found = on_objects(**blind)
    assert found.verdict == "cannot say"
    assert "1.3% where chance finds 0.8%" in found.sentence and "from a random ranking's by +0.010" in found.sentence
    assert on_objects(**blind, cells=[cell(p_joint=0.01)]).verdict == "detected"
    # either of the two shows that the test is not blind
    assert on_objects(retrieval=(0.1, 0.008), skill=0.01).verdict == "not detected"
    assert on_objects(retrieval=(0.013, 0.008), skill=0.2).verdict == "not detected"


def test_roles_of_different_datasets_allow_no_verdict():
    apart = {"a": "one", "b": "other", "holdout": "one"}
    for found in verdicts(replace(GROUNDS, datasets=apart, cells=[cell(p_joint=None)])):
        assert found.verdict == "cannot say" and "one and other" in found.sentence


def test_what_is_taken_for_granted_of_a_list_stands_in_the_verdict():
    for found in verdicts(replace(GROUNDS, listed=["a"], cells=[cell(p_joint=0.01, expected=0.02)])):
        if found.verdict == "detected":
            assert "Role a is a list" in found.sentence
            assert "+0.020 comes from how often things are repeated" in found.sentence
    assert "list" not in on_objects(listed=["holdout"]).sentence


def test_membership_counts_how_many_attacks_were_tried():
    found = on_membership(attacks=[attack(p_value=0.02), attack(side="b", p_value=0.5)])
    assert (found.verdict, found.sides) == ("detected", "a") and found.p_value == pytest.approx(0.04)
    tried = [attack(p_value=0.02), *(attack(side=side, attack=name) for side in "ab" for name in ("x", "y"))]
    tried = [{**row, "attack": row["attack"] if row["attack"] == "csa" else "reference_csa"} for row in tried]
    assert on_membership(attacks=tried).verdict == "not detected"


def test_of_a_one_model_test_the_one_model_is_meant():
    found = on_objects(one_model=True, cells=[cell(p_joint=0.01)], memories={"a": 0.01})
    assert found.sides == "a" and "both" not in found.sentence and "model a" not in found.sentence


# from values to verdicts


def planted(memory_a: float, memory_b: float, better: float, seed: int) -> Verdict:
    rng = np.random.default_rng(seed)
    case = simulation.Case("", simulation.mixed(250), simulation.mixed(250), simulation.mixed(500))
    case = replace(case, better=better, memory_a=memory_a, memory_b=memory_b)
    roles = {role: simulation.values_of(role, size, case, rng) for role, size in simulation.sizes_of(case, rng).items()}
    family = np.ones(3, dtype=bool)
    a, b, holdout = roles["a"], roles["b"], roles["holdout"]
    test = joint_test(a, b, family, 199, rng)
    cells = [
        cell(metric=metric, value=test.value[i], p_joint=test.p_joint[i], detectable=test.detectable[i])
        | {"effective_groups": float(min(effective_groups(a)[i], effective_groups(b)[i]))}
        for i, metric in enumerate(("ppg", "prg", "aucg"))
    ]
    memories: dict[str, float | None] = {"a": None, "b": None}
    # only of what is detected the sides are asked for
    if test.p_joint.min() <= LEVEL:
        for side, first, second in (("a", a, holdout), ("b", holdout, b)):
            memories[side] = float(joint_test(first, second, family, 199, rng, scale=1.0).p_joint.min())
    return on_objects(cells=cells, memories=memories)


@pytest.mark.parametrize(
    ("memory_a", "memory_b", "better", "sides"),
    [
        (0.7, 0.0, 0.0, "a"),
        (0.7, 0.0, 1.0, "a"),
        (0.0, 0.7, 1.0, "b"),
        (0.7, 0.7, 0.0, "both"),
        (0.7, 0.7, 2.0, "both"),
    ],
)
def test_planted_memory_is_found_in_the_side_that_has_it(memory_a, memory_b, better, sides):
    found = [planted(memory_a, memory_b, better, seed) for seed in range(12)]
    assert all(one.verdict == "detected" for one in found)
    # a contrast without memory has p < 0.05 in one of twenty runs
    assert sum(one.sides == sides for one in found) >= 10


@pytest.mark.parametrize("better", [0.0, 1.0, 2.0])
def test_a_side_that_is_better_without_memory_is_not_detected(better):
    found = [planted(0.0, 0.0, better, 100 + seed) for seed in range(60)]
    assert sum(one.verdict == "not detected" for one in found) >= 52


def test_of_roles_of_a_few_groups_nothing_is_said():
    few = simulation.equal(10)
    rng = np.random.default_rng(0)
    case = simulation.Case("", few, few, few)
    a, b = (simulation.values_of(role, few(rng), case, rng) for role in "ab")
    found = [cell(p_joint=float(joint_test(a, b, np.ones(3, dtype=bool), 99, rng).p_joint[2]))]
    found[0]["effective_groups"] = float(effective_groups(a)[0])
    assert on_objects(cells=found).verdict == "cannot say"


def test_collapsed_models_have_nothing_to_show():
    same = by_group(np.zeros((100, 3)), np.arange(100), 100)
    test = joint_test(same, same, np.ones(3, dtype=bool), 99, np.random.default_rng(0))
    p = None if np.isnan(test.p_joint[2]) else test.p_joint[2]
    assert on_objects(cells=[cell(value=0.0, p_joint=p, detectable=None)]).verdict == "cannot say"
