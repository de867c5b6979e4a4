"""Gap against utility: one point with intervals for each model, and its control at the same utility."""

from __future__ import annotations

from matplotlib.figure import Figure

from dejavu.report.drawing import CONTROL, GAP, draw_front, draw_legend, interval_bars, panels
from dejavu.report.queries import Queries
from dejavu.report.summary import one_models
from dejavu.report.tradeoff import tradeoff


def draw(queries: Queries) -> Figure | None:
    """Draw the models, and the Pareto front of the two-model tests."""
    rows = tradeoff(queries)
    if not rows:
        return None
    of_one_model = one_models(queries)
    figure, axes = panels(1, 1, width=5.2, height=3.4)
    axis = axes[0][0]
    for row in rows:
        x = 100 * row["recall_at_10"]
        bars = [[end] for end in interval_bars(row["gap"], row["band_low"], row["band_high"])]
        ends = [100 * row[end] if row[end] is not None else None for end in ("recall_low", "recall_high")]
        across = [[end] for end in interval_bars(x, *ends)]
        marker = "D" if row["model"] in of_one_model else "o"
        axis.errorbar(x, row["gap"], yerr=bars, xerr=across, fmt=marker, color=GAP, capsize=3)
        axis.errorbar(
            x,
            row["control_value"],
            yerr=[[end] for end in interval_bars(row["control_value"], row["control_low"], row["control_high"])],
            fmt="o",
            color=CONTROL,
            markerfacecolor="white",
            capsize=3,
        )
        axis.annotate(row["model"], (x, row["gap"]), xytext=(7, 4), textcoords="offset points")
    two_models = [row for row in rows if row["model"] not in of_one_model]
    if two_models:
        draw_front(axis, [(100 * row["recall_at_10"], row["gap"], row["front_share"]) for row in two_models])
        axis.plot([], [], "o", color=GAP, label="symmetric PPG of the strongest query")
    if len(two_models) < len(rows):
        axis.plot([], [], "D", color=GAP, label="symmetric PPG of a one-model test, of the strongest query")
    axis.plot([], [], "o", color=CONTROL, markerfacecolor="white", label="its control: the gap where nothing was seen")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.25, y=0.15)
    axis.set_xlabel("utility: recall@10 of holdout retrieval, %, with 95 % interval")
    axis.set_ylabel("population precision gap")
    draw_legend(figure, axis)
    return figure
