"""Memorization against utility: what a model costs beside another, and which models no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dejavu.report.queries import Queries

# points that are on the front in fewer of the draws are not drawn as part of it
ON_THE_FRONT = 0.5


def tradeoff(queries: Queries) -> list[dict]:
    """The rows of ``tradeoff.sql`` with ``front_share``, the share of the draws in which a model is on the front.

    A one-model test finds about half the gap for the same memory, so the front of those is one of its own.
    """
    rows = queries.rows("tradeoff")
    shares: dict[str, float] = {}
    for kind in {row["reference"] for row in rows}:
        here = [row for row in rows if row["reference"] == kind and row["drawn_recall"]]
        if here:
            drawn = [np.array([row[name] for row in here], dtype=float).T for name in ("drawn_recall", "drawn_gap")]
            shares |= dict(zip([row["model"] for row in here], front_shares(*drawn), strict=True))
    return [{**row, "front_share": shares.get(row["model"])} for row in rows]


def front_shares(utility: np.ndarray, gap: np.ndarray) -> list[float]:
    """The share of the draws in which each point is on the Pareto front: no other equals or beats it in both.

    A gap below 0 counts as 0, since nothing is remembered less than not at all.

    Args:
        utility, gap: float64 (draws, points), one resample in each row; a draw that lacks a number is left out.

    Returns:
        One share for each point; they need not add up to 1.
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
    """The points (utility, gap, front share) that are drawn as the front, by utility: on it in at least half the draws.

    Args:
        points: their order is free; a share of None is that of a point that was not resampled.
    """
    return sorted((utility, gap) for utility, gap, share in points if share is not None and share >= ON_THE_FRONT)


def cost(row: Mapping) -> str:
    """What a model's recall@10 is, in words, and how much that is beside the model that it is compared with."""
    own = f"{row['recall_at_10']:.1%} {percent_band(row['recall_low'], row['recall_high'])}"
    told = f"holdout retrieval recall@10 {own}"
    if row["change"] is None or row["other_recall"] is None:
        return told
    if row["change_low"] is None:
        return f"{told}; no query tells it from {row['compared_with']}"
    # where one of the two has a side that the other lacks, the difference is of the side that both have
    common = "" if row["common_recall"] == row["recall_at_10"] else f" on the common side {row['common_recall']:.1%}"
    return (
        f"{told},{common} against {row['other_recall']:.1%} of {row['compared_with']}: {points(row['change'])} points "
        f"[{points(row['change_low'])}, {points(row['change_high'])}]; {_loss(row)}"
    )


def _loss(row: Mapping) -> str:
    low, high = row["relative_low"], row["relative_high"]
    if low is None:
        return "of nothing no share can be lost"
    if high < 0:
        return f"a loss of {-high:.0%} to {-low:.0%} of it"
    if low < 0:
        return f"a loss of {-low:.0%} of it is not excluded"
    return "the interval holds no loss"


def points(share: float | None) -> str:
    """A difference of shares in signed percentage points, or a dash."""
    return "–" if share is None else f"{100 * share:+.2f}"


def percent(share: float | None) -> str:
    """A share in per cent, or a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"


def percent_band(low: float | None, high: float | None) -> str:
    """An interval of a share, in per cent and in brackets."""
    return "[–, –]" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
