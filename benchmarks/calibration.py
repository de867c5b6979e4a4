"""Error rates of the tests and intervals of the gaps, on simulated queries whose true gaps are known.

Run ``python benchmarks/calibration.py``; progress goes to stderr, Markdown tables to stdout. The page
docs/concepts/calibration.md explains the tables.

In the simulation each duplicate group has a difficulty, each side has a taste for the group, and some luck with each
query. The sum of the three is the latent score; its logistic function is the probability that the side finds an object
of the query. A side that is better by d gains d standard deviations of the latent score on every query. Memorization
gives the side that was trained on a query a gain on this query.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, special, stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS
from dejavu.memorization.metrics import query_values as library_values
from dejavu.memorization.permutation import POWER_QUANTILE, joint_test
from dejavu.progress import Progress, say

SIDES = ("a", "b")
METRICS = ("ppg", "prg", "aucg")  # the metrics whose true values this script works out
PLACES = [KEYS.index(metric) for metric in METRICS]

GROUPS = 400  # in each role
GROUP_SIZES, GROUP_SHARES = (1, 2, 3, 4), (0.76, 0.14, 0.06, 0.04)
OBJECTS = (4, 5, 6, 7)
PREDICTED = tuple(range(15, 26))

MEAN = -0.8  # mean of the latent score: a side finds about a third of the objects
DIFFICULTY, TASTE, LUCK = 1.0, 0.6, 0.4  # standard deviations
SPREAD = float(np.sqrt(DIFFICULTY**2 + TASTE**2 + LUCK**2))  # the standard deviation of the latent score

# Number of runs that share their resamples, to save time. Their data are independent, and so are their results, given
# the resamples.
TOGETHER = 50
NODES = 60
PILOT_SHARE = 5  # a mean needs only one run in five
OTHER_DRAWS = (100, 2000)

SYMMETRIC_TITLE = "1. No memorization: share of runs with p < 0.05 of `symmetric`, from permutations"
SIGN_FLIP_TITLE = "2. No memorization: share of runs with p < 0.05 on role a, from sign flips (no test of memorization)"
MEMORIES = (0.1, 0.2, 0.5)  # planted memorization, in standard deviations of the latent score


@dataclass(frozen=True)
class Scenario:
    """The truth of a simulation, in standard deviations of the latent score.

    Attributes:
        better: how much better side a is at everything.
        memory: how much better each side is at the queries of the role that it was trained on.
    """

    better: float
    memory: float = 0.0

    @property
    def cells(self) -> list[str]:
        """Return the first cells of the scenario's rows in a table."""
        return [f"{self.better:g}", f"{self.memory:g}"]

    def shift(self, side: str, role: str) -> float:
        """Return the gain of a side's latent score on the queries of a role."""
        return SPREAD * (self.better * (side == "a") + self.memory * (side == role))


@dataclass(frozen=True)
class Outcomes:
    """The library's results in every run of a scenario; arrays are (runs, metrics).

    Attributes:
        value: the symmetric gaps.
        low, high: 95 % percentile bootstrap intervals of the gaps.
        error: standard errors of the gaps.
        critical: critical values of the bands over the metrics, (runs, 1).
        p_symmetric: p-values of the permutation test of the symmetric gaps.
        p_sign_flip: p-values of the sign-flip test on role a.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    critical: np.ndarray
    p_symmetric: np.ndarray
    p_sign_flip: np.ndarray

    @property
    def detectable(self) -> np.ndarray:
        """Return the detectable gap that each run states: the smallest true gap that its band shows in 80 % of runs."""
        return (self.critical + POWER_QUANTILE) * self.error

    @property
    def band_excludes_zero(self) -> np.ndarray:
        """Return whether the band of each metric shows a gap."""
        return np.abs(self.value) > self.critical * self.error

    def interval_holds(self, truth: np.ndarray) -> np.ndarray:
        """Return whether the interval of each metric covers the metric's true value."""
        return (self.low <= truth) & (truth <= self.high)

    def band_holds(self, truth: np.ndarray) -> np.ndarray:
        """Return whether the band of each metric covers the metric's true value."""
        return np.abs(self.value - truth) <= self.critical * self.error


# The simulation.


def query_values(
    role: str, scenario: Scenario, groups: np.ndarray, rng: np.random.Generator, bonus: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return the library's per-query values of simulated queries, float64 (queries, metrics).

    Args:
        role: role of the queries, ``a`` or ``b``.
        scenario: the truth.
        groups: int (queries,), each query's duplicate group; its members share objects, difficulty and tastes.
        rng: source of random numbers.
        bonus: further gain of side a's latent score on each query.
    """
    queries, number = len(groups), int(groups.max()) + 1
    objects = rng.choice(OBJECTS, number)[groups]
    difficulty = rng.normal(MEAN, DIFFICULTY, number)[groups]
    precision, recall = {}, {}
    for side in SIDES:
        taste, luck = rng.normal(0, TASTE, number)[groups], rng.normal(0, LUCK, queries)
        latent = difficulty + taste + luck + scenario.shift(side, role) + bonus * (side == "a")
        correct = rng.binomial(objects, special.expit(latent))
        precision[side] = correct / rng.choice(PREDICTED, queries)
        recall[side] = correct / objects
    return library_values(precision["a"], precision["b"], recall["a"], recall["b"])[:, PLACES]


def roles(scenario: Scenario, runs: int, rng: np.random.Generator) -> dict[str, gaps.Values]:
    """Return role -> its queries in independent runs, as columns: the metrics of run 0, then those of run 1, …"""

    def beside(summed: np.ndarray) -> np.ndarray:
        return summed.reshape(runs, GROUPS, len(METRICS)).swapaxes(0, 1).reshape(GROUPS, -1)

    by_role = {}
    for role in SIDES:
        groups = np.repeat(np.arange(runs * GROUPS), rng.choice(GROUP_SIZES, runs * GROUPS, p=GROUP_SHARES))
        values = gaps.by_group(query_values(role, scenario, groups, rng), groups, runs * GROUPS)
        by_role[role] = gaps.Values(beside(values.sums), beside(values.sizes))
    return by_role


def simulate(scenario: Scenario, runs: int, draws: int, rng: np.random.Generator, progress: Progress) -> Outcomes:
    """Return the library's results in independent runs of a scenario."""
    parts = []
    for start in range(0, runs, TOGETHER):
        number = min(TOGETHER, runs - start)
        by_role = roles(scenario, number, rng)
        parts.append(_outcomes(by_role["a"], by_role["b"], draws, rng))
        progress.advance(number * draws)
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in Outcomes.__annotations__))


def _outcomes(a: gaps.Values, b: gaps.Values, draws: int, rng: np.random.Generator) -> Outcomes:
    """Return the statistics as dejavu.measurement.population computes them; runs are columns of ``a`` and ``b``."""
    value = (a.value - b.value) / 2
    drawn = (gaps.bootstrap(a, draws, rng) - gaps.bootstrap(b, draws, rng)) / 2
    low, high = gaps.interval(drawn)
    width = len(METRICS)
    bands = [gaps.max_t(drawn[:, i : i + width], value[i : i + width]) for i in range(0, len(value), width)]
    p_symmetric = joint_test(a, b, np.ones(len(value), dtype=bool), draws, rng).p_value
    p_sign_flip = gaps.sign_flip_p_value(a, draws, rng)
    return Outcomes(
        *(array.reshape(-1, width) for array in (value, low, high)),
        error=np.array([errors for errors, _ in bands]),
        critical=np.array([[critical] for _, critical in bands]),
        p_symmetric=p_symmetric.reshape(-1, width),
        p_sign_flip=p_sign_flip.reshape(-1, width),
    )


# The truth.


def true_symmetric(scenario: Scenario) -> np.ndarray:
    """Return the expectation of the symmetric gaps, float64 (metrics,), by quadrature and sums, without simulation."""
    return (_true_gap("a", scenario) - _true_gap("b", scenario)) / 2


def _true_gap(role: str, scenario: Scenario) -> np.ndarray:
    """Return the expected gaps on a role; the sum uses that the sides are independent given the difficulty."""
    nodes, weights = _normal_nodes()
    gap = np.zeros(len(METRICS))
    for objects in OBJECTS:
        a, b = (_chances_of_correct(objects, MEAN + DIFFICULTY * nodes, scenario.shift(side, role)) for side in SIDES)
        gap += np.einsum("t,ti,tj,ijm->m", weights, a, b, _expected_values(objects)) / len(OBJECTS)
    return gap


def _normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of a quadrature for expectations under the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / weights.sum()


def _chances_of_correct(objects: int, difficulty: np.ndarray, shift: float) -> np.ndarray:
    """Return the probability of each number of correct objects; float64 (difficulties, objects + 1)."""
    nodes, weights = _normal_nodes()
    chance = special.expit(difficulty[:, None] + np.hypot(TASTE, LUCK) * nodes + shift)
    correct = np.arange(objects + 1)
    binomial = special.comb(objects, correct) * chance[..., None] ** correct * (1 - chance[..., None]) ** correct[::-1]
    return np.einsum("j,tjc->tc", weights, binomial)


def _expected_values(objects: int) -> np.ndarray:
    """Return the per-query values, averaged over the numbers of predictions.

    Returns:
        float64 (correct under a, correct under b, metrics).
    """
    correct = np.arange(objects + 1)
    precision = correct[:, None] / np.array(PREDICTED)
    by_precision = np.sign(precision[:, None, :, None] - precision[None, :, None, :]).mean(axis=(2, 3))
    more = correct[:, None] - correct[None, :]
    return np.stack([by_precision, np.sign(more), more / objects], axis=-1)


def simulated_symmetric(scenario: Scenario, queries: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the symmetric gaps of one simulation with ``queries`` queries in each role, and their standard errors."""
    values = {role: query_values(role, scenario, np.arange(queries), rng) for role in SIDES}
    value = (values["a"].mean(axis=0) - values["b"].mean(axis=0)) / 2
    return value, np.sqrt((values["a"].var(axis=0) + values["b"].var(axis=0)) / queries) / 2


def memory_of_detectable(
    metric: int, runs: int, draws: int, rng: np.random.Generator, progress: Progress
) -> tuple[float, float]:
    """Return the memorization whose true gap equals the mean detectable gap of its runs, and this gap.

    The detectable gap hardly depends on the memorization, so two rounds of simulation are enough.
    """

    def excess(memory: float, detectable: float) -> float:
        return true_symmetric(Scenario(0, memory))[metric] - detectable

    memory, detectable = MEMORIES[0], 0.0
    for _ in range(2):
        stated = simulate(Scenario(0, memory), runs, draws, rng, progress).detectable
        detectable = float(stated[:, metric].mean())
        memory = optimize.brentq(excess, 0, 2, args=(detectable,), xtol=1e-5)
    return memory, detectable


# The tables.


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
