"""Error rates of the tests and intervals of the gaps, on simulated queries whose true gaps are known.

Run ``python benchmarks/calibration.py``; progress goes to stderr, Markdown tables to stdout. The page
docs/concepts/calibration.md explains the tables, and simulations/scores.py the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from simulations.scores import (
    MEMORIES,
    METRICS,
    Outcomes,
    Scenario,
    memory_of_detectable,
    simulate,
    simulated_symmetric,
    true_symmetric,
)

from dejavu.progress import Progress, say

PILOT_SHARE = 5  # one run in five is enough for a mean
OTHER_DRAWS = (100, 2000)

SYMMETRIC_TITLE = "1. No memorization: share of runs with p < 0.05 of `symmetric`, from permutations"
SIGN_FLIP_TITLE = "2. No memorization: share of runs with p < 0.05 on role a, from sign flips (no test of memorization)"


def share(happened: np.ndarray) -> str:
    """Return the share of runs with True, with its exact (Clopper-Pearson) 95 % interval."""
    count, number = int(happened.sum()), len(happened)
    low, high = stats.binomtest(count, number).proportion_ci(method="exact")
    return f"{100 * count / number:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def shares(happened: np.ndarray) -> list[str]:
    """Return the shares of runs with True, one for each metric, of an array bool (runs, metrics)."""
    return [share(column) for column in happened.T]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table below its title."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([f"**{title}**", "", *("| " + " | ".join(line) + " |" for line in lines), ""])


def null_table(title: str, p_values: Mapping[Scenario, np.ndarray]) -> str:
    """Return the table of a test's false alarms where nothing is memorized."""
    rows = [[f"{scenario.better:g}", *shares(p < 0.05)] for scenario, p in p_values.items()]
    return table(title, ["d", *METRICS], rows)


def coverage_table(outcomes: Mapping[Scenario, Outcomes]) -> str:
    """Return the table of the coverage of intervals and bands."""
    rows = []
    for scenario, run in outcomes.items():
        truth = true_symmetric(scenario)
        rows.append([*scenario.cells, *shares(run.interval_holds(truth)), share(run.band_holds(truth).all(axis=1))])
    title = "3. Share of runs whose 95 % interval holds the true `symmetric`, and whose band holds all three at once"
    return table(title, ["d", "m", *METRICS, "band, all three"], rows)


def draws_table(runs: int, rng: np.random.Generator, progress: Progress) -> str:
    """Return the table of the coverage with fewer and with more resamples.

    A percentile interval from a finite number of draws covers slightly less than its nominal confidence: of n + 1
    exchangeable values, 0.025 (n - 1) + 1 are expected below the 2.5 % percentile of n draws.
    """
    scenario, rows = Scenario(0, MEMORIES[1]), []
    truth = true_symmetric(scenario)
    for draws in OTHER_DRAWS:
        run = simulate(scenario, runs, draws, rng, progress)
        expected = 1 - 2 * (0.025 * (draws - 1) + 1) / (draws + 1)
        held = shares(run.interval_holds(truth)), share(run.band_holds(truth).all(axis=1))
        rows.append([f"{draws:,}", f"{100 * expected:.1f} %", *held[0], held[1]])
    title = (
        f"4. The coverages of table 3 at d = {scenario.better:g}, m = {scenario.memory:g} with other numbers of draws"
    )
    return table(title, ["draws", "expected of intervals", *METRICS, "band, all three"], rows)


def power_table(outcomes: Mapping[Scenario, Outcomes]) -> str:
    """Return the table of detections of planted memorization."""
    rows = []
    for scenario, run in outcomes.items():
        rows.append([*scenario.cells, "p < 0.05", *shares(run.p_symmetric < 0.05)])
        rows.append([*scenario.cells, "interval", *shares((run.low > 0) | (run.high < 0))])
        rows.append([*scenario.cells, "band", *shares(run.band_excludes_zero)])
    title = "5. Planted memorization: share of runs with p < 0.05, whose interval excludes 0, whose band excludes 0"
    return table(title, ["d", "m", "found by", *METRICS], rows)


def detectable_table(runs: int, draws: int, rng: np.random.Generator, progress: Progress) -> str:
    """Return the table of how often the band shows a true gap of the size that runs state as detectable."""
    rows = []
    for i, metric in enumerate(METRICS):
        memory, gap = memory_of_detectable(i, runs // PILOT_SHARE, draws, rng, progress)
        run = simulate(Scenario(0, memory), runs, draws, rng, progress)
        rows.append([metric, f"{memory:.3f}", f"{gap:.4f}", share(run.band_excludes_zero[:, i])])
    title = "6. A true gap as large as what runs state as detectable: share of runs whose band excludes 0"
    return table(title, ["metric", "m", "true gap = mean detectable gap", "shown"], rows)


def truth_table(scenarios: Sequence[Scenario], queries: int, rng: np.random.Generator) -> str:
    """Return the table of the true values, and of their estimates from one very large simulation."""
    rows = []
    for scenario in scenarios:
        exact, (value, error) = true_symmetric(scenario), simulated_symmetric(scenario, queries, rng)
        off = (value - exact) / error
        rows += [
            [*scenario.cells, metric, f"{exact[i]:.5f}", f"{value[i]:.5f}", f"{off[i]:+.1f}"]
            for i, metric in enumerate(METRICS)
        ]
        say(f"[calibration] compared the truth at d = {scenario.better:g}, m = {scenario.memory:g} with a large sample")
    title = f"7. The true `symmetric`, and a sample of {queries:,} queries in each role"
    return table(title, ["d", "m", "metric", "true", "sample", "off, in standard errors"], rows)


def main() -> None:
    """Run every scenario, and print each table as soon as it is complete."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--runs", type=int, default=6000, help="simulated runs of each scenario")
    parser.add_argument("--draws", type=int, default=500, help="resamples and permutations in each run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--queries", type=int, default=2_000_000, help="of the very large samples, in each role")
    options = parser.parse_args()
    runs, draws, rng = options.runs, options.draws, np.random.default_rng(options.seed)
    nulls = [Scenario(better) for better in (0, 1, 2)]
    planted = [Scenario(better, memory) for better in (0, 1) for memory in MEMORIES]
    detecting = (runs + 2 * (runs // PILOT_SHARE)) * len(METRICS)
    total = (runs * len(nulls + planted) + detecting) * draws + runs * sum(OTHER_DRAWS)
    progress = Progress("calibration", total, "resamples")

    outcomes = {scenario: simulate(scenario, runs, draws, rng, progress) for scenario in nulls + planted}
    print(null_table(SYMMETRIC_TITLE, {scenario: outcomes[scenario].p_symmetric for scenario in nulls}))
    print(null_table(SIGN_FLIP_TITLE, {scenario: outcomes[scenario].p_sign_flip for scenario in nulls}))
    print(coverage_table(outcomes), flush=True)
    print(draws_table(runs, rng, progress), flush=True)
    print(power_table({scenario: outcomes[scenario] for scenario in planted}))
    print(detectable_table(runs, draws, rng, progress), flush=True)
    progress.finish()
    print(truth_table(planted, options.queries, rng))


if __name__ == "__main__":
    main()
