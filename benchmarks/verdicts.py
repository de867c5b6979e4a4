"""Error rates of the verdicts where groups are few, unequal or listed, on simulated queries whose truth is known.

Run ``python benchmarks/verdicts.py``; progress goes to stderr, Markdown tables to stdout. docs/concepts/calibration.md
explains the tables. Queries are drawn as in benchmarks/calibration.py, which also defines the terms.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


from benchmarks.calibration import METRICS, Scenario, query_values, share, table
from dejavu.memorization import gaps
from dejavu.memorization.permutation import effective_groups, joint_test
from dejavu.memorization.verdicts import FEWEST_GROUPS, LEVEL
from dejavu.progress import Progress

# Gain in the latent score for each doubling of a group's size where role a is listed: about 0.1 of recall.
EASIER = 0.5
Sizes = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """The roles of a simulated run.

    Attributes:
        name: name of the case in the table.
        a, b, holdout: functions that draw the sizes of the role's groups.
        better: how much better side a is at everything, in standard deviations of the latent score.
        memory_a, memory_b: how much better the side is at the queries of its own role, in the same unit.
        listed: whether role a is a list. Larger groups are then listed more often, and are easier for side a.
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
    """Return a function that draws groups of one size."""
    return lambda rng: np.full(groups, size)


def mixed(groups: int) -> Sizes:
    """Return a function that draws groups of mostly single samples, as in benchmarks/calibration.py."""
    return lambda rng: rng.choice((1, 2, 3, 4), groups, p=(0.76, 0.14, 0.06, 0.04))


def zipf(groups: int) -> Sizes:
    """Return a function that draws sizes with a heavy tail: by Zipf's law, at most 200."""
    return lambda rng: np.minimum(rng.zipf(1.8, groups), 200)


def with_giant(groups: int) -> Sizes:
    """Return a function that draws single samples and, with probability 1/2, a group of a third of the role."""
    return lambda rng: np.append(np.ones(groups, dtype=int), groups // 2 if rng.random() < 0.5 else 1)


def values_of(role: str, sizes: np.ndarray, case: Case, rng: np.random.Generator) -> gaps.Values:
    """Return the per-query values of a role by group; where role a is listed, larger groups are easier for side a."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    memory = {"a": case.memory_a, "b": case.memory_b}.get(role, 0.0)
    bonus = EASIER * np.log2(sizes)[groups] if case.listed else np.zeros(len(groups))
    # Side a has learned what is common in any training set, so it gains on large groups in every role.
    values = query_values(role, Scenario(case.better, memory), groups, rng, bonus)
    return gaps.by_group(values, groups, len(sizes))


def sizes_of(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return role -> the sizes of its groups."""
    if not case.listed:
        return {"a": case.a(rng), "b": case.b(rng), "holdout": case.holdout(rng)}
    every = case.a(rng)
    # Each sample is listed with probability 0.15, independently, and takes its whole group along.
    listed = rng.random(len(every)) < 1 - 0.85**every
    rest = every[~listed]
    half = rng.random(len(rest)) < 0.5
    return {"a": every[listed], "b": rest[half], "holdout": rest[~half]}


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of all runs of a case, bool (runs,).

    Attributes:
        band: whether the lower end of the bootstrap band of any metric is above 0.
        joint: whether the joint test detects memorization.
        stratified: whether the joint test detects it with labels permuted among groups of equal size only.
        enough: whether there are enough groups for a verdict.
        placebo: whether the joint test detects memorization between halves of the holdout.
        a, b: whether the comparison with the holdout detects that the side remembers.
    """

    band: np.ndarray
    joint: np.ndarray
    stratified: np.ndarray
    enough: np.ndarray
    placebo: np.ndarray
    a: np.ndarray
    b: np.ndarray


def run(case: Case, runs: int, draws: int, rng: np.random.Generator, progress: Progress) -> Outcomes:
    """Return the outcomes of independent runs of a case."""
    rows = []
    for _ in range(runs):
        rows.append(_outcome(case, draws, rng))
        progress.advance(1)
    return Outcomes(*(np.array(column) for column in zip(*rows, strict=True)))


def _outcome(case: Case, draws: int, rng: np.random.Generator) -> tuple[bool, ...]:
    sizes = sizes_of(case, rng)
    roles = {role: values_of(role, of_role, case, rng) for role, of_role in sizes.items()}
    family = np.ones(len(METRICS), dtype=bool)

    def finds(first: gaps.Values, second: gaps.Values, scale: float = 0.5, strata: tuple | None = None) -> bool:
        p = joint_test(first, second, family, draws, rng, scale=scale, strata=strata).p_joint
        return bool(np.nan_to_num(p, nan=1.0).min() <= LEVEL)

    a, b, holdout = roles["a"], roles["b"], roles["holdout"]
    order = rng.permutation(len(holdout.sums))
    halves = [gaps.Values(holdout.sums[h], holdout.sizes[h]) for h in np.array_split(order, 2)]
    drawn = (gaps.bootstrap(a, draws, rng) - gaps.bootstrap(b, draws, rng)) / 2
    value = (a.value - b.value) / 2
    errors, critical = gaps.max_t(drawn, value)
    enough = min(effective_groups(a).min(), effective_groups(b).min()) >= FEWEST_GROUPS
    return (
        bool((value > critical * errors).any()),
        finds(a, b),
        finds(a, b, strata=(sizes["a"], sizes["b"])),
        bool(enough),
        finds(halves[0], halves[1]),
        finds(a, holdout, 1.0),
        finds(holdout, b, 1.0),
    )


FEW = (5, 12, 30, 50)
SATURATED = 4.0
CASES = (
    *(Case(f"{n} groups a role", mixed(n), mixed(n), mixed(4 * n)) for n in FEW),
    Case("400 groups a role", mixed(400), mixed(400), mixed(800)),
    Case("40 groups against 800", mixed(40), mixed(800), mixed(400)),
    Case(f"40 against 800, a better by {SATURATED:g}", mixed(40), mixed(800), mixed(400), better=SATURATED),
    Case("Zipf-sized groups", zipf(300), zipf(300), zipf(600)),
    Case("one group of a third of a role", with_giant(150), with_giant(150), mixed(300)),
)
LISTED = (
    Case("role a is a list", zipf(900), zipf(0), zipf(0), listed=True),
    Case("role a is a list, a better by 1", zipf(900), zipf(0), zipf(0), better=1.0, listed=True),
)
PLANTED = (
    *(Case(f"both remember {m:g}", mixed(400), mixed(400), mixed(800), 0.0, m, m) for m in (0.1, 0.2)),
    Case("both remember 0.2, a better by 1", mixed(400), mixed(400), mixed(800), 1.0, 0.2, 0.2),
    Case("only a remembers 0.5", mixed(400), mixed(400), mixed(800), 0.0, 0.5, 0.0),
    Case("only b remembers 0.5, a better by 1", mixed(400), mixed(400), mixed(800), 1.0, 0.0, 0.5),
    *(Case(f"none, a better by {d:g}", mixed(400), mixed(400), mixed(800), d) for d in (0.0, 1.0, 2.0)),
)
PLANTED_SHARE = 4
NULL_TITLE = "8. No memorization: share of runs that say there is, by what a verdict could be drawn from"
LISTED_TITLE = "9. No memorization, role a listed, repeated things easier: share of runs that say there is"
PLANTED_TITLE = "10. Planted memorization: share of runs that find it, and in which side"


def null_table(outcomes: Mapping[Case, Outcomes]) -> str:
    """Return the table of false alarms where nothing is memorized, for each kind of test."""
    head = ["case", "band above 0", "joint test", "placebo", f"runs with {FEWEST_GROUPS} effective groups"]
    rows = [
        [c.name, share(runs.band), share(runs.joint), share(runs.placebo), share(runs.enough)]
        for c, runs in outcomes.items()
    ]
    return table(NULL_TITLE, head, rows)


def listed_table(outcomes: Mapping[Case, Outcomes]) -> str:
    """Return the table of false alarms where nothing is memorized and role a is a list."""
    head = ["case", "band above 0", "joint test", "joint test among groups of one size"]
    rows = [[c.name, share(runs.band), share(runs.joint), share(runs.stratified)] for c, runs in outcomes.items()]
    return table(LISTED_TITLE, head, rows)


def planted_table(outcomes: Mapping[Case, Outcomes]) -> str:
    """Return the table of detections of planted memorization, and of the sides that the test names."""
    head = ["case", "band above 0", "joint test", "of these: model a", "model b", "both", "not known"]
    rows = []
    for case, runs in outcomes.items():
        a, b = runs.a[runs.joint], runs.b[runs.joint]
        sides = [a & ~b, b & ~a, a & b, ~a & ~b]
        rows.append([case.name, share(runs.band), share(runs.joint), *(share(s) if len(s) else "–" for s in sides)])
    return table(PLANTED_TITLE, head, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every case and print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=2000, help="simulated runs of a case; a quarter where it is planted"
    )
    parser.add_argument("--draws", type=int, default=200, help="resamples and permutations in each run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    fewer = max(1, options.runs // PLANTED_SHARE)
    progress = Progress("verdicts", options.runs * len(CASES + LISTED) + fewer * len(PLANTED), "runs")
    for cases, runs, show in (
        (CASES, options.runs, null_table),
        (LISTED, options.runs, listed_table),
        (PLANTED, fewer, planted_table),
    ):
        print(show({c: run(c, runs, options.draws, rng, progress) for c in cases}), flush=True)
    progress.finish()


if __name__ == "__main__":
    main()
