"""Other attacks on the same splits: against their definitions, beside their nulls, by duplicate group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from dejavu.errors import InputError
from dejavu.measurement.attacks import Attacked, measure_attacks, write_attacks
from dejavu.measurement.groups import QueryRoles
from dejavu.measurement.pairs import Embeddings, Pairs, alignment
from dejavu.tables import MANIFEST, SAMPLE_SCORES
from dejavu.tables.membership import ATTACK_TABLES


def unit(rng: np.random.Generator, number: int, dimension: int = 6) -> np.ndarray:
    found = rng.normal(size=(number, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def embeddings(seed: int, rows: range) -> Embeddings:
    rng = np.random.default_rng(seed)
    return Embeddings(unit(rng, len(rows)), unit(rng, len(rows)), np.array(rows, dtype=np.int64))


def pairs(csa, clipmem=None, gap=None, groups=None) -> Pairs:
    number = len(csa)
    return Pairs(
        np.arange(number),
        np.arange(number) if groups is None else np.asarray(groups),
        np.asarray(csa, dtype=float),
        None if clipmem is None else np.asarray(clipmem, dtype=float),
        np.zeros(number) if gap is None else np.asarray(gap, dtype=float),
    )


def attacks(roles: dict[str, Pairs], letter: str = "a", draws: int = 200) -> dict[tuple, dict]:
    rows = measure_attacks(roles, letter, draws, np.random.default_rng(0))
    return {(row["attack"], row["metric"]): row for row in rows}


@pytest.mark.parametrize("rows", [range(100, 109), range(5, 14)], ids=["others", "partly the same"])
def test_alignment_is_the_cosine_of_the_pair_less_the_means_with_unrelated_halves(rows):
    measured, unrelated = embeddings(1, rows), embeddings(2, range(12))
    shared = {row: i for i, row in enumerate(unrelated.rows)}
    for i, row in enumerate(measured.rows):  # a row in both sets is the same pair
        if row in shared:
            unrelated.images[shared[row]], unrelated.captions[shared[row]] = measured.images[i], measured.captions[i]
    found = alignment(measured, unrelated)
    for i, row in enumerate(measured.rows):
        others = [j for j, other in enumerate(unrelated.rows) if other != row]
        captions = [float(measured.images[i] @ unrelated.captions[j]) for j in others]
        images = [float(measured.captions[i] @ unrelated.images[j]) for j in others]
        expected = float(measured.images[i] @ measured.captions[i]) - np.mean(captions) - np.mean(images)
        assert found[i] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("letter", ["a", "b"])
def test_csa_is_one_half_where_nothing_is_remembered_and_its_null_says_so_too(letter):
    rng = np.random.default_rng(0)
    found = attacks({role: pairs(rng.normal(size=400)) for role in ("a", "b", "holdout")}, letter)
    for metric in ("roc_auc", "roc_auc_null"):
        row = found["csa", metric]
        assert row["ci_low"] < 0.5 < row["ci_high"]
        assert row["ci_high"] - row["ci_low"] < 0.12
        assert row["n"] == 800


@pytest.mark.parametrize(("letter", "area"), [("a", 1.0), ("b", 0.0)])
def test_a_side_s_members_are_those_of_its_own_role(letter, area):
    roles = {"a": pairs(np.linspace(2, 3, 50)), "b": pairs(np.linspace(0, 1, 50)), "holdout": pairs(np.zeros(40))}
    row = attacks(roles, letter, 20)["csa", "roc_auc"]
    assert (row["value"], row["ci_low"], row["ci_high"]) == (area, area, area)


def test_the_null_of_csa_compares_two_roles_that_the_side_never_saw():
    roles = {"a": pairs(np.full(30, 9.0)), "b": pairs(np.linspace(0, 1, 30)), "holdout": pairs(np.linspace(2, 3, 30))}
    assert attacks(roles, "a", 20)["csa", "roc_auc_null"]["value"] == 0.0
    assert attacks(roles, "a", 20)["csa", "tpr@1%fpr"]["value"] == 1.0
    assert attacks(roles, "a", 20)["csa", "tpr@1%fpr_null"]["value"] == 0.0


def test_duplicates_make_the_interval_as_wide_as_their_groups_do():
    rng = np.random.default_rng(3)
    values = {role: rng.normal(size=60) for role in ("a", "b", "holdout")}
    single = attacks({role: pairs(x) for role, x in values.items()})
    repeated = {role: pairs(np.repeat(x, 5), groups=np.repeat(np.arange(60), 5)) for role, x in values.items()}
    copied = attacks(repeated)
    for end in ("value", "ci_low", "ci_high"):
        assert copied["csa", "roc_auc"][end] == pytest.approx(single["csa", "roc_auc"][end], abs=0.03)


def test_clipmem_is_a_mean_over_the_side_s_own_role_with_the_holdout_as_its_null():
    roles = {
        "a": pairs([0, 0, 0], clipmem=[1, 2, 6]),
        "b": pairs([0, 0], clipmem=[-5, -5]),
        "holdout": pairs([0, 0], clipmem=[0.5, 1.5]),
    }
    found = attacks(roles)
    assert found["clipmem", "mean"]["value"] == 3.0
    assert found["clipmem", "mean_null"]["value"] == 1.0


def test_without_image_encoder_on_the_other_side_there_is_no_clipmem():
    rng = np.random.default_rng(0)
    assert {attack for attack, _ in attacks({r: pairs(rng.normal(size=30)) for r in ("a", "b", "holdout")})} == {"csa"}


def test_the_rank_correlation_with_the_gap_leaves_out_queries_without_objects():
    rng = np.random.default_rng(5)
    gap = rng.integers(-3, 4, size=80) / 4
    score = gap + rng.normal(size=80)
    hidden = gap.copy()
    hidden[:10] = np.nan
    roles = {
        "a": pairs(score, clipmem=-score, gap=hidden),
        "b": pairs(score, clipmem=score, gap=gap),
        "holdout": pairs(score, clipmem=score, gap=rng.permutation(gap)),
    }
    found = attacks(roles)
    expected = stats.spearmanr(score[10:], gap[10:]).statistic
    assert found["csa", "spearman_gap"]["value"] == pytest.approx(expected, abs=1e-9)
    assert found["clipmem", "spearman_gap"]["value"] == pytest.approx(-expected, abs=1e-9)
    assert found["csa", "spearman_gap"]["n"] == 70
    null = found["csa", "spearman_gap_null"]
    assert null["ci_low"] < 0 < null["ci_high"]


def test_a_gap_that_never_varies_has_no_rank_correlation_and_no_false_number():
    rng = np.random.default_rng(0)
    found = attacks({role: pairs(rng.normal(size=20)) for role in ("a", "b", "holdout")}, draws=20)
    assert found["csa", "spearman_gap"]["value"] is None


def test_embeddings_of_other_samples_than_the_manifest_s_are_refused_naming_it(tmp_path: Path):
    roles = ("a", "b", "holdout")
    manifests, scores = {}, {}
    for i, role in enumerate(roles):
        manifests[role], scores[role] = tmp_path / f"{role}.parquet", tmp_path / f"scores-{role}.parquet"
        rows = range(10 * i, 10 * i + 8)
        records = [{"row": row, "uid": str(row), "group_id": f"g{row}", "position": 0.5} for row in rows]
        pq.write_table(pa.Table.from_pylist(records, schema=MANIFEST), manifests[role])
        pq.write_table(SAMPLE_SCORES.empty_table(), scores[role])
    own = {role: embeddings(i, range(10 * i, 10 * i + 8)) for i, role in enumerate(roles)}
    outputs = {name: tmp_path / f"{name}.parquet" for name in ATTACK_TABLES}
    attacked = Attacked(letter="a", cell=(10, "all"), draws=20, seed=0)
    query_roles = QueryRoles(scores, manifests)
    write_attacks(own, own, query_roles, outputs, attacked)
    assert pq.read_table(outputs["sample_attacks"]).num_rows == 24
    own["b"] = embeddings(9, range(11, 19))
    with pytest.raises(InputError, match="b.parquet"):
        write_attacks(own, None, query_roles, outputs, attacked)


def test_an_attack_with_a_reference_takes_what_is_easy_for_both_out():
    rng = np.random.default_rng(4)
    easy = {role: rng.normal(size=250) * 5 for role in ("a", "b", "holdout")}
    remembered = {"a": 0.5, "b": -0.5, "holdout": 0.0}
    roles = {}
    for role in easy:
        difference = remembered[role] + rng.normal(0, 0.5, 250)
        roles[role] = replace(pairs(easy[role] + difference), reference_csa=difference)
    found = attacks(roles)
    area = found["reference_csa", "roc_auc"]["value"]
    # two normal variables with means 0.5 apart and deviations of 0.5: Phi(0.5 / (0.5 sqrt 2))
    assert area == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.05)
    assert area > found["csa", "roc_auc"]["value"] + 0.1
    assert found["reference_csa", "roc_auc"]["p_value"] == pytest.approx(1 / 201)
    null = found["reference_csa", "roc_auc_null"]
    assert null["value"] == pytest.approx(0.5, abs=0.12) and null["p_value"] > 0.01
    assert ("reference_csa", "roc_auc") not in attacks({role: pairs(easy[role]) for role in easy})


def test_the_p_value_of_an_area_is_that_of_the_rank_sum_test():
    rng = np.random.default_rng(5)
    roles = {
        "a": pairs(rng.normal(0.25, 1, 80)),
        "b": pairs(rng.normal(size=90)),
        "holdout": pairs(rng.normal(size=50)),
    }
    found = attacks(roles, draws=1500)["csa", "roc_auc"]
    wanted = stats.mannwhitneyu(roles["a"].csa, roles["b"].csa, alternative="greater").pvalue
    assert found["p_value"] == pytest.approx(wanted, abs=0.018)


def test_a_rate_far_out_has_no_interval_where_there_are_few_groups():
    rng = np.random.default_rng(6)
    for number, known in ((150, False), (250, True)):
        roles = {role: pairs(rng.normal(size=number)) for role in ("a", "b", "holdout")}
        found = attacks(roles, draws=20)
        assert (found["csa", "tpr@1%fpr"]["ci_low"] is not None) == known
        assert found["csa", "roc_auc"]["ci_low"] is not None


def test_pairs_that_are_listed_are_permuted_among_groups_of_one_size():
    rng, wrong = np.random.default_rng(7), []
    for _ in range(60):
        every = np.minimum(rng.zipf(1.8, 200), 20)
        listed = rng.random(len(every)) < 1 - 0.8**every
        roles = {}
        for role, sizes in (("a", every[listed]), ("b", every[~listed]), ("holdout", every[~listed])):
            groups = np.repeat(np.arange(len(sizes)), sizes)
            csa = np.log(sizes)[groups] + rng.normal(size=len(groups))
            roles[role] = replace(pairs(csa, groups=groups), group_sizes=sizes)
        wrong.append(attacks(roles, draws=50)["csa", "roc_auc"]["p_value"] <= 0.05)
    assert sum(wrong) <= 9
