"""The joint test finds what is planted, and nothing in what chance, quality, sizes or lists explain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from dejavu.memorization import draws as drawing
from dejavu.memorization.gaps import Values, by_group
from dejavu.memorization.permutation import effective_groups, joint_test

ALL = np.ones(3, dtype=bool)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grouped(values, groups=None) -> Values:
    values = np.asarray(values, dtype=float)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    return by_group(values, groups, int(groups.max()) + 1)


def sample(seed: int, number: int, columns: int = 3, mean: float = 0.0) -> np.ndarray:
    return rng(seed).normal(mean, 1, size=(number, columns))


def believable(happened: list[bool], share: float) -> bool:
    return stats.binomtest(sum(happened), len(happened), share).pvalue > 1e-3


def test_the_p_value_approaches_the_share_over_all_permutations():
    a, b = [0.9, 0.4, 0.6, -0.1], [0.1, -0.3, 0.2, 0.5]
    pooled, observed = a + b, sum(a) - sum(b)
    totals = [2 * sum(chosen) - sum(pooled) for chosen in itertools.combinations(pooled, 4)]
    two_sided = sum(abs(total) >= abs(observed) - 1e-12 for total in totals) / len(totals)
    one_sided = sum(total >= observed - 1e-12 for total in totals) / len(totals)
    found = joint_test(*(grouped(np.array(x)[:, None]) for x in (a, b)), ALL[:1], 20_000, rng())
    assert found.p_value[0] == pytest.approx(two_sided, abs=0.012)
    assert found.p_joint[0] == pytest.approx(one_sided, abs=0.012)
    assert found.std_error[0] == pytest.approx(np.std(np.array(totals) / 8), rel=0.02)


def test_the_joint_p_value_is_that_of_the_largest_t_over_all_permutations():
    a, b = sample(1, 4, 2), sample(2, 4, 2)
    pooled = np.concatenate([a, b])
    drawn = np.array(
        [
            (pooled[list(chosen)].mean(axis=0) - np.delete(pooled, list(chosen), axis=0).mean(axis=0)) / 2
            for chosen in itertools.combinations(range(8), 4)
        ]
    )
    error = drawn.std(axis=0)
    largest, observed = (drawn / error).max(axis=1), (a.mean(axis=0) - b.mean(axis=0)) / 2 / error
    exact = [(largest >= t - 1e-12).mean() for t in observed]
    found = joint_test(grouped(a), grouped(b), ALL[:2], 20_000, rng())
    assert found.p_joint == pytest.approx(exact, abs=0.015)
    assert found.value == pytest.approx(observed * error)


def test_a_joint_p_value_is_at_least_the_single_one_and_grows_with_the_family():
    a, b = grouped(sample(1, 60, mean=0.3)), grouped(sample(2, 60))
    alone = [joint_test(a, b, np.arange(3) == i, 999, rng()).p_joint[i] for i in range(3)]
    together = joint_test(a, b, ALL, 999, rng()).p_joint
    assert (together >= alone).all() and (together > alone).any()
    outside = joint_test(a, b, np.array([True, True, False]), 999, rng())
    assert np.isnan(outside.p_joint[2]) and not np.isnan(outside.p_value[2])


def test_a_planted_effect_has_the_smallest_p_value_and_its_opposite_none():
    high, low = grouped(sample(1, 100, mean=2.0)), grouped(sample(2, 100, mean=-2.0))
    assert joint_test(high, low, ALL, 499, rng()).p_joint == pytest.approx([1 / 500] * 3)
    assert (joint_test(low, high, ALL, 499, rng()).p_joint > 0.9).all()


def test_a_side_that_is_better_everywhere_changes_nothing():
    a, b = sample(1, 40, mean=0.2), sample(2, 30)
    found = [joint_test(grouped(a + better), grouped(b + better), ALL, 400, rng()) for better in (0.0, 3.0)]
    assert found[0].p_joint.tolist() == found[1].p_joint.tolist()
    assert (found[0].p_value > 0.05).any()


def sizes_of(kind: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if kind == "few":
        return np.ones(5, int), np.ones(5, int)
    if kind == "unequal roles":
        return np.ones(12, int), np.ones(150, int)
    if kind == "heavy tails":
        return tuple(np.minimum(generator.zipf(1.7, 60), 100) for _ in range(2))
    return np.append(np.ones(40, int), 20), np.append(np.ones(40, int), 1)


@pytest.mark.parametrize("kind", ["few", "unequal roles", "heavy tails", "one giant"])
def test_without_memorization_the_joint_test_is_wrong_as_often_as_it_says(kind):
    generator, wrong = rng(5), []
    for _ in range(400):
        values = []
        sizes = sizes_of(kind, generator)
        for found in sizes if generator.random() < 0.5 else sizes[::-1]:
            groups = np.repeat(np.arange(len(found)), found)
            shared = generator.normal(size=(len(found), 3))[groups]
            values.append(grouped(np.sign(shared + generator.normal(1.5, 0.5, size=(len(groups), 3))), groups))
        p = joint_test(*values, ALL, 99, generator).p_joint
        wrong.append(bool(np.nan_to_num(p, nan=1.0).min() <= 0.05))
    assert believable(wrong, 0.05) or (kind == "few" and sum(wrong) <= 30)


def test_among_groups_of_one_size_a_list_that_takes_repeated_things_is_no_memory():
    generator, plain, stratified = rng(6), [], []
    for _ in range(200):
        every = np.minimum(generator.zipf(1.8, 250), 30)
        listed = generator.random(len(every)) < 1 - 0.8**every
        values, sizes = [], []
        for found in (every[listed], every[~listed]):
            groups = np.repeat(np.arange(len(found)), found)
            # repeated things are easier, in whatever role
            values.append(
                grouped(0.3 * np.log(found)[groups][:, None] + generator.normal(size=(len(groups), 3)), groups)
            )
            sizes.append(found)
        plain.append(joint_test(*values, ALL, 99, generator).p_joint.min() <= 0.05)
        found = joint_test(*values, ALL, 99, generator, strata=(sizes[0], sizes[1]))
        stratified.append(found.p_joint.min() <= 0.05)
        assert (found.expected > 0).all(), "what sizes alone make of the gap is not said"
    assert believable(stratified, 0.05)
    assert not believable(plain, 0.05)


def test_within_strata_every_stratum_keeps_its_numbers():
    first, second = grouped(np.eye(4)[:, :3]), grouped(np.eye(6)[:, :3])
    layers = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    member = np.arange(10) < 4
    (parts,) = drawing.relabelings([10], member, np.concatenate(layers), 50, rng())
    for _, labels in parts:
        for layer in range(3):
            inside = np.concatenate(layers) == layer
            assert (labels[:, inside].sum(axis=1) == member[inside].sum()).all()
    alone = joint_test(first, second, ALL, 50, rng(), strata=(np.arange(4), np.arange(4, 10)))
    assert np.isnan(alone.p_joint).all(), "where no label can change nothing is tested"


def test_lists_without_repeats_are_tested_as_roles_that_were_drawn_by_chance():
    first, second = grouped(sample(1, 40, 3)), grouped(sample(2, 30, 3))
    drawn = joint_test(first, second, ALL, 99, rng())
    listed = joint_test(first, second, ALL, 99, rng(), strata=(np.ones(40, dtype=int), np.ones(30, dtype=int)))
    for name in ("value", "expected", "std_error", "p_value", "p_joint", "critical"):
        assert np.array_equal(getattr(listed, name), getattr(drawn, name)), name


def test_scores_that_never_vary_are_not_tested():
    same = grouped(np.full((50, 3), 0.4))
    found = joint_test(same, same, ALL, 99, rng())
    assert np.isnan(found.p_joint).all() and np.isnan(found.detectable).all() and found.critical == 0
    mixed = grouped(np.column_stack([np.full(50, 0.4), sample(1, 50, 2)]))
    assert np.isnan(joint_test(mixed, mixed, ALL, 99, rng()).p_joint).tolist() == [True, False, False]


def test_a_gap_of_the_detectable_size_is_found_in_four_of_five_runs():
    stated = np.mean(
        [
            joint_test(grouped(sample(s, 250)), grouped(sample(999 + s, 250)), ALL, 199, rng(s)).detectable[0]
            for s in range(40)
        ]
    )
    found = []
    for seed in range(250):
        shift = np.array([stated, 0, 0])
        a, b = sample(5000 + seed, 250) + shift, sample(9000 + seed, 250) - shift
        found.append(joint_test(grouped(a), grouped(b), ALL, 99, rng(seed)).p_joint[0] <= 0.05)
    assert 0.72 <= np.mean(found) <= 0.88


@pytest.mark.parametrize("cells", [1, 10_000_000])
def test_permuting_in_parts_gives_every_draw(cells, monkeypatch):
    monkeypatch.setattr(drawing, "CELLS_PER_PART", cells)
    a, b = grouped(sample(1, 30)), grouped(sample(2, 30))
    assert (joint_test(a, b, ALL, 17, rng()).p_value >= 1 / 18).all()


def test_the_same_seed_gives_the_same_test_and_another_seed_another():
    a, b = grouped(sample(1, 30)), grouped(sample(2, 30))
    first, again, other = (joint_test(a, b, ALL, 200, rng(seed)).p_value.tolist() for seed in (5, 5, 6))
    assert first == again != other


def test_effective_groups_are_the_number_of_equal_groups_that_weigh_as_much():
    assert effective_groups(Values(np.zeros((3, 1)), np.array([[2.0], [2.0], [2.0]]))) == pytest.approx([3])
    assert effective_groups(Values(np.zeros((3, 1)), np.array([[4.0], [1.0], [1.0]]))) == pytest.approx([36 / 18])
    assert effective_groups(Values(np.zeros((2, 1)), np.zeros((2, 1)))).tolist() == [0]
