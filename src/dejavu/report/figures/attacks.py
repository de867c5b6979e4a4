"""Attacks besides the déjà vu test, on every side, with their controls."""

from __future__ import annotations

from matplotlib.figure import Figure

from dejavu.report.drawing import CONTROL, GAP, draw_interval, draw_legend, panels
from dejavu.report.queries import Queries

# (attack, metric) -> (title, chance level)
PANELS = {
    ("csa", "roc_auc"): ("CSA: ROC AUC", 0.5),
    ("clipmem", "mean"): ("CLIPMem: mean", 0.0),
    ("csa", "spearman_gap"): ("CSA against the déjà vu gap:\nrank correlation", 0.0),
    ("clipmem", "spearman_gap"): ("CLIPMem against the déjà vu gap:\nrank correlation", 0.0),
}


def draw(queries: Queries) -> Figure | None:
    """Draw a panel for each attack and metric that was measured; one line for each side."""
    rows = [row for row in queries.rows("attacks") if (row["attack"], row["metric"]) in PANELS]
    measured = {(row["attack"], row["metric"]) for row in rows}
    # A one-model test has no CLIPMem, which needs images under both sides; its panels are left out.
    shown = {panel: title for panel, title in PANELS.items() if panel in measured}
    if not shown:
        return None
    sides = sorted({(row["model"], row["side"]) for row in rows})
    figure, axes = panels(1, len(shown), width=2.8, height=1.2 + 0.32 * len(sides), sharey=True)
    for axis, (panel, (name, chance)) in zip(axes[0], shown.items(), strict=True):
        for row in (row for row in rows if (row["attack"], row["metric"]) == panel):
            y = len(sides) - 1 - sides.index((row["model"], row["side"]))
            draw_interval(axis, y + 0.12, (row["value"], row["ci_low"], row["ci_high"]), GAP, filled=True)
            control = (row["control_value"], row["control_low"], row["control_high"])
            draw_interval(axis, y - 0.12, control, CONTROL, filled=False)
        axis.axvline(chance, color="black", linewidth=0.8)
        axis.set_title(name)
        axis.set_yticks(range(len(sides)), [f"{model} {side}" for model, side in reversed(sides)])
        axis.set_ylim(-0.5, len(sides) - 0.5)
        axis.set_xlabel("with 95 % interval")
    label = "control: where nothing was seen"
    axes[0][0].plot([], [], "o", color=GAP, label="training role")
    axes[0][0].plot([], [], "o", color=CONTROL, markerfacecolor="white", label=label)
    draw_legend(figure, axes[0][0])
    return figure
