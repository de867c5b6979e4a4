"""The trade-off of memorization against utility: the cost of a mitigation, and the Pareto front of the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dejavu.report.queries import Queries

# Smallest share of the draws in which a point must be on the front to be drawn as part of it.
ON_THE_FRONT = 0.5


def tradeoff(queries: Queries) -> list[dict]:
    """Return the rows of ``tradeoff.sql`` with ``front_share``, the share of the draws with the model on the front.

    A one-model test finds about half the gap for the same memory, so one-model tests have a front of their own.
    """
    rows = queries.rows("tradeoff")
    shares: dict[str, float] = {}
    for kind in {row["reference"] for row in rows}:
        of_kind = [row for row in rows if row["reference"] == kind and row["drawn_recall"]]
        if of_kind:
            drawn = [np.array([row[name] for row in of_kind], dtype=float).T for name in ("drawn_recall", "drawn_gap")]
            shares |= dict(zip([row["model"] for row in of_kind], front_shares(*drawn), strict=True))
    return [{**row, "front_share": shares.get(row["model"])} for row in rows]


def front_shares(utility: np.ndarray, gap: np.ndarray) -> list[float]:
    """Return the share of the draws in which each point is on the Pareto front.

    A point is on the front where no other point is at least as good in both utility and gap, and better in one. A gap
    below 0 counts as 0, because memory cannot be negative.

    Args:
        utility, gap: float64 (draws, points), one resample in each row; a draw that lacks a number is left out.

    Returns:
        One share for each point; the shares need not add up to 1.
    """
    known = ~(np.isnan(utility).any(axis=1) | np.isnan(gap).any(axis=1))
    useful, memory = utility[known], np.maximum(gap[known], 0)
    shares = []
    for point in range(utility.shape[1]):
        u, m = useful[:, point, None], memory[:, point, None]
        beaten = (useful >= u) & (memory <= m) & ((useful > u) | (memory < m))
        shares.append(float(1 - beaten.any(axis=1).mean()) if known.any() else 0.0)
    return shares


def drawn_front(points: Sequence[tuple[float, float, float | None]]) -> list[tuple[float, float]]:
    """Return (utility, gap) of the points that are on the front in at least half of the draws, by utility.

    Args:
        points: (utility, gap, front share) in any order; a front share of None means that there are no draws.
    """
    return sorted((utility, gap) for utility, gap, share in points if share is not None and share >= ON_THE_FRONT)


def cost(row: Mapping) -> str:
    """Return a model's recall@10 in words, and its difference from the model that it is compared with."""
    own = f"{row['recall_at_10']:.1%} {percent_band(row['recall_low'], row['recall_high'])}"
    recall = f"holdout retrieval recall@10 {own}"
    if row["change"] is None or row["other_recall"] is None:
        return recall
    if row["change_low"] is None:
        return f"{recall}; no query tells it from {row['compared_with']}"
    # Where one of the two models lacks a side, the difference is that of the side that both models have.
    common = "" if row["common_recall"] == row["recall_at_10"] else f" on the common side {row['common_recall']:.1%}"
    return (
        f"{recall},{common} against {row['other_recall']:.1%} of {row['compared_with']}: {points(row['change'])} "
        f"points [{points(row['change_low'])}, {points(row['change_high'])}]; {_loss(row)}"
    )


def _loss(row: Mapping) -> str:
    low, high = row["relative_low"], row["relative_high"]
    if low is None:
        return "relative to a recall of 0 no loss is defined"
    if high < 0:
        return f"a loss of {-high:.0%} to {-low:.0%} of it"
    if low < 0:
        return f"a loss of {-low:.0%} of it is not excluded"
    return "the interval contains no loss"


def points(share: float | None) -> str:
    """Return a difference of shares in signed percentage points, or a dash."""
    return "–" if share is None else f"{100 * share:+.2f}"


def percent(share: float | None) -> str:
    """Return a share in per cent, or a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"


def percent_band(low: float | None, high: float | None) -> str:
    """Return an interval of a share, in per cent and in brackets."""
    return "[–, –]" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
