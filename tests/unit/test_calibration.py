"""A short version of benchmarks/calibration.py: the tests and intervals of the gaps are wrong as often as they say.

Everything that is believed here of the library is shown to be refused of a version of it that is broken.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from simulations import scores as simulation

from dejavu.progress import Progress

ROOT = Path(__file__).resolve().parents[2]


RUNS, DRAWS = 400, 200
AUCG = simulation.METRICS.index("aucg")
REMEMBERED = simulation.Scenario(better=1, memory=0.2)


def simulate(scenario, runs: int = RUNS):
    return simulation.simulate(scenario, runs, DRAWS, np.random.default_rng(1), Progress("test", 0, "resamples"))


@pytest.fixture(scope="module")
def forgetful():
    """Side a is better at everything by two standard deviations, and nothing is memorized."""
    return simulate(simulation.Scenario(better=2))


@pytest.fixture(scope="module")
def remembered():
    return simulate(REMEMBERED)


def believable(happened: np.ndarray, share: float) -> bool:
    """Whether each column of bool (runs, columns) may well be of events with this probability."""
    columns = happened.reshape(len(happened), -1).T
    return all(stats.binomtest(int(column.sum()), len(column), share).pvalue > 1e-3 for column in columns)


def test_without_memorization_the_symmetric_test_keeps_its_level(forgetful):
    assert believable(forgetful.p_symmetric < 0.05, 0.05)
    assert not believable(np.zeros((RUNS, 1), dtype=bool), 0.05), "a test that never rejects would pass"


def test_a_sign_flip_test_is_no_test_of_memorization(forgetful):
    assert not believable(forgetful.p_sign_flip < 0.05, 0.05)
    assert (forgetful.p_sign_flip < 0.05).all()


def test_the_interval_holds_the_truth_as_often_as_it_says(remembered):
    truth = simulation.true_symmetric(REMEMBERED)
    assert believable(remembered.interval_holds(truth), 0.95)
    middle, half = (remembered.low + remembered.high) / 2, (remembered.high - remembered.low) / 2
    assert not believable(np.abs(middle - truth) <= half / 2, 0.95), "an interval of half the width would pass"
    assert not believable(np.abs(middle - truth) <= 2 * half, 0.95), "an interval of twice the width would pass"


@pytest.mark.parametrize("where", ["forgetful", "remembered"])
def test_the_band_holds_all_truths_at_once_as_often_as_it_says(where, request):
    run = request.getfixturevalue(where)
    truth = simulation.true_symmetric(REMEMBERED) if where == "remembered" else np.zeros(3)
    held = run.band_holds(truth).all(axis=1)
    assert believable(held, 0.95)
    assert held.sum() > run.interval_holds(truth).all(axis=1).sum(), "the band is no wider than an interval"
    assert not believable((np.abs(run.value - truth) <= run.critical * run.error / 2).all(axis=1), 0.95)


def test_the_detectable_gap_is_shown_in_four_of_five_runs():
    rng, progress = np.random.default_rng(2), Progress("test", 0, "resamples")
    memory, gap = simulation.memory_of_detectable(AUCG, 100, DRAWS, rng, progress)
    assert simulation.true_symmetric(simulation.Scenario(0, memory))[AUCG] == pytest.approx(gap, abs=1e-4)
    run = simulate(simulation.Scenario(0, memory))
    assert believable(run.band_excludes_zero[:, AUCG], 0.8)
    # a gap of the critical value times the error, without the term for the power, is shown in every other run
    smaller = dataclasses.replace(run, value=run.value - simulation.POWER_QUANTILE * run.error)
    assert not believable(smaller.band_excludes_zero[:, AUCG], 0.8)


def test_without_memorization_the_true_symmetric_gap_is_zero():
    for better in (0, 1, 2):
        assert simulation.true_symmetric(simulation.Scenario(better)) == pytest.approx(np.zeros(3), abs=1e-12)


def test_the_true_gaps_are_those_of_a_large_sample():
    value, error = simulation.simulated_symmetric(REMEMBERED, 100_000, np.random.default_rng(3))
    assert (np.abs(value - simulation.true_symmetric(REMEMBERED)) < 4 * error).all()
    assert (error < 0.03 * value).all()


def titles_in(script: Path) -> list[str]:
    """What begins with a number and a full stop among the texts of a script; of a formatted text its beginning."""
    constants = (
        node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    )
    return [node.value for node in constants if isinstance(node.value, str) and re.match(r"\d+\. \w", node.value)]


def test_the_page_shows_the_tables_that_the_scripts_print():
    shown = (ROOT / "docs" / "concepts" / "calibration.md").read_text(encoding="utf-8")
    titles = [
        title
        for name in ("calibration", "verdicts", "evidence")
        for title in titles_in(ROOT / "benchmarks" / f"{name}.py")
    ]
    assert sorted(int(title.split(".")[0]) for title in titles) == list(range(1, 14))
    assert all(title in shown for title in titles)
