"""Gap, control and utility at every measured checkpoint, one line for each model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dejavu.memorization.metrics import METRIC_NAMES, TRADED
from dejavu.report.drawing import draw_legend, interval_bars, panels
from dejavu.report.queries import Queries


def draw(queries: Queries) -> Figure | None:
    """Draw a panel for each metric and one for utility; return None where every model has its last checkpoint only."""
    rows = queries.rows("points")
    models = list(dict.fromkeys(row["model"] for row in rows))
    if len({(row["model"], row["epoch"]) for row in rows}) == len(models):
        return None
    figure, axes = panels(1, len(METRIC_NAMES) + 1, width=3.1, height=2.9)
    colors = plt.get_cmap("tab10")
    for number, model in enumerate(models):
        color = colors(number % 10)
        for axis, metric in zip(axes[0], METRIC_NAMES, strict=False):
            points = [row for row in rows if (row["model"], row["metric"]) == (model, metric)]
            at = [row["epoch"] for row in points]
            bars = [interval_bars(row["gap"], row["ci_low"], row["ci_high"]) for row in points]
            values = [row["gap"] for row in points]
            axis.errorbar(at, values, yerr=list(zip(*bars, strict=True)), fmt="o-", color=color, capsize=3, label=model)
            controls = [row["control_value"] for row in points]
            axis.plot(at, controls, "o--", color=color, markerfacecolor="white", label=f"{model}, control")
        useful = [row for row in rows if (row["model"], row["metric"]) == (model, TRADED)]
        ys = [np.nan if row["recall_at_10"] is None else 100 * row["recall_at_10"] for row in useful]
        axes[0][-1].plot([row["epoch"] for row in useful], ys, "o-", color=color)
    for axis, name in zip(axes[0], [*METRIC_NAMES.values(), "holdout recall@10, %"], strict=True):
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.axhline(0, color="black", linewidth=0.8)
    draw_legend(figure, axes[0][0], columns=4)
    return figure
