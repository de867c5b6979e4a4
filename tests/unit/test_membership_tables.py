"""Who is compared with whom in the tables of membership, with which control, and what references of RMIA are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score
from tests.harness.databases import write_database
from tests.harness.project import ROOT

from dejavu.files import write_table
from dejavu.measurement.groups import Groups
from dejavu.measurement.membership import GroupScores, contrasts, membership_row
from dejavu.measurement.pairs import Pairs
from dejavu.measurement.reference_models import rmia_contrasts
from dejavu.measurement.replicate_pool import Pool, ReplicateFiles
from dejavu.memorization.reference_ratio import pairwise_score
from dejavu.memorization.roc import calibrating
from dejavu.report.figures.membership import draw
from dejavu.report.membership import membership
from dejavu.report.queries import Queries
from dejavu.report.site import environment
from dejavu.tables.evaluation import SAMPLE_ATTACKS

SEED = 3


def pairs(rng, start, number, shift=0.0, copies=1, paired=True):
    groups = np.repeat(np.arange(number), copies)
    score = rng.normal(shift, 1, number)[groups] + (rng.normal(0, 0.01, number * copies) if copies > 1 else 0)
    gap = np.where(np.arange(number * copies) % 4 == 0, np.nan, score)
    other = score if paired else None
    return Pairs(np.arange(start, start + number * copies), groups, score, other, gap, other)


def found(roles, letter="a"):
    return {(one.attack, one.kind): one for one in contrasts(roles, letter, SEED)}


def test_each_attack_compares_the_roles_that_its_score_allows():
    rng = np.random.default_rng(0)
    roles = {role: pairs(rng, 1000 * i, 80) for i, role in enumerate(("a", "b", "holdout"))}
    compared = {key: (one.members.role, one.others.role) for key, one in found(roles, "b").items()}
    paired = ("reference_csa", "recall_gap", "clipmem")
    assert compared == {
        ("csa", "evaluation"): ("b", "a"),
        ("csa", "control"): ("a", "holdout"),
        **{(attack, "evaluation"): ("b", "holdout") for attack in paired},
        **{(attack, "control"): ("holdout", "holdout") for attack in paired},
    }
    halves = found(roles, "b")["reference_csa", "control"]
    both = np.concatenate([halves.members.row, halves.others.row])
    assert len(halves.members.row) == 40 and sorted(both) == list(range(2000, 2080))
    gaps = found(roles)["recall_gap", "evaluation"]
    assert (len(gaps.members.score), len(gaps.others.score)) == (60, 60)
    alone = {role: replace(of, clipmem=None, reference_csa=None) for role, of in roles.items()}
    assert {attack for attack, _ in found(alone)} == {"csa", "recall_gap"}


def test_copies_of_a_sample_count_as_one_and_the_area_is_that_of_the_groups():
    roles = {}
    for copies in (1, 4):
        rng = np.random.default_rng(1)
        of = {"a": pairs(rng, 0, 200, 1.0, copies), "b": pairs(rng, 1000, 200, 0, copies)}
        roles[copies] = of | {"holdout": pairs(rng, 2000, 300, 0, copies)}
    rows = {copies: membership_row(found(of)["csa", "evaluation"], SEED) for copies, of in roles.items()}
    assert (rows[4]["n_members"], rows[4]["n_others"]) == (200, 200)
    a, b = roles[1]["a"].csa, roles[1]["b"].csa
    labels = np.repeat([1, 0], 200)
    assert rows[1]["auc"] == pytest.approx(roc_auc_score(labels, np.concatenate([a, b])))
    for end in ("auc_low", "auc_high"):
        assert rows[4][end] == pytest.approx(rows[1][end], abs=0.05)


def test_of_listed_roles_only_groups_of_one_sample_count():
    score, groups = np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])
    kept = GroupScores.of("a", score, groups, np.array([5, 6, 7]), np.array([1, 2]))
    assert (kept.score.tolist(), kept.row.tolist()) == ([1.0], [5])


def test_the_part_of_a_group_follows_from_its_content_and_not_from_the_others():
    rows = np.arange(1000) * 7919
    whole = GroupScores("holdout", np.zeros(1000), rows)
    first, rest = whole.parts(calibrating(1000), SEED, "threshold")
    assert (len(first.row), len(rest.row)) == (666, 334) and not set(first.row) & set(rest.row)
    half = GroupScores("holdout", np.zeros(500), rows[:500])
    again = set(half.parts(calibrating(500), SEED, "threshold")[0].row)
    assert len(again & set(first.row)) > 300
    assert set(first.row) != set(whole.parts(666, SEED + 1, "threshold")[0].row)


def test_rates_are_none_where_the_holdout_is_too_small():
    rng = np.random.default_rng(0)
    for number, is_known in ((148, False), (149, True)):
        roles = {"a": pairs(rng, 0, 50), "b": pairs(rng, 500, number), "holdout": pairs(rng, 1000, 50)}
        row = membership_row(found(roles)["csa", "evaluation"], SEED)
        assert (row["tpr_at_1_percent"] is not None) == is_known
        assert (row["fpr_at_1_percent_high"] is not None) == is_known
        assert row["tpr_at_0_1_percent"] is None


def test_a_pairwise_score_is_the_share_of_pairs_that_it_wins():
    rng = np.random.default_rng(2)
    ratios, population = rng.integers(0, 6, 40) / 2, rng.integers(0, 6, 30) / 2
    assert pairwise_score(ratios, population) == pytest.approx(
        [np.mean([ratio >= other for other in population]) for ratio in ratios]
    )
    own = [np.mean([x >= z for j, z in enumerate(population) if j != i]) for i, x in enumerate(population)]
    assert pairwise_score(population, population, is_population=True) == pytest.approx(own)


N, M = 600, 500


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four replicates: a cosine is how easy the sample is, more where the model saw it, and noise of training."""
    folder, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(4)
    easy, replicates, coins, cosines = rng.normal(0, 1, N + M), [], [], []
    rows = np.arange(N + M)
    for number in range(4):
        coin = rng.permutation(np.repeat([1, -1], N // 2)).astype(np.int8)
        role = np.concatenate([np.where(coin > 0, "a", "b"), np.full(M, "holdout")])
        files = {}
        for side in "ab":
            cosine = easy + 0.6 * (role == side) + rng.normal(0, 0.5, N + M)
            columns = {"population": role, "row": rows, "csa": cosine, "clipmem": cosine}
            files[side] = folder / f"{side}{number}.parquet"
            write_table(files[side], pa.table(columns, schema=SAMPLE_ATTACKS), SAMPLE_ATTACKS)
            cosines.append(cosine)
        replicates.append(ReplicateFiles(manifests={}, scores={}, attacks=files))
        coins.append(coin)
    pool = Pool(Groups(folder, rows[:N], np.arange(N), N), np.stack(coins))
    control = Groups(folder, rows[N:], np.arange(M), M)
    return replicates, pool, control, np.array(cosines).reshape(4, 2, N + M)


def test_a_ratio_to_reference_models_beats_the_score_alone_and_not_its_control(world):
    replicates, pool, control, cosines = world
    by_side = dict(rmia_contrasts(replicates, pool, control, SEED))
    for i, side in enumerate("ab"):
        evaluation, halves = by_side[side]
        row, of_control = (membership_row(contrast, SEED) for contrast in (evaluation, halves))
        assert (row["attack"], row["members"], row["others"], row["replicates"]) == ("rmia", side, "ba"[i], 4)
        is_member = pool.coins[0] == (1, -1)[i]
        alone = roc_auc_score(is_member, cosines[0, i, :N])
        assert row["auc"] > alone + 0.05 and row["auc_low"] > 0.6
        assert of_control["auc_low"] < 0.5 < of_control["auc_high"]
        # by definition: every pair of a sample and a holdout sample, references from other replicates only
        ratio = cosines[0, i] - cosines[1:].mean(axis=(0, 1))
        wins = [np.mean(ratio[N:] <= ratio[sample]) for sample in evaluation.members.row]
        assert evaluation.members.score == pytest.approx(wins)


def test_neither_attacked_model_is_among_the_references(world, tmp_path):
    replicates, pool, control, _ = world
    before = dict(rmia_contrasts(replicates, pool, control, SEED))["a"][0]
    first = ReplicateFiles({}, {}, {"a": replicates[0].attacks["a"], "b": replicates[1].attacks["b"]})
    after = dict(rmia_contrasts([first, *replicates[1:]], pool, control, SEED))["a"][0]
    assert np.array_equal(before.members.score, after.members.score)


# the page

TEMPLATES = ROOT / "workflow" / "report" / "site"
BLIND = {"role": "a", "other": "holdout", "auc": 0.97, "std_error": 0.02, "captions": 400, "is_apart": True}
ROW = {
    "model": "m",
    "side": "a",
    "epoch": 3,
    "attack": "reference_csa",
    "contrast": "evaluation",
    "members": "a",
    "others": "holdout",
    "replicates": 1,
    "n_members": 1000,
    "n_others": 900,
    **{"auc": 0.75, "auc_low": 0.7, "auc_high": 0.8},
    **{"tpr_at_1_percent": 0.1234, "tpr_at_1_percent_low": 0.1, "tpr_at_1_percent_high": 0.2},
    **{"fpr_at_1_percent": 0.0075, "fpr_at_1_percent_low": 0.001, "fpr_at_1_percent_high": 0.02},
}


CURVE = [
    {"model": "m", "side": "a", "epoch": 3, "attack": "reference_csa", "fpr": x, "tpr": x**0.5} for x in (0.1, 1.0)
]


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    """A database of one attack with its control, whose roles captions alone tell apart."""
    control = ROW | {"contrast": "control", "members": "holdout", "auc": 0.51, "auc_low": 0.48, "auc_high": 0.54}
    tables = {
        "population_gaps": [{"model": "m", "epoch": 3, "population": "symmetric"}],
        "membership": [ROW, control],
        "membership_curves": [point | {"contrast": kind} for kind in ("evaluation", "control") for point in CURVE],
        "blind_baseline": [BLIND],
    }
    path = write_database(tmp_path_factory.mktemp("page") / "d.duckdb", tables)
    return Queries(path, ROOT / "workflow" / "sql")


def shown(values, name):
    return environment(TEMPLATES).get_template(f"{name}.html.j2").render(**values, figures=[])


def test_the_page_shows_rates_beside_their_control_and_says_what_is_void(queries):
    values = membership(queries)
    attacks, blind = shown(values, "membership"), shown(values, "blind_baseline")
    for text in ("0.750", "[0.700, 0.800]", "0.510", "12.34 %", "[10.00, 20.00]", "0.75 %", "paired cosine (void)"):
        assert text in attacks
    assert "role a against role holdout" in blind and "± 0.020" in blind and "is void" in blind


def test_nothing_is_void_without_a_difference_and_nothing_is_shown_without_results(queries):
    values = membership(queries)
    alike = shown(values | {"blind": [BLIND | {"is_apart": False}]}, "blind_baseline")
    assert "does not succeed" in alike and "is void" not in alike
    (row,) = values["membership"]
    assert "(void)" not in shown(values | {"membership": [row | {"is_void": False}]}, "membership")
    for key, template in (("membership", "membership"), ("blind", "blind_baseline")):
        assert not shown(values | {key: []}, template).strip()


def test_the_figure_has_an_attack_with_its_control_and_chance(queries):
    (axis,) = draw(queries).axes
    lines = {line.get_linestyle(): list(line.get_xdata()) for line in axis.lines if len(line.get_xdata())}
    assert lines == {"-": [0.1, 1.0], "--": [0.1, 1.0], ":": [0.1, 1.0]}
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
