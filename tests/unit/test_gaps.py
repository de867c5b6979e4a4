"""Population gaps, their resampling and their tests, against loops over the definitions."""

from __future__ import annotations

import itertools
import math
import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejavu.memorization import draws as drawing
from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS, binned, query_values

PPG, PRG, AUCG, BINNED = (KEYS.index(key) for key in ("ppg", "prg", "aucg", "aucg_binned"))


def ppg(a: list[float], b: list[float]) -> float:
    """Share of queries better under a minus share better under b."""
    return (sum(x > y for x, y in zip(a, b, strict=True)) - sum(x < y for x, y in zip(a, b, strict=True))) / len(a)


def released_auc(recalls: list[float]) -> float:
    """The area as the released code has it: histogram, share at least, padding, left Riemann sum."""
    counts, edges = np.histogram(recalls, bins=100)
    heights = [1.0, *(sum(counts[i:]) / len(recalls) for i in range(100)), 0.0]
    points = [0.0, *edges, 1.0]
    return sum(height * (right - left) for height, (left, right) in zip(heights, pairwise(points), strict=True))


def metrics(precision_a, precision_b, recall_a, recall_b) -> np.ndarray:
    """The metrics by the library, every query its own group."""
    values = query_values(*(np.array(x, dtype=float) for x in (precision_a, precision_b, recall_a, recall_b)))
    return gaps.by_group(values, np.arange(len(values)), len(values)).value


SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.9, 1.0])
QUERIES = st.lists(st.tuples(SHARES, SHARES, SHARES, SHARES), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(QUERIES)
def test_gaps_equal_their_definitions(queries):
    pa, pb, ra, rb = map(list, zip(*queries, strict=True))
    got = metrics(pa, pb, ra, rb)
    assert got[PPG] == pytest.approx(ppg(pa, pb), abs=1e-12)
    assert got[PRG] == pytest.approx(ppg(ra, rb), abs=1e-12)
    assert got[AUCG] == pytest.approx(sum(ra) / len(ra) - sum(rb) / len(rb), abs=1e-12)
    assert got[BINNED] == pytest.approx(released_auc(ra) - released_auc(rb), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(QUERIES)
def test_identical_sides_have_gaps_of_exactly_zero(queries):
    p, r, *_ = map(list, zip(*queries, strict=True))
    assert metrics(p, p, r, r).tolist() == [0.0] * len(KEYS)


@settings(max_examples=50, deadline=None)
@given(QUERIES)
def test_exchanging_the_sides_changes_the_sign_of_every_gap(queries):
    pa, pb, ra, rb = map(list, zip(*queries, strict=True))
    assert metrics(pa, pb, ra, rb) == pytest.approx(-metrics(pb, pa, rb, ra), abs=1e-12)


@pytest.mark.parametrize(("recall", "area"), [(0.0, 0.01), (1.0, 1.01)])
def test_binned_area_of_equal_recalls_is_that_of_the_released_code(recall, area):
    recalls = [recall] * 7
    assert released_auc(recalls) == pytest.approx(area)
    assert binned(np.array(recalls)).mean() == pytest.approx(area, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(SHARES, min_size=1, max_size=50))
def test_binned_area_exceeds_the_mean_recall_by_at_most_a_hundredth_of_the_range(recalls):
    area = binned(np.array(recalls)).mean()
    assert area == pytest.approx(released_auc(recalls), abs=1e-9)
    width = (max(recalls) - min(recalls) or 1.0) / 100
    assert -1e-9 <= area - sum(recalls) / len(recalls) <= width + 1e-9


def test_groups_without_a_query_in_scope_count_neither_in_the_gap_nor_in_n():
    values = gaps.by_group(np.array([[1.0], [0.0]]), np.array([0, 1]), 4)
    assert values.value.tolist() == [0.5]
    assert values.count.tolist() == [2]
    assert values.sums[2:].tolist() == values.sizes[2:].tolist() == [[0.0], [0.0]]


def test_no_query_in_scope_gives_no_number():
    none = gaps.by_group(np.zeros((0, 1)), np.zeros(0, np.int64), 3)
    assert math.isnan(none.value[0])
    assert none.count.tolist() == [0]


def test_a_group_of_several_queries_weighs_as_many_queries():
    values = gaps.by_group(np.array([[1.0], [1.0], [1.0], [0.0]]), np.array([1, 1, 1, 0]), 2)
    assert values.value.tolist() == [0.75]
    assert len(values.sums) == 2


# resampling


def sample(seed: int, number: int, columns: int = 1, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, size=(number, columns))


def grouped(values: np.ndarray, groups: np.ndarray | None = None) -> gaps.Values:
    groups = np.arange(len(values)) if groups is None else groups
    return gaps.by_group(values, groups, int(groups.max()) + 1)


def test_resampling_has_a_row_for_each_draw_and_a_column_for_each_metric():
    values = grouped(sample(0, 30, 4))
    assert gaps.bootstrap(values, 17, np.random.default_rng(0)).shape == (17, 4)
    assert gaps.samplings(values, 9, 0.1, np.random.default_rng(0)).shape == (9, 4)


@pytest.mark.parametrize("cells", [1, 100])
def test_drawing_in_parts_gives_every_draw(cells, monkeypatch):
    monkeypatch.setattr(drawing, "CELLS_PER_PART", cells)
    values = grouped(sample(0, 30, 2))
    assert gaps.bootstrap(values, 17, np.random.default_rng(0)).shape == (17, 2)
    assert gaps.samplings(values, 17, 0.5, np.random.default_rng(0)).shape == (17, 2)
    assert (gaps.sign_flip_p_value(values, 17, np.random.default_rng(0)) >= 1 / 18).all()


@pytest.mark.parametrize(
    "draw",
    [
        lambda v, rng: gaps.bootstrap(v, 20, rng),
        lambda v, rng: gaps.samplings(v, 20, 0.3, rng),
        lambda v, rng: gaps.sign_flip_p_value(v, 200, rng),
    ],
    ids=["bootstrap", "samplings", "sign_flip"],
)
def test_the_same_seed_gives_the_same_draws_and_another_seed_others(draw):
    values = grouped(sample(3, 25, 3, mean=0.2))
    first, again, other = (draw(values, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_bootstrap_spreads_as_the_standard_error_of_the_mean():
    x = sample(1, 200)
    drawn = gaps.bootstrap(grouped(x), 2000, np.random.default_rng(0))
    assert drawn.std() == pytest.approx(statistics.pstdev(x[:, 0].tolist()) / math.sqrt(200), rel=0.08)


def test_bootstrap_draws_duplicate_groups_whole():
    x = sample(1, 100)
    twice, groups = np.repeat(x, 2, axis=0), np.repeat(np.arange(100), 2)
    alone = gaps.bootstrap(grouped(x), 2000, np.random.default_rng(0)).std()
    in_pairs = gaps.bootstrap(grouped(twice, groups), 2000, np.random.default_rng(0)).std()
    assert in_pairs == pytest.approx(alone, rel=0.05)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    held = 0
    for seed in range(60):
        low, high = gaps.interval(gaps.bootstrap(grouped(sample(seed, 60, mean=0.3)), 300, np.random.default_rng(seed)))
        held += low[0] <= 0.3 <= high[0]
    assert 51 <= held <= 60


def test_samplings_of_everything_have_no_spread():
    x = sample(2, 40)
    drawn = gaps.samplings(grouped(x), 10, 1.0, np.random.default_rng(0))
    assert drawn[:, 0] == pytest.approx([x.mean()] * 10, abs=1e-12)


def test_samplings_take_a_fraction_without_replacement_and_at_least_one():
    # powers of two: the sum of a subset tells which were taken, and how often
    x = 2.0 ** np.arange(20)[:, None]
    drawn = gaps.samplings(grouped(x), 50, 0.2, np.random.default_rng(0))
    assert {int(total).bit_count() for total in drawn[:, 0] * 4} == {4}
    alone = gaps.samplings(grouped(x), 50, 0.001, np.random.default_rng(0))
    assert set(alone[:, 0]) <= set(x[:, 0])
    assert len(set(alone[:, 0])) > 5


# tests of significance


def test_sign_flip_p_value_approaches_the_share_over_all_flips():
    x = [0.9, 0.4, -0.2, 0.7, 0.5, -0.1, 0.3]
    flips = [abs(sum(s * v for s, v in zip(signs, x, strict=True))) for signs in itertools.product((1, -1), repeat=7)]
    exact = sum(total >= abs(sum(x)) - 1e-12 for total in flips) / len(flips)
    got = gaps.sign_flip_p_value(grouped(np.array(x)[:, None]), 20_000, np.random.default_rng(0))
    assert got[0] == pytest.approx(exact, abs=0.01)


def test_sign_flip_turns_whole_groups():
    x, groups = np.array([[1.0], [1.0], [1.0], [1.0]]), np.array([0, 0, 0, 0])
    assert gaps.sign_flip_p_value(grouped(x, groups), 500, np.random.default_rng(0))[0] == 1.0


def test_p_values_are_the_smallest_possible_for_a_strong_effect():
    a = grouped(sample(1, 100, mean=2.0))
    assert gaps.sign_flip_p_value(a, 499, np.random.default_rng(0))[0] == pytest.approx(1 / 500)


def test_p_values_are_uniform_where_there_is_no_effect():
    flipped = [
        gaps.sign_flip_p_value(grouped(sample(seed, 40)), 199, np.random.default_rng(seed))[0] for seed in range(60)
    ]
    assert 0.35 < statistics.mean(flipped) < 0.65
    assert sum(p <= 0.05 for p in flipped) <= 9


def test_the_p_value_of_no_query_is_not_a_number():
    none = gaps.by_group(np.zeros((0, 1)), np.zeros(0, np.int64), 3)
    assert math.isnan(gaps.sign_flip_p_value(none, 50, np.random.default_rng(0))[0])


def test_symmetric_cancels_an_additive_difference_of_aucg_exactly():
    eighth = 1 / 8
    recall_b_on_a = np.array([1, 2, 3, 4]) * eighth
    recall_a_on_a = recall_b_on_a + 2 * eighth  # remembers 1/8, and is better by 1/8
    recall_a_on_b = np.array([2, 3, 4, 5]) * eighth
    recall_b_on_b = recall_a_on_b  # remembers 1/8, and is worse by 1/8
    zero = np.zeros(4)
    on_a, on_b = metrics(zero, zero, recall_a_on_a, recall_b_on_a), metrics(zero, zero, recall_a_on_b, recall_b_on_b)
    assert (on_a[AUCG], on_b[AUCG]) == (0.25, 0.0)
    assert (on_a[AUCG] - on_b[AUCG]) / 2 == eighth


# top-L and curves


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=25
    ),
    st.randoms(use_true_random=False),
)
def test_top_order_is_descending_and_breaks_ties_by_row(queries, random):
    correct, other, nearest = (np.array(x) for x in zip(*queries, strict=True))
    rows = np.array(random.sample(range(100, 200), len(queries)))
    keys = {"nearest": nearest, "correct": correct, "gap": correct - other}
    for sort, key in keys.items():
        wanted = sorted(range(len(queries)), key=lambda i, key=key: (-key[i], rows[i]))
        scores = correct.astype(np.int32), other.astype(np.int32), nearest, rows
        assert gaps.top_order(sort, *scores).tolist() == wanted
        for first in (0, 1, len(queries) // 2, len(queries), len(queries) + 3):
            assert gaps.top_order(sort, *scores, first).tolist() == wanted[:first]


@settings(max_examples=50, deadline=None)
@given(st.lists(SHARES, min_size=1, max_size=30))
def test_the_recall_curve_is_the_share_of_queries_with_at_least_each_recall(recalls):
    values, shares = gaps.at_least(np.array(recalls))
    assert values.tolist() == sorted(set(recalls))
    assert shares.tolist() == pytest.approx([sum(r >= v for r in recalls) / len(recalls) for v in values])


def test_f1_of_means_has_the_released_code_s_term_in_the_denominator():
    assert gaps.f1_of_means(0.5, 0.25) == pytest.approx(2 * 0.5 * 0.25 / (0.5 + 0.25 + 1e-5), rel=1e-12)
    assert gaps.f1_of_means(0.0, 0.0) == 0.0


# the simultaneous band


def drawn_metrics(seed: int, draws: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated resamples of metrics on different scales, and the metrics."""
    rng = np.random.default_rng(seed)
    values, scales = rng.normal(size=columns), 10.0 ** rng.integers(-3, 3, columns)
    common = rng.normal(size=(draws, 1))
    return values + scales * (common + rng.normal(size=(draws, columns))), values


def band_by_loops(draws: list[list[float]], values: list[float], level: float) -> tuple[list[float], float]:
    """Standard errors by column; the level's quantile, by linear interpolation, of the largest |t| of every draw."""
    errors = [statistics.stdev(column) for column in zip(*draws, strict=True)]
    largest = []
    for draw in draws:
        of_draw = [abs(x - value) / e for x, value, e in zip(draw, values, errors, strict=True) if e > 1e-9]
        largest.append(max(of_draw))
    largest.sort()
    place = level * (len(largest) - 1)
    below = largest[math.floor(place)]
    return errors, below + (place - math.floor(place)) * (largest[math.ceil(place)] - below)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("columns", [1, 2, 7])
def test_max_t_equals_its_definition(columns, level):
    draws, values = drawn_metrics(columns, 60, columns)
    errors, critical = gaps.max_t(draws, values, level)
    wanted, wanted_critical = band_by_loops(draws.tolist(), values.tolist(), level)
    assert errors == pytest.approx(np.array(wanted), rel=1e-9)
    assert critical == pytest.approx(wanted_critical, rel=1e-9)


def test_max_t_of_one_column_is_the_quantile_of_t():
    draws, values = drawn_metrics(0, 500, 1)
    errors, critical = gaps.max_t(draws, values)
    t = np.abs(draws[:, 0] - values[0]) / draws[:, 0].std(ddof=1)
    assert critical == pytest.approx(np.quantile(t, 0.95), rel=1e-12)
    assert np.mean(t <= critical) == pytest.approx(0.95, abs=1 / 500)


def test_max_t_of_identical_columns_is_that_of_one():
    draws, values = drawn_metrics(1, 300, 1)
    _, alone = gaps.max_t(draws, values)
    _, together = gaps.max_t(np.repeat(draws, 5, axis=1), np.repeat(values, 5))
    assert together == pytest.approx(alone, rel=1e-12)


def test_max_t_does_not_depend_on_units_order_or_side():
    draws, values = drawn_metrics(2, 300, 4)
    errors, critical = gaps.max_t(draws, values)
    scales, order = np.array([1000.0, -1.0, 0.001, -7.0]), [2, 0, 3, 1]
    scaled_errors, scaled = gaps.max_t((draws * scales)[:, order], (values * scales)[order])
    assert scaled == pytest.approx(critical, rel=1e-9)
    assert scaled_errors == pytest.approx((errors * np.abs(scales))[order], rel=1e-9)


def test_max_t_grows_with_columns_and_with_the_level():
    draws, values = drawn_metrics(3, 400, 6)
    by_number = [gaps.max_t(draws[:, :n], values[:n])[1] for n in range(1, 7)]
    assert by_number == sorted(by_number)
    assert by_number[-1] > by_number[0] + 0.3
    by_level = [gaps.max_t(draws, values, level)[1] for level in (0.5, 0.8, 0.95, 0.99)]
    assert by_level == sorted(by_level)


def test_columns_that_never_vary_take_no_part_in_max_t():
    draws, values = drawn_metrics(4, 300, 2)
    alone = gaps.max_t(draws, values)
    # a constant as far from its value as it likes: it has no spread to be measured by
    constant = np.zeros((300, 1))
    errors, critical = gaps.max_t(np.hstack([draws, constant]), np.append(values, 5.0))
    assert critical == alone[1]
    assert errors.tolist() == [*alone[0].tolist(), 0.0]
    assert gaps.max_t(constant, np.zeros(1))[1] == 0.0


@pytest.mark.parametrize("equal", [0.3, 0.6])
def test_a_metric_that_does_not_vary_takes_no_part_in_max_t(equal):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        groups = np.unique(rng.integers(0, 200, 280), return_inverse=True)[1]
        values = grouped(np.column_stack([rng.choice([-1.0, 0.0, 1.0], 280), np.full(280, equal)]), groups)
        drawn = gaps.bootstrap(values, 500, rng)
        alone = gaps.max_t(drawn[:, :1], values.value[:1])[1]
        assert gaps.max_t(drawn, values.value)[1] == pytest.approx(alone, rel=1e-9)


def test_draws_without_a_query_in_one_column_count_for_the_others():
    draws, values = drawn_metrics(5, 300, 2)
    some = draws.copy()
    some[:40, 1] = np.nan
    errors, critical = gaps.max_t(some, values)
    t = np.abs(some - values) / np.array([some[:, 0].std(ddof=1), some[40:, 1].std(ddof=1)])
    largest = [*t[:40, 0], *t[40:].max(axis=1)]
    assert critical == pytest.approx(np.quantile(largest, 0.95), rel=1e-9)


def test_the_max_t_band_holds_all_truths_at_once_where_single_intervals_do_not():
    columns, in_band, in_single = 8, 0, 0
    for seed in range(150):
        values = grouped(sample(seed, 80, columns))
        drawn = gaps.bootstrap(values, 200, np.random.default_rng(seed))
        errors, critical = gaps.max_t(drawn, values.value)
        low, high = gaps.interval(drawn)
        in_band += bool((np.abs(values.value) <= critical * errors).all())
        in_single += bool(((low <= 0) & (high >= 0)).all())
    # 0.95 of 150 is 142; eight independent intervals hold together in 0.95 ** 8 = 66 % of runs
    assert 134 <= in_band <= 150
    assert in_single < 120
