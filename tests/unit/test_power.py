"""The planned power is what simulated studies have, through the same public functions that judge a finished one."""

import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.harness.databases import write_database

from dejavu.costs.power import main
from dejavu.costs.rates import COMMON, OF_DATASET, OF_MODEL, Rate, Rates
from dejavu.memorization.gaps import Values
from dejavu.memorization.permutation import joint_test
from dejavu.memorization.power import (
    groups_needed,
    power_of_replicates,
    replicates_needed,
    upper_deviation,
)
from dejavu.memorization.replicates import recipe_interval

RUNS = 2000
CONFIG = Path(__file__).parents[2] / "config" / "config.yaml"


def simulated(rng: np.random.Generator, gap: float, between: float, within: float, replicates: int) -> float:
    """The share of studies whose recipe's interval lies above 0."""
    luck = np.linspace(-1, 1, 101)
    drawn = np.tile(within * luck / luck.std(ddof=1), (replicates, 1))
    shown = 0
    for _ in range(RUNS):
        values = gap + rng.normal(0, within) + rng.normal(0, between, replicates)
        shown += recipe_interval(values, drawn).low > 0
    return shown / RUNS


@pytest.mark.parametrize(
    ("gap", "between", "within"), [(0.03, 0.02, 0.0), (0.03, 0.02, 0.005), (0.02, 0.03, 0.003), (0.05, 0.02, 0.015)]
)
def test_so_many_replicates_show_the_gap_in_four_of_five_studies(gap, between, within):
    rng = np.random.default_rng(0)
    needed = replicates_needed(gap, between, within)
    planned = power_of_replicates(gap, between, within, needed)
    assert planned >= 0.8
    assert needed == 2 or power_of_replicates(gap, between, within, needed - 1) < 0.8
    error = 3 * (planned * (1 - planned) / RUNS) ** 0.5
    assert simulated(rng, gap, between, within, needed) == pytest.approx(planned, abs=error)


@pytest.mark.parametrize("replicates", [2, 4, 9])
def test_without_noise_of_queries_the_power_is_of_the_noncentral_t(replicates):
    freedom, shift = replicates - 1, 1.3 * replicates**0.5
    wanted = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, shift)
    assert power_of_replicates(1.3, 1.0, 0.0, replicates) == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize(("replicates", "least", "most"), [(3, 0.9465, 0.965), (5, 0.95, 0.965), (8, 0.95, 0.965)])
@pytest.mark.parametrize("within", [0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 2.0, 5.0])
def test_an_interval_over_replicates_covers_95_percent_for_any_noise_of_queries(replicates, least, most, within):
    above = power_of_replicates(0.0, 1.0, within, replicates)
    assert least - 5e-4 <= 1 - 2 * above <= most + 5e-4


def test_no_number_of_replicates_shows_a_gap_below_the_noise_of_queries():
    assert replicates_needed(0.01, 0.02, 0.005) is None
    assert replicates_needed(0.02, 0.02, 0.005) is not None
    assert replicates_needed(0.02, 0.0, 0.005) == 2


def test_so_many_groups_show_the_gap_in_four_of_five_runs():
    rng = np.random.default_rng(1)

    def test_of(groups: int, gap: float):
        """Groups of both roles, half of them each, of one to three queries whose noise they share."""
        roles = []
        for sign in (1, -1):
            sizes = rng.integers(1, 4, (groups // 2, 1)).astype(float)
            values = sign * gap + rng.normal(0, 0.3, (groups // 2, 1))
            roles.append(Values(sizes * values, sizes))
        return joint_test(*roles, np.array([True]), 199, rng)

    pilot = [test_of(120, 0.1) for _ in range(50)]
    detectable = float(np.mean([test.detectable[0] for test in pilot]))
    needed = groups_needed(120, detectable, 0.04)
    assert needed == pytest.approx(120 * (detectable / 0.04) ** 2, abs=1)
    runs = 400
    found = sum(test_of(needed + needed % 2, 0.04).p_joint[0] <= 0.05 for _ in range(runs))
    assert found / runs == pytest.approx(0.8, abs=0.07)


def test_the_upper_limit_of_a_deviation_is_above_the_truth_in_four_of_five_pilots():
    rng = np.random.default_rng(2)
    measured = rng.normal(0, 2.0, (5000, 4)).std(axis=1, ddof=1)
    covered = np.mean([upper_deviation(deviation, 4) >= 2.0 for deviation in measured])
    assert covered == pytest.approx(0.8, abs=0.02)


@pytest.fixture
def pilot(tmp_path, monkeypatch):
    """A function that writes the finished run of a configuration, with replicates or without."""
    monkeypatch.chdir(tmp_path)
    a_second = [{unit: Rate(1.0, 0.0) for unit in units} for units in (COMMON, OF_DATASET, OF_MODEL)]
    memory = {"light": 100, "search": 200, "torch": 500}
    rates = Rates("a machine", "cpu", "made up", memory, a_second[0], {"*": a_second[1]}, {"*": a_second[2]})
    rates.write(tmp_path / "rates.json")
    cell = {"model": "baseline", "epoch": 1, "query": "caption", "k": 10, "labels": "all"}
    cell |= {"scope": "all", "metric": "ppg"}
    tables = {
        "sides": [{"model": "baseline", "side": side, "kind": "trained"} for side in "ab"],
        "population_gaps": [
            {**cell, "population": "symmetric", "value": 0.1, "groups": 400, "detectable": 0.04},
            {**cell, "population": "holdout", "value": 0.0, "groups": 200},
        ],
    }
    interval = {**cell, "population": "symmetric", "replicates": 4, "mean": 0.1, "between": 0.02, "within": 0.003}

    def write(*, replicated: bool) -> None:
        folder = tmp_path / "results" / "demo" / "default"
        folder.mkdir(parents=True)
        write_database(
            folder / "memorization.duckdb", tables | ({"recipe_intervals": [interval]} if replicated else {})
        )

    return write


def told(capsys, *arguments: str) -> tuple[list[str], str]:
    """The words of the table's lines of numbers, and all that was printed."""
    assert main(["--config", str(CONFIG), "--rates", "rates.json", "--cores", "2", *arguments]) == 0
    printed = capsys.readouterr().out
    return [line for line in printed.splitlines() if line.startswith("baseline")], printed


def test_the_command_says_what_shows_a_gap_and_what_it_costs(pilot, capsys):
    pilot(replicated=True)
    lines, printed = told(capsys, "--gap", "0.02,0.005")
    assert [line.split()[1:3] for line in lines] == [["PPG,", "all"]] * 2
    by_deviation = replicates_needed(0.02, 0.02, 0.003)
    by_limit = replicates_needed(0.02, upper_deviation(0.02, 4), 0.003)
    assert lines[0].split()[-5:-1] == ["0.02", "1,600", str(by_deviation), str(by_limit)]
    assert "> 1,000" in lines[1]
    of_one = float(printed.split("takes ")[1].split(" core hours")[0])
    assert of_one > 0
    assert float(lines[0].split()[-1].replace(",", "")) == pytest.approx(of_one * (by_deviation - 4), rel=0.01)


def test_nothing_is_said_of_replicates_where_one_pair_of_models_was_trained(pilot, capsys):
    pilot(replicated=False)
    lines, printed = told(capsys, "--without-cost")
    assert lines[0].split()[-4:] == ["1,600", "–", "–", "–"]
    assert "One pair of models says nothing of the noise of training" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gap", "much"], "--gap is 'much'"),
        (["--gap", "0"], "--gap is '0'"),
        (["--gaps-of", "1"], "make power: it does not know --gaps-of 1"),
        (["--split", "defaults"], "--split is 'defaults', which is no split (did you mean 'default'?)"),
        ([], "there is no results/demo/default/memorization.duckdb: run the workflow"),
    ],
)
def test_a_wrong_question_of_power_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["power", "--config", str(CONFIG), *arguments])
    with pytest.raises(SystemExit) as end, warnings.catch_warnings():
        # the module was imported before
        warnings.simplefilter("ignore", RuntimeWarning)
        runpy.run_module("dejavu.costs.power", run_name="__main__")
    assert end.value.code == 1
    assert words in capsys.readouterr().err
