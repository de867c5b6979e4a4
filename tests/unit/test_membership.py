"""Membership scores and rank agreement, against slow loops over the definitions, scipy and scikit-learn."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from dejavu.memorization import membership

# few different values make ties in most draws
VALUES = st.integers(0, 6)
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 1.7, 3.0])
COUNTS = st.integers(0, 3)
RATES = st.sampled_from([0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.99])


def samples(weights: st.SearchStrategy, size: int = 15) -> st.SearchStrategy:
    """Lists of (value, weight), some weight above zero."""
    return st.lists(st.tuples(VALUES, weights), min_size=1, max_size=size).filter(lambda s: any(w > 0 for _, w in s))


def arrays(drawn: list[tuple]) -> tuple[np.ndarray, ...]:
    """Columns of a list of tuples: the weight, last, as float64, the rest as int64."""
    *columns, weights = zip(*drawn, strict=True)
    return *(np.array(column, dtype=np.int64) for column in columns), np.array(weights, dtype=np.float64)


def repeated(drawn: list[tuple]) -> tuple[np.ndarray, ...]:
    """The same with every sample as often as its weight says, and weights of one."""
    return arrays([(*sample, 1) for *sample, weight in drawn for _ in range(weight)])


# oracles


def auc_over_pairs(members: list[tuple], others: list[tuple]) -> float:
    """Probability that a member scores higher than a non-member, ties counting half."""
    wins = total = 0.0
    for (x, v), (y, w) in product(members, others):
        total += v * w
        wins += v * w * (1.0 if x > y else 0.5 if x == y else 0.0)
    return wins / total


def share_above(drawn: list[tuple], level: int) -> float:
    return sum(w for x, w in drawn if x > level) / sum(w for _, w in drawn)


def best_rate(members: list[tuple], others: list[tuple], false_positive_rate: float) -> float:
    """Of all thresholds that few enough non-members exceed, the largest share of members above one."""
    thresholds = [x for x, _ in members + others]
    return max(share_above(members, t) for t in thresholds if share_above(others, t) <= false_positive_rate + 1e-9)


# levels


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=40))
def test_levels_are_the_places_among_the_distinct_values(values):
    got = membership.levels(np.array(values))
    assert got.dtype == np.int64
    assert got.tolist() == [sorted(set(values)).index(value) for value in values]


def test_levels_are_one_for_each_value_whatever_its_type():
    assert membership.levels(np.array([0.5, 0.25, 0.5, 2.0], dtype=np.float32)).tolist() == [1, 0, 1, 2]
    assert membership.levels(np.array([7, -3, 7])).tolist() == [1, 0, 1]


# ROC


@settings(max_examples=80, deadline=None)
@given(samples(WEIGHTS), samples(WEIGHTS))
def test_roc_auc_is_the_share_of_pairs_that_the_member_wins(members, others):
    (x, v), (y, w) = arrays(members), arrays(others)
    got = membership.roc_auc(x, y, v, w)
    assert got == pytest.approx(auc_over_pairs(members, others), abs=1e-12)
    labels = np.repeat([1, 0], [len(x), len(y)])
    peer = metrics.roc_auc_score(labels, np.concatenate([x, y]), sample_weight=np.concatenate([v, w]))
    assert got == pytest.approx(peer, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(samples(COUNTS), samples(COUNTS), RATES)
def test_a_weight_of_n_counts_as_n_samples_and_a_weight_of_zero_as_none(members, others, rate):
    (x, v), (y, w) = arrays(members), arrays(others)
    (many_x, ones_x), (many_y, ones_y) = repeated(members), repeated(others)
    assert membership.roc_auc(x, y, v, w) == pytest.approx(
        membership.roc_auc(many_x, many_y, ones_x, ones_y), abs=1e-12
    )
    assert membership.true_positive_rate(x, y, v, w, rate) == pytest.approx(
        membership.true_positive_rate(many_x, many_y, ones_x, ones_y, rate), abs=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(samples(WEIGHTS), samples(WEIGHTS))
def test_exchanging_members_and_others_turns_the_auc_over(members, others):
    (x, v), (y, w) = arrays(members), arrays(others)
    assert membership.roc_auc(x, y, v, w) == pytest.approx(1 - membership.roc_auc(y, x, w, v), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(samples(WEIGHTS), samples(WEIGHTS), RATES)
def test_only_order_counts(members, others, rate):
    (x, v), (y, w) = arrays(members), arrays(others)
    squeezed = membership.levels(np.exp(np.concatenate([x, y]) / 3.0))
    a, b = squeezed[: len(x)], squeezed[len(x) :]
    assert membership.roc_auc(a, b, v, w) == pytest.approx(membership.roc_auc(x, y, v, w), abs=1e-12)
    assert membership.true_positive_rate(a, b, v, w, rate) == pytest.approx(
        membership.true_positive_rate(x, y, v, w, rate), abs=1e-12
    )


def test_roc_auc_of_scores_that_tell_nothing_and_everything():
    one = np.ones(3)
    assert membership.roc_auc(np.array([4, 4, 4]), np.array([4, 4, 4]), one, one) == 0.5
    assert membership.roc_auc(np.array([3, 4, 5]), np.array([0, 1, 2]), one, one) == 1.0
    assert membership.roc_auc(np.array([0, 1, 2]), np.array([3, 4, 5]), one, one) == 0.0


@settings(max_examples=80, deadline=None)
@given(samples(WEIGHTS), samples(WEIGHTS), RATES)
def test_true_positive_rate_is_the_best_at_which_few_enough_non_members_are_accused(members, others, rate):
    (x, v), (y, w) = arrays(members), arrays(others)
    got = membership.true_positive_rate(x, y, v, w, rate)
    assert got == pytest.approx(best_rate(members, others, rate), abs=1e-12)
    labels = np.repeat([1, 0], [len(x), len(y)])
    false, true, _ = metrics.roc_curve(
        labels, np.concatenate([x, y]), sample_weight=np.concatenate([v, w]), drop_intermediate=False
    )
    assert got == pytest.approx(true[false <= rate + 1e-9].max(), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(samples(WEIGHTS), samples(WEIGHTS))
def test_true_positive_rate_grows_with_the_false_positive_rate(members, others):
    (x, v), (y, w) = arrays(members), arrays(others)
    rates = [membership.true_positive_rate(x, y, v, w, rate) for rate in (0.0, 0.01, 0.1, 0.3, 0.6, 0.99)]
    assert rates == sorted(rates)


def test_no_false_positive_leaves_the_members_above_every_non_member():
    x, y = np.array([5, 5, 3, 1]), np.array([4, 3, 2])
    assert membership.true_positive_rate(x, y, np.ones(4), np.ones(3), 0.0) == 0.5
    # a score equal to that of the highest non-member is not above it
    assert membership.true_positive_rate(np.array([4, 4]), y, np.ones(2), np.ones(3), 0.0) == 0.0


def test_a_share_that_falls_between_two_non_members_takes_the_stricter_threshold():
    x, y = np.array([9, 7, 5, 3]), np.array([8, 6, 4, 2])
    # of four non-members, one may exceed the threshold at 25 % and at 49 %, and two at 50 %
    found = [membership.true_positive_rate(x, y, np.ones(4), np.ones(4), rate) for rate in (0.24, 0.25, 0.49, 0.5)]
    assert found == [0.25, 0.5, 0.5, 0.75]


# Spearman


def pairs(weights: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.tuples(VALUES, VALUES, weights), min_size=2, max_size=20)


def varies(x: np.ndarray, weights: np.ndarray) -> bool:
    return len(set(x[weights > 0].tolist())) > 1


@settings(max_examples=80, deadline=None)
@given(pairs(st.just(1)))
def test_spearman_is_that_of_scipy(drawn):
    x, y, w = arrays(drawn)
    assume(varies(x, w) and varies(y, w))
    assert membership.spearman(x, y, w) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(pairs(COUNTS))
def test_spearman_counts_a_weight_of_n_as_n_samples(drawn):
    x, y, w = arrays(drawn)
    assume(varies(x, w) and varies(y, w))
    many_x, many_y, _ = repeated(drawn)
    assert membership.spearman(x, y, w) == pytest.approx(stats.spearmanr(many_x, many_y).statistic, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(pairs(WEIGHTS))
def test_spearman_changes_sign_with_one_ranking_and_not_with_both(drawn):
    x, y, w = arrays(drawn)
    assume(varies(x, w) and varies(y, w))
    got = membership.spearman(x, y, w)
    assert membership.spearman(6 - x, y, w) == pytest.approx(-got, abs=1e-9)
    assert membership.spearman(6 - x, 6 - y, w) == pytest.approx(got, abs=1e-9)
    assert membership.spearman(y, x, w) == pytest.approx(got, abs=1e-12)
    assert membership.spearman(x, y, 3 * w) == pytest.approx(got, abs=1e-9)
    assert membership.spearman(x, x, w) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(pairs(COUNTS))
def test_spearman_of_a_constant_ranking_is_not_a_number(drawn):
    x, _, w = arrays(drawn)
    assume(w.any())
    assert math.isnan(membership.spearman(np.full_like(x, 3), x, w))
    assert math.isnan(membership.spearman(x, np.full_like(x, 3), w))
