"""Parts of all figures: colours, style, panels, points with intervals, and writing SVG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dejavu.files import atomic, write_text
from dejavu.report.captions import BLANK
from dejavu.report.tradeoff import drawn_front

GAP, CONTROL = "#c2410c", "#64748b"
# A value, and the lower and the upper end of its interval.
Interval = tuple[float | None, float | None, float | None]
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "vlm-dejavu",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def save(figure: Figure | None, path: Path) -> None:
    """Write a figure as SVG, with the same bytes for the same figure; write :data:`BLANK` for None."""
    if figure is None:
        write_text(path, BLANK)
        return
    with atomic(path) as temporary:
        figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def panels(
    rows: int, columns: int, *, width: float, height: float, **shared: Any
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    """Return a figure and its axes as rows of columns; ``width`` and ``height`` are those of one panel, in inches."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained", **shared
    )
    return figure, axes


def draw_legend(figure: Figure, axis: Axes, *, columns: int = 2, **style: Any) -> None:
    """Draw the legend of one axis above the whole figure."""
    handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="lower center", ncols=columns, bbox_to_anchor=(0.5, 1.0), **style)


def draw_interval(axis: Axes, y: float, interval: Interval, color: str, *, filled: bool) -> None:
    """Draw a value and its interval on a horizontal line; nothing where one of the three numbers is None."""
    value, low, high = interval
    if value is None or low is None or high is None:
        return
    axis.plot([low, high], [y, y], color=color, linewidth=1.5)
    axis.plot([value], [y], "o", color=color, markerfacecolor=color if filled else "white", markersize=5)


def draw_front(axis: Axes, points: Sequence[tuple[float, float, float | None]]) -> None:
    """Draw a dotted line through the points that are on the Pareto front in at least half of the draws.

    Args:
        axis: where to draw.
        points: (utility, gap, share of the draws in which the point is on the front).
    """
    best = drawn_front(points)
    label = "on the front of these points in at least half of the draws"
    axis.plot(*zip(*best, strict=True) if best else ([], []), color=GAP, linestyle=":", label=label)


def interval_bars(value: float | None, low: float | None, high: float | None) -> tuple[float, float]:
    """Return how far an interval reaches below and above its value; (0, 0) where one of the three numbers is None."""
    if value is None or low is None or high is None:
        return 0.0, 0.0
    return max(0.0, value - low), max(0.0, high - value)
