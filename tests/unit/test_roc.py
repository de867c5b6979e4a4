"""ROC curves, areas and rates at low false positive rates: against scikit-learn and scipy, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from dejavu.memorization.roc import area, calibrating, clopper_pearson, curve, rate_at

# few different values make ties
SCORES = st.lists(st.integers(0, 8), min_size=1, max_size=30).map(lambda drawn: np.array(drawn, dtype=float))


@pytest.mark.parametrize("trials", [1, 7, 1000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 1.0])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(trials, share):
    hits = round(share * trials)
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_the_area_is_that_of_scikit_learn_and_lies_in_its_interval(members, others):
    labels = np.repeat([1, 0], [len(members), len(others)])
    found = area(members, others)
    assert found.value == pytest.approx(metrics.roc_auc_score(labels, np.concatenate([members, others])), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_every_point_of_a_curve_is_a_corner_of_scikit_learn_s(members, others):
    labels = np.repeat([1, 0], [len(members), len(others)])
    false, true, _ = metrics.roc_curve(labels, np.concatenate([members, others]), drop_intermediate=False)
    best = {round(f, 12): t for f, t in zip(false, true, strict=True)}
    found = dict(zip(*curve(members, others), strict=True))
    assert list(found) == sorted(found) and list(found)[-1] == 1.0
    # at each false positive rate the corner with the most members
    assert all(true == pytest.approx(best[round(false, 12)]) for false, true in found.items())


def test_a_curve_of_many_scores_is_thinned_evenly_along_a_logarithmic_axis():
    rng = np.random.default_rng(0)
    false, true = curve(rng.normal(1, 1, 30_000), rng.normal(size=50_000))
    assert 150 < len(false) <= 200 and (false[0], false[-1], true[-1]) == (1 / 50_000, 1.0, 1.0)
    far = false > 1e-3
    assert np.diff(np.log(false[far])).max() < 2 * np.log(50_000) / 199
    # two normal distributions one deviation apart
    assert true[far] == pytest.approx(stats.norm.sf(stats.norm.isf(false[far]) - 1), abs=0.02)


def test_a_threshold_counts_only_who_did_not_set_it():
    calibration, others = np.arange(99.0), np.array([97.0, 98.0, 98.5, 200.0])
    found = rate_at(np.array([98.0, 98.2, 300.0]), calibration, others, 0.01)
    # the largest of 99 allows 1 % of further ones above it; a score equal to it is not above
    assert found.true_positive.value == 2 / 3 and found.false_positive.value == 2 / 4
    exact = stats.binomtest(2, 4).proportion_ci(0.95, method="exact")
    assert (found.false_positive.low, found.false_positive.high) == pytest.approx((exact.low, exact.high))
    two = rate_at(np.array([97.5]), np.arange(199.0) - 100, others, 0.01)
    assert two.true_positive.value == 1.0  # the second largest of 199 is 97


@pytest.mark.parametrize(("rate", "fewest"), [(0.01, 149), (0.001, 1499)])
def test_too_few_non_members_give_no_rate(rate, fewest):
    for number, is_known in ((fewest - 1, False), (fewest, True)):
        setting = np.arange(float(calibrating(number)))
        found = rate_at(np.ones(5), setting, np.ones(number - len(setting)), rate)
        assert (found is not None) == is_known
    assert rate_at(np.array([]), np.arange(2000.0), np.ones(5), rate) is None


def realised(run: np.random.Generator, members: int, others: int, shift: float) -> tuple:
    """Return what an attack finds, half of whose members are remembered, with the true rates of its threshold."""
    is_shifted = run.random(members) < 0.5
    scores, unseen = run.normal(size=members) + shift * is_shifted, run.normal(size=others)
    number = calibrating(others)
    found = rate_at(scores, unseen[:number], unseen[number:], 0.01)
    allowed = int(0.01 * (number + 1))
    threshold = np.sort(unseen[:number])[-allowed]
    true = (stats.norm.sf(threshold) + stats.norm.sf(threshold - shift)) / 2
    return found, area(scores, unseen), true, stats.norm.sf(threshold)


@pytest.mark.parametrize(("members", "others"), [(40, 150), (300, 600)])
def test_intervals_hold_at_small_numbers_and_the_mean_rate_is_no_more_than_asked_for(members, others):
    rng, runs, shift = np.random.default_rng(1), 400, 2.0
    # normal scores: the probability that one of a deviation of 1, shifted or not, exceeds another
    true_area = (0.5 + stats.norm.cdf(shift / np.sqrt(2))) / 2
    held, rates = np.zeros(3), []
    for _ in range(runs):
        found, of_area, true, false = realised(rng, members, others, shift)
        rates.append(false)
        held += [
            found.true_positive.low <= true <= found.true_positive.high,
            found.false_positive.low <= false <= found.false_positive.high,
            of_area.low <= true_area <= of_area.high,
        ]
    print(dict(zip(("true positives", "false positives", "area"), held / runs, strict=True)))
    assert (held / runs >= 0.93).all()
    assert np.mean(rates) <= 0.01 + 3 * np.std(rates) / runs**0.5


@pytest.mark.parametrize("shares", [None, 5], ids=["continuous", "ties"])
def test_the_area_of_what_nobody_was_trained_on_is_a_half_within_its_interval(shares):
    rng, held = np.random.default_rng(2), 0
    for _ in range(400):
        one, other = (rng.normal(size=n) if shares is None else rng.integers(0, shares, n) / 5.0 for n in (60, 90))
        found = area(one, other)
        held += found.low <= 0.5 <= found.high
    assert held >= 0.93 * 400


def test_an_area_of_complete_separation_is_no_certainty():
    found = area(np.arange(10.0) + 100, np.arange(12.0))
    assert found.value == found.high == 1.0 and 0.7 < found.low < 0.95
    turned = area(np.arange(12.0), np.arange(10.0) + 100)
    assert (turned.value, turned.low) == (0.0, 0.0) and 1 - turned.high == pytest.approx(found.low)
