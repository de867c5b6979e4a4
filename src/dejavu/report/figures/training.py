"""Loss, temperature and learning rate over the samples seen."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from dejavu.report.drawing import draw_legend, panels
from dejavu.report.queries import Queries

# column -> title
PANELS = {"loss": "contrastive loss", "logit_scale": "logit scale", "learning_rate": "learning rate"}


def draw(queries: Queries) -> Figure | None:
    """Draw a panel for each column, with one line for each training; return None where the run trained no model."""
    rows = queries.rows("training")
    runs = list(dict.fromkeys((row["model"], row["side"]) for row in rows))
    if not runs:
        return None
    models = list(dict.fromkeys(model for model, _ in runs))
    figure, axes = panels(1, len(PANELS), width=3.4, height=2.6)
    colors = plt.get_cmap("tab10")
    for axis, (column, name) in zip(axes[0], PANELS.items(), strict=True):
        for model, side in runs:
            points = [row for row in rows if (row["model"], row["side"]) == (model, side)]
            axis.plot(
                [p["samples_seen"] for p in points],
                [p[column] for p in points],
                color=colors(models.index(model) % 10),
                linestyle="-" if side == "a" else "--",
                linewidth=1.2,
                label=f"{model} {side}",
            )
        axis.set_title(name)
        axis.set_xlabel("samples seen")
    if any(row["loss"] > 0 for row in rows):
        axes[0][0].set_yscale("log")
    draw_legend(figure, axes[0][0], columns=min(6, len(runs)))
    return figure
