"""How often the tests and intervals of the gaps are wrong, on simulated queries whose true gaps are known.

Run as ``python benchmarks/calibration.py``; progress goes to stderr, Markdown tables to stdout. What they mean is said
in docs/concepts/calibration.md.

In the simulation a duplicate group has a difficulty; each side has a taste for the group and some luck with the query.
Their sum is the latent score, whose logistic is the chance of each object of the query to be found. A side that is
better by d standard deviations of the latent score gains them on every query; memorization gives the side that was
trained on a query a gain on that query.
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
from dejavu.memorization.metrics import TESTED as METRICS
from dejavu.memorization.metrics import query_values as library_values
from dejavu.memorization.permutation import POWER_QUANTILE, joint_test
from dejavu.progress import Progress, say

SIDES = ("a", "b")

GROUPS = 400  # in each role
GROUP_SIZES, GROUP_SHARES = (1, 2, 3, 4), (0.76, 0.14, 0.06, 0.04)
OBJECTS = (4, 5, 6, 7)
PREDICTED = tuple(range(15, 26))

MEAN = -0.8  # of the latent score: about a third of the objects is found
DIFFICULTY, TASTE, LUCK = 1.0, 0.6, 0.4  # standard deviations
SPREAD = float(np.sqrt(DIFFICULTY**2 + TASTE**2 + LUCK**2))  # the standard deviation of the latent score

# runs that share their resamples; their data are independent, and so, given the resamples, are their results
TOGETHER = 50
NODES = 60
PILOT_SHARE = 5  # one run in five is enough for a mean
OTHER_DRAWS = (100, 2000)

SYMMETRIC_TITLE = "1. No memorization: share of runs with p < 0.05 of `symmetric`, from permutations"
SIGN_FLIP_TITLE = "2. No memorization: share of runs with p < 0.05 on role a, from sign flips (no test of memorization)"
MEMORIES = (0.1, 0.2, 0.5)  # planted, in standard deviations of the latent score


@dataclass(frozen=True)
class Scenario:
    """What is true, in standard deviations of the latent score.

    Attributes:
        better: by how much side a is better at everything.
        memory: by how much a side is better at the queries of the role it was trained on.
    """

    better: float
    memory: float = 0.0

    @property
    def cells(self) -> list[str]:
        """As the first cells of a table's row."""
        return [f"{self.better:g}", f"{self.memory:g}"]

    def shift(self, side: str, role: str) -> float:
        """What the latent score of a side gains on the queries of a role."""
        return SPREAD * (self.better * (side == "a") + self.memory * (side == role))


@dataclass(frozen=True)
class Outcomes:
    """What the library finds in every run of a scenario; arrays are (runs, metrics).

    Attributes:
        value: the symmetric gaps.
        low, high: their 95 % percentile bootstrap intervals.
        error, critical: standard errors, and the critical value of the band over the metrics (runs, 1).
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
        """What every run states as the smallest true gap that its band shows in 80 % of runs."""
        return (self.critical + POWER_QUANTILE) * self.error

    @property
    def band_excludes_zero(self) -> np.ndarray:
        """Whether the band of each metric shows a gap."""
        return np.abs(self.value) > self.critical * self.error

    def interval_holds(self, truth: np.ndarray) -> np.ndarray:
        """Whether the interval of each metric holds its true value."""
        return (self.low <= truth) & (truth <= self.high)

    def band_holds(self, truth: np.ndarray) -> np.ndarray:
        """Whether the band of each metric holds its true value."""
        return np.abs(self.value - truth) <= self.critical * self.error


# simulation


def query_values(
    role: str, scenario: Scenario, groups: np.ndarray, rng: np.random.Generator, bonus: np.ndarray | float = 0.0
) -> np.ndarray:
    """The library's per-query values of simulated queries, float64 (queries, metrics).

    Args:
        role: whose queries, ``a`` or ``b``.
        scenario: what is true.
        groups: int (queries,), each query's duplicate group; its members share objects, difficulty and tastes.
        rng: source of chance.
        bonus: what the latent score of side a gains on each query, besides.
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
    return library_values(precision["a"], precision["b"], recall["a"], recall["b"])[:, : len(METRICS)]


def roles(scenario: Scenario, runs: int, rng: np.random.Generator) -> dict[str, gaps.Values]:
    """Role -> its queries in independent runs, side by side as columns: the metrics of run 0, of run 1, and so on."""

    def beside(summed: np.ndarray) -> np.ndarray:
        return summed.reshape(runs, GROUPS, len(METRICS)).swapaxes(0, 1).reshape(GROUPS, -1)

    found = {}
    for role in SIDES:
        groups = np.repeat(np.arange(runs * GROUPS), rng.choice(GROUP_SIZES, runs * GROUPS, p=GROUP_SHARES))
        values = gaps.by_group(query_values(role, scenario, groups, rng), groups, runs * GROUPS)
        found[role] = gaps.Values(beside(values.sums), beside(values.sizes))
    return found


def simulate(scenario: Scenario, runs: int, draws: int, rng: np.random.Generator, progress: Progress) -> Outcomes:
    """What the library finds in independent runs of a scenario."""
    parts = []
    for start in range(0, runs, TOGETHER):
        number = min(TOGETHER, runs - start)
        found = roles(scenario, number, rng)
        parts.append(_outcomes(found["a"], found["b"], draws, rng))
        progress.advance(number * draws)
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in Outcomes.__annotations__))


def _outcomes(a: gaps.Values, b: gaps.Values, draws: int, rng: np.random.Generator) -> Outcomes:
    """The statistics as dejavu.measurement.population makes them, for runs side by side in ``a`` and ``b``."""
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


# the truth


def true_symmetric(scenario: Scenario) -> np.ndarray:
    """The expectation of the symmetric gaps, float64 (metrics,), by quadrature and sums, without simulation."""
    return (_true_gap("a", scenario) - _true_gap("b", scenario)) / 2


def _true_gap(role: str, scenario: Scenario) -> np.ndarray:
    """The expected gaps on a role: given the difficulty, the sides are independent."""
    nodes, weights = _normal_nodes()
    gap = np.zeros(len(METRICS))
    for objects in OBJECTS:
        a, b = (_chances_of_correct(objects, MEAN + DIFFICULTY * nodes, scenario.shift(side, role)) for side in SIDES)
        gap += np.einsum("t,ti,tj,ijm->m", weights, a, b, _expected_values(objects)) / len(OBJECTS)
    return gap


def _normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of expectations under the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / weights.sum()


def _chances_of_correct(objects: int, difficulty: np.ndarray, shift: float) -> np.ndarray:
    """float64 (difficulties, objects + 1): chance of each number of correct objects, over taste and luck."""
    nodes, weights = _normal_nodes()
    chance = special.expit(difficulty[:, None] + np.hypot(TASTE, LUCK) * nodes + shift)
    correct = np.arange(objects + 1)
    binomial = special.comb(objects, correct) * chance[..., None] ** correct * (1 - chance[..., None]) ** correct[::-1]
    return np.einsum("j,tjc->tc", weights, binomial)


def _expected_values(objects: int) -> np.ndarray:
    """float64 (correct under a, correct under b, metrics): the per-query values, over the numbers of predictions."""
    correct = np.arange(objects + 1)
    precision = correct[:, None] / np.array(PREDICTED)
    by_precision = np.sign(precision[:, None, :, None] - precision[None, :, None, :]).mean(axis=(2, 3))
    more = correct[:, None] - correct[None, :]
    return np.stack([by_precision, np.sign(more), more / objects], axis=-1)


def simulated_symmetric(scenario: Scenario, queries: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric gaps of one sample with this many queries in each role, and their standard errors."""
    values = {role: query_values(role, scenario, np.arange(queries), rng) for role in SIDES}
    value = (values["a"].mean(axis=0) - values["b"].mean(axis=0)) / 2
    return value, np.sqrt((values["a"].var(axis=0) + values["b"].var(axis=0)) / queries) / 2


def memory_of_detectable(
    metric: int, runs: int, draws: int, rng: np.random.Generator, progress: Progress
) -> tuple[float, float]:
    """The memorization at which the true gap is what runs state as detectable on average, and that gap.

    The statement hardly depends on the memorization, so two rounds are enough.
    """

    def excess(memory: float, detectable: float) -> float:
        return true_symmetric(Scenario(0, memory))[metric] - detectable

    memory, detectable = MEMORIES[0], 0.0
    for _ in range(2):
        stated = simulate(Scenario(0, memory), runs, draws, rng, progress).detectable
        detectable = float(stated[:, metric].mean())
        memory = optimize.brentq(excess, 0, 2, args=(detectable,), xtol=1e-5)
    return memory, detectable


# tables


def share(happened: np.ndarray) -> str:
    """The share of runs in which something happened, with the exact (Clopper-Pearson) 95 % interval."""
    count, number = int(happened.sum()), len(happened)
    low, high = stats.binomtest(count, number).proportion_ci(method="exact")
    return f"{100 * count / number:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def shares(happened: np.ndarray) -> list[str]:
    """The shares of bool (runs, metrics), one for each metric."""
    return [share(column) for column in happened.T]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under its title."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([f"**{title}**", "", *("| " + " | ".join(line) + " |" for line in lines), ""])


def null_table(title: str, p_values: Mapping[Scenario, np.ndarray]) -> str:
    """How often a test sees something where nothing is memorized."""
    rows = [[f"{scenario.better:g}", *shares(p < 0.05)] for scenario, p in p_values.items()]
    return table(title, ["d", *METRICS], rows)


def coverage_table(found: Mapping[Scenario, Outcomes]) -> str:
    """How often intervals and bands hold the truth."""
    rows = []
    for scenario, run in found.items():
        truth = true_symmetric(scenario)
        rows.append([*scenario.cells, *shares(run.interval_holds(truth)), share(run.band_holds(truth).all(axis=1))])
    title = "3. Share of runs whose 95 % interval holds the true `symmetric`, and whose band holds all three at once"
    return table(title, ["d", "m", *METRICS, "band, all three"], rows)


def draws_table(runs: int, rng: np.random.Generator, progress: Progress) -> str:
    """The same coverages with fewer and with more resamples.

    Percentiles of a finite number of draws cut off a little more than they say: the mean number of draws below the
    2.5 % point of n draws is 0.025 (n - 1) + 1 of n + 1.
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


def power_table(found: Mapping[Scenario, Outcomes]) -> str:
    """How often planted memorization is found."""
    rows = []
    for scenario, run in found.items():
        rows.append([*scenario.cells, "p < 0.05", *shares(run.p_symmetric < 0.05)])
        rows.append([*scenario.cells, "interval", *shares((run.low > 0) | (run.high < 0))])
        rows.append([*scenario.cells, "band", *shares(run.band_excludes_zero)])
    title = "5. Planted memorization: share of runs with p < 0.05, whose interval excludes 0, whose band excludes 0"
    return table(title, ["d", "m", "found by", *METRICS], rows)


def detectable_table(runs: int, draws: int, rng: np.random.Generator, progress: Progress) -> str:
    """How often the band shows a true gap as large as what runs state as detectable."""
    rows = []
    for i, metric in enumerate(METRICS):
        memory, gap = memory_of_detectable(i, runs // PILOT_SHARE, draws, rng, progress)
        run = simulate(Scenario(0, memory), runs, draws, rng, progress)
        rows.append([metric, f"{memory:.3f}", f"{gap:.4f}", share(run.band_excludes_zero[:, i])])
    title = "6. A true gap as large as what runs state as detectable: share of runs whose band excludes 0"
    return table(title, ["metric", "m", "true gap = mean detectable gap", "shown"], rows)


def truth_table(scenarios: Sequence[Scenario], queries: int, rng: np.random.Generator) -> str:
    """The true values, and what one very large sample says of them."""
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
    """Runs every scenario and prints the tables as they come."""
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

    found = {scenario: simulate(scenario, runs, draws, rng, progress) for scenario in nulls + planted}
    print(null_table(SYMMETRIC_TITLE, {scenario: found[scenario].p_symmetric for scenario in nulls}))
    print(null_table(SIGN_FLIP_TITLE, {scenario: found[scenario].p_sign_flip for scenario in nulls}))
    print(coverage_table(found), flush=True)
    print(draws_table(runs, rng, progress), flush=True)
    print(power_table({scenario: found[scenario] for scenario in planted}))
    print(detectable_table(runs, draws, rng, progress), flush=True)
    progress.finish()
    print(truth_table(planted, options.queries, rng))


if __name__ == "__main__":
    main()
