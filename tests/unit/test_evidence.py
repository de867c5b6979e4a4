"""Claims about single samples, about a recipe and about privacy are wrong no more often than they say."""

import math
from functools import cache

import numpy as np
import pytest
from scipy import stats

from dejavu.memorization import audit as audits
from dejavu.memorization.audit import audit, epsilon_bound
from dejavu.memorization.discoveries import evidence, q_values, remembered_share
from dejavu.memorization.replicates import recipe_interval


def replicated(rng, replicates, share, effect=3.0, number=500):
    """Gaps of a pool, of which a share is remembered, and of a holdout; sides of different quality, heavy tails."""
    remembered = rng.random(number) < share
    halves = np.repeat([[1, -1]], number // 2, axis=1).reshape(1, -1)
    coins = np.concatenate([halves, rng.choice([1, -1], (replicates - 1, number))])
    side = rng.normal(0, 0.5, (replicates, 1))
    gaps = rng.standard_t(5, (replicates, number)) + side + effect * coins * remembered
    return remembered, coins, gaps, rng.standard_t(5, (replicates, number)) + side


@pytest.mark.parametrize("replicates", [1, 4])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_the_list_has_no_more_false_samples_than_its_rate(replicates, share):
    rng = np.random.default_rng(replicates)
    false = []
    for _ in range(100):
        remembered, coins, gaps, control = replicated(rng, replicates, share, number=240)
        listed = evidence(gaps, coins, control, np.arange(len(control[0]))).q_value <= 0.1
        false.append((listed & ~remembered).sum() / max(1, listed.sum()))
    assert np.mean(false) <= 0.1 + 3 * np.std(false) / 10


def test_replicates_find_what_one_pair_of_models_cannot():
    rng = np.random.default_rng(1)
    power = {}
    for replicates in (1, 8):
        remembered, coins, gaps, control = replicated(rng, replicates, 0.2)
        listed = evidence(gaps, coins, control, np.arange(500)).q_value <= 0.1
        power[replicates] = (listed & remembered).sum() / remembered.sum()
    assert power[1] < 0.3 and power[8] > 0.9


def test_p_values_are_uniform_without_memorization_whatever_the_quality_of_the_sides():
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(100):
        _, coins, gaps, control = replicated(rng, 2, 0.0)
        p_values.append(evidence(gaps, coins, control, np.arange(500)).p_value)
    for level in (0.01, 0.05, 0.5):
        assert np.mean(np.concatenate(p_values) <= level) == pytest.approx(level, abs=0.15 * level + 0.002)


def test_a_group_of_the_control_has_one_vote_and_ties_count_against_a_sample():
    gaps, coins = np.array([[2.0, 1.0]]), np.array([[1, 1]])
    # a group of ten copies, and a group of one
    control, groups = np.array([[*[3.0] * 10, 1.0]]), np.array([*[7] * 10, 8])
    assert evidence(gaps, coins, control, groups).p_value.tolist() == [2 / 3, 1.0]
    # the advantage of a sample that side b saw is its score under b minus that under a
    assert evidence(-gaps, -coins, -control, groups).p_value.tolist() == [2 / 3, 1.0]


def test_coins_and_control_have_to_be_there():
    with pytest.raises(ValueError, match="coin"):
        evidence(np.ones((1, 2)), np.array([[0, 1]]), np.ones((1, 2)), np.arange(2))
    with pytest.raises(ValueError, match="control"):
        evidence(np.ones((1, 2)), np.ones((1, 2), int), np.ones((1, 0)), np.arange(0))


def test_the_list_is_that_of_benjamini_and_hochberg():
    p_values = np.random.default_rng(3).beta(0.5, 2, 200)
    assert q_values(p_values) == pytest.approx(stats.false_discovery_control(p_values))


@pytest.mark.parametrize("replicates", [1, 4])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_the_bound_on_the_share_is_not_above_the_truth(replicates, share):
    rng = np.random.default_rng(4)
    bounds, truths = [], []
    for _ in range(100):
        remembered, coins, gaps, control = replicated(rng, replicates, share, effect=8.0)
        bounds.append(remembered_share(gaps, coins, control, np.arange(500), np.arange(500)))
        truths.append(remembered.mean())
    assert np.mean(np.array(bounds) <= truths) >= 0.95
    # where the effect is large, the bound is near the true share
    assert np.mean(bounds) > share - 0.2


@pytest.fixture
def remembering(monkeypatch):
    """Simulations ask for the same bounds again and again; they are the slowest part of them."""
    monkeypatch.setattr(audits, "epsilon_bound", cache(epsilon_bound))


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
@pytest.mark.usefixtures("remembering")
def test_epsilon_is_below_that_of_a_known_mechanism(epsilon):
    rng = np.random.default_rng(5)
    chance = 1 / (1 + math.exp(-epsilon))
    bounds = []
    for _ in range(200):
        # randomized response: the answers for members, and for other samples
        members, others = rng.random(300) < chance, rng.random(300) > chance
        bounds.append(audit(members.astype(float), others.astype(float), rng).epsilon)
    assert np.mean(np.array(bounds) <= epsilon) >= 0.95
    assert np.mean(bounds) > 0.6 * epsilon - 0.1


def test_epsilon_of_guesses_that_are_all_right_is_that_of_the_closed_form():
    # chance ** n = 1 - confidence
    chance = 0.05 ** (1 / 100)
    assert epsilon_bound(100, 100, 0.95) == pytest.approx(math.log(chance / (1 - chance)), abs=1e-4)
    assert epsilon_bound(50, 100, 0.95) == 0


def test_a_larger_delta_refutes_less():
    bounds = [epsilon_bound(95, 100, 0.95, delta, 1000) for delta in (0.0, 1e-6, 1e-4)]
    assert bounds[0] > bounds[1] > bounds[2] > 0


def test_scores_that_know_nothing_refute_nothing():
    rng = np.random.default_rng(6)
    assert audit(np.zeros(300), np.zeros(300), rng).epsilon == 0


@pytest.mark.parametrize("number", [3, 5, 8])
@pytest.mark.usefixtures("remembering")
def test_intervals_hold_a_recipe_s_value_and_that_of_one_more_training(number):
    rng = np.random.default_rng(number)
    recipe, following = [], []
    for _ in range(2000):
        values, drawn = rng.normal(0, 1, number), np.zeros((number, 2))
        found = recipe_interval(values, values[:, None] + drawn)
        recipe.append(found.low <= 0 <= found.high)
        following.append(found.next_low <= rng.normal() <= found.next_high)
    assert np.mean(recipe) == pytest.approx(0.95, abs=0.015)
    assert np.mean(following) == pytest.approx(0.95, abs=0.015)


@pytest.mark.usefixtures("remembering")
def test_noise_of_queries_that_all_replicates_share_widens_the_interval():
    rng = np.random.default_rng(7)
    held = []
    for _ in range(1000):
        shared = rng.normal(0, 1)
        values = shared + rng.normal(0, 1, 5)
        held.append(recipe_interval(values, values[:, None] + rng.normal(0, 1, 300)))
    assert 0.935 <= np.mean([one.low <= 0 <= one.high for one in held]) <= 0.985
    assert np.mean([one.within for one in held]) == pytest.approx(1, abs=0.05)


def test_the_interval_without_noise_of_queries_is_student_s():
    values = np.array([0.1, 0.3, 0.2])
    found = recipe_interval(values, np.repeat(values[:, None], 10, axis=1))
    low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert recipe_interval(values[:1], values[:1, None]) is None
