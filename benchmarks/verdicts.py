"""Error rates of the verdicts where groups are few, unequal or listed, on simulated queries whose truth is known.

Run ``python benchmarks/verdicts.py``; progress goes to stderr, Markdown tables to stdout. docs/concepts/calibration.md
explains the tables, and simulations/scores.py the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


from simulations.scores import METRICS, Case, mixed, sizes_of, values_of, with_giant, zipf

from benchmarks.calibration import share, table
from dejavu.memorization import gaps
from dejavu.memorization.permutation import effective_groups, joint_test
from dejavu.memorization.verdicts import FEWEST_GROUPS, LEVEL
from dejavu.progress import Progress


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
