"""How often claims about single samples, a recipe and privacy are wrong, where the truth is known.

Run as ``python benchmarks/evidence.py``; progress goes to stderr, Markdown tables to stdout. What they mean is said in
docs/concepts/calibration.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


from benchmarks.calibration import share, table
from dejavu.memorization.audit import audit
from dejavu.memorization.discoveries import evidence, remembered_share
from dejavu.memorization.replicates import recipe_interval
from dejavu.progress import Progress

RATE = 0.1
SAMPLES = 1000
# what training adds to a sample's gap, in standard deviations of a gap
EFFECT = 3.0
REPLICATES = (1, 2, 4, 8)
SHARES = (0.0, 0.01, 0.05, 0.2)
EPSILONS = (0.0, 0.5, 1.0, 2.0, 4.0)
# noise of training, noise of queries that replicates share, and noise of queries that each has for itself
NOISES = ((1.0, 0.0, 0.0), (1.0, 0.5, 0.5), (1.0, 1.0, 0.0))


def single_samples(replicates: int, remembered: float, runs: int, rng: np.random.Generator) -> list[str]:
    """A row of table 11: gaps with heavy tails and a spread of their own, and sides of different quality."""
    false, found, below, early = [], [], [], []
    for _ in range(runs):
        truth = rng.random(SAMPLES) < remembered
        halves = np.repeat([[1, -1]], SAMPLES // 2, axis=1).reshape(1, -1)
        coins = np.concatenate([halves, rng.choice([1, -1], (replicates - 1, SAMPLES))])
        side = rng.normal(0, 0.5, (replicates, 1))
        pool, control = (
            rng.standard_t(5, (replicates, SAMPLES)) * (1 + 0.5 * np.abs(rng.normal(size=SAMPLES))) + side
            for _ in range(2)
        )
        pool += EFFECT * coins * truth
        everyone = np.arange(SAMPLES)
        shown = evidence(pool, coins, control, everyone)
        listed = shown.q_value <= RATE
        false.append((listed & ~truth).sum() / max(1, listed.sum()))
        found.append((listed & truth).sum() / max(1, truth.sum()))
        early.append((shown.p_value[~truth] <= 0.05).mean())
        below.append(remembered_share(pool, coins, control, everyone, everyone) <= truth.mean())
    error = 1.96 * np.std(false) / math.sqrt(runs)
    power = f"{np.mean(found):.2f}" if remembered else "–"
    return [
        str(replicates),
        f"{100 * remembered:g} %",
        f"{np.mean(false):.3f} ± {error:.3f}",
        power,
        f"{np.mean(early):.3f}",
        share(np.array(below)),
    ]


def privacy(epsilon: float, runs: int, rng: np.random.Generator) -> list[str]:
    """A row of table 12: randomized response, whose epsilon is known, on 500 members and 500 others."""
    chance, bounds = 1 / (1 + math.exp(-epsilon)), []
    for _ in range(runs):
        members, others = rng.random(500) < chance, rng.random(500) > chance
        bounds.append(audit(members.astype(float), others.astype(float), rng).epsilon)
    return [f"{epsilon:g}", share(np.array(bounds) <= epsilon), f"{np.mean(bounds):.2f}"]


def recipe(replicates: int, noise: Sequence[float], runs: int, rng: np.random.Generator) -> list[str]:
    """A row of table 13."""
    training, shared, own = noise
    held, following = [], []
    for _ in range(runs):
        common = rng.normal(0, shared)
        values = common + rng.normal(0, training, replicates) + rng.normal(0, own, replicates)
        drawn = values[:, None] + rng.normal(0, shared, 300) + rng.normal(0, own, (replicates, 300))
        found = recipe_interval(values, drawn)
        assert found is not None
        held.append(found.low <= 0 <= found.high)
        one_more = common + rng.normal(0, training) + rng.normal(0, own)
        following.append(found.next_low <= one_more <= found.next_high)
    return [str(replicates), *(f"{part:g}" for part in noise), share(np.array(held)), share(np.array(following))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    progress = Progress("evidence", len(REPLICATES) * len(SHARES) + len(EPSILONS) + 3 * len(NOISES), "rows")

    def counted(row: list[str]) -> list[str]:
        progress.advance(1)
        return row

    head = [
        "replicates",
        "remembered",
        "false, of listed",
        "found, of remembered",
        "p ≤ 0.05, of others",
        "bound holds",
    ]
    rows = [counted(single_samples(r, s, given.runs, rng)) for r in REPLICATES for s in SHARES]
    print(table(f"11. Single samples: the list at a rate of {RATE:g}, and the lower bound of the share", head, rows))
    rows = [counted(privacy(epsilon, given.runs, rng)) for epsilon in EPSILONS]
    print(table("12. Lower bound of epsilon, for randomized response", ["epsilon", "bound holds", "mean bound"], rows))
    head = ["replicates", "noise of training", "queries, shared", "queries, own", "holds the recipe", "holds one more"]
    rows = [counted(recipe(r, noise, 4 * given.runs, rng)) for r in (3, 5, 8) for noise in NOISES]
    print(table("13. Intervals of a recipe over replicates", head, rows))
    progress.finish()


if __name__ == "__main__":
    main()
