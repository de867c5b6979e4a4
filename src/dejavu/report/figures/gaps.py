"""Symmetric gaps with their controls, by metric; one line for each model, scope and query."""

from __future__ import annotations

from matplotlib.figure import Figure

from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.report.drawing import CONTROL, GAP, draw_interval, draw_legend, panels
from dejavu.report.queries import Queries


def draw(queries: Queries) -> Figure | None:
    """Draw a panel for each metric; return None where there are no results."""
    rows = queries.rows("result_table")
    if not rows:
        return None
    lines = list(dict.fromkeys((row["model"], row["scope"], row["query"]) for row in rows))
    figure, axes = panels(1, len(METRIC_NAMES), width=3.4, height=0.9 + 0.42 * len(lines), sharey=True)
    for axis, (metric, name) in zip(axes[0], METRIC_NAMES.items(), strict=True):
        for row in (row for row in rows if row["metric"] == metric):
            y = len(lines) - 1 - lines.index((row["model"], row["scope"], row["query"]))
            gap = (row["value"], row["band_low"], row["band_high"])
            control = (row["control_value"], row["control_band_low"], row["control_band_high"])
            draw_interval(axis, y + 0.12, gap, GAP, filled=True)
            draw_interval(axis, y - 0.12, control, CONTROL, filled=False)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(name)
        ticks = [f"{model}, {query}\n{scope} objects" for model, scope, query in reversed(lines)]
        axis.set_yticks(range(len(lines)), ticks)
        axis.set_ylim(-0.5, len(lines) - 0.5)
        axis.set_xlabel("gap, with simultaneous 95 % band")
    label = "control: the gap where nothing was seen"
    axes[0][0].plot([], [], "o", color=GAP, label="symmetric gap: (a − b) / 2")
    axes[0][0].plot([], [], "o", color=CONTROL, markerfacecolor="white", label=label)
    draw_legend(figure, axes[0][0])
    return figure
