"""Simulated queries whose true gaps are known, for tests and for the tables of docs/concepts/calibration.md.

A duplicate group has a difficulty; each side has a taste for the group and some luck with the query. Their sum is the
latent score, whose logistic is the chance of each object of the query to be found. A side that is better by d standard
deviations of the latent score gains them on every query; memorization gives the side that was trained on a query a gain
on that query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS
from dejavu.memorization.metrics import query_values as library_values
from dejavu.memorization.permutation import POWER_QUANTILE, joint_test
from dejavu.progress import Progress

SIDES = ("a", "b")
METRICS = ("ppg", "prg", "aucg")  # the metrics whose true values the simulation works out
PLACES = [KEYS.index(metric) for metric in METRICS]

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


# The simulation.


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
    return library_values(precision["a"], precision["b"], recall["a"], recall["b"])[:, PLACES]


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


# roles of a run

# what repeated things gain in the latent score, about 0.1 of recall
EASIER = 0.5
Sizes = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """Roles of a run.

    Attributes:
        name: in the table.
        a, b, holdout: draw the sizes of the role's groups.
        better: by how much side a is better at everything, in standard deviations of the latent score.
        memory: side -> by how much it is better at the queries of its own role.
        listed: whether role a is a list: what is repeated is listed more often, and easier.
    """

    name: str
    a: Sizes
    b: Sizes
    holdout: Sizes
    better: float = 0.0
    memory_a: float = 0.0
    memory_b: float = 0.0
    listed: bool = False


def equal(groups: int, size: int = 1) -> Sizes:
    """Groups of one size."""
    return lambda rng: np.full(groups, size)


def mixed(groups: int) -> Sizes:
    """Mostly single samples, as in benchmarks/calibration.py."""
    return lambda rng: rng.choice((1, 2, 3, 4), groups, p=(0.76, 0.14, 0.06, 0.04))


def zipf(groups: int) -> Sizes:
    """Heavy tails: sizes by Zipf's law, at most 200."""
    return lambda rng: np.minimum(rng.zipf(1.8, groups), 200)


def with_giant(groups: int) -> Sizes:
    """Single samples and, in one of two roles by chance, a group of a third of the role."""
    return lambda rng: np.append(np.ones(groups, dtype=int), groups // 2 if rng.random() < 0.5 else 1)


def values_of(role: str, sizes: np.ndarray, case: Case, rng: np.random.Generator) -> gaps.Values:
    """The per-query values of a role by group; a group's size makes its queries easier where roles are listed."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    memory = {"a": case.memory_a, "b": case.memory_b}.get(role, 0.0)
    bonus = EASIER * np.log2(sizes)[groups] if case.listed else np.zeros(len(groups))
    # easier for side a, which has learned what is common, whatever it was trained on
    found = query_values(role, Scenario(case.better, memory), groups, rng, bonus)
    return gaps.by_group(found, groups, len(sizes))


def sizes_of(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Role -> sizes of its groups."""
    if not case.listed:
        return {"a": case.a(rng), "b": case.b(rng), "holdout": case.holdout(rng)}
    every = case.a(rng)
    # a sample is listed with a chance of its own, and takes its group along
    listed = rng.random(len(every)) < 1 - 0.85**every
    rest = every[~listed]
    half = rng.random(len(rest)) < 0.5
    return {"a": every[listed], "b": rest[half], "holdout": rest[~half]}
