"""ROC curves of the membership attacks on logarithmic axes, with the curves of their controls and the diagonal."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from matplotlib.figure import Figure

from dejavu.report.drawing import draw_legend, panels
from dejavu.report.membership import ATTACK_NAMES
from dejavu.report.queries import Queries
from dejavu.tables.fields import SIDES
from dejavu.tables.membership import CONTROL

COLORS = dict(zip(ATTACK_NAMES, ("#c2410c", "#7c3aed", "#1d4ed8", "#15803d", "#a16207"), strict=True))


def draw(queries: Queries) -> Figure | None:
    """Draw a panel for each model and side, with a solid line for each attack and a dashed one for its control."""
    rows = queries.rows("membership_curves")
    models = list(dict.fromkeys(row["model"] for row in rows))
    if not models:
        return None
    sides = [side for side in SIDES if any(row["side"] == side for row in rows)]
    lowest = min(row["fpr"] for row in rows)
    figure, axes = panels(len(models), len(sides), width=3.6, height=3.2, sharex=True, sharey=True)
    for i, model in enumerate(models):
        for j, side in enumerate(sides):
            axis = axes[i][j]
            of_side = [row for row in rows if (row["model"], row["side"]) == (model, side)]
            for (attack, contrast), points in groupby(of_side, key=itemgetter("attack", "contrast")):
                # a rate of 0 has no place on a logarithmic axis
                shown = [(point["fpr"], point["tpr"]) for point in points if point["tpr"] > 0]
                is_control = contrast == CONTROL
                style = {"linestyle": "--", "linewidth": 0.8, "alpha": 0.6} if is_control else {"linewidth": 1.5}
                axis.step(*zip(*shown, strict=True), where="post", color=COLORS[attack], **style)
            axis.plot([lowest, 1], [lowest, 1], color="black", linestyle=":", linewidth=0.8)
            axis.set(xscale="log", yscale="log", title=f"{model}: side {side}")
            if i == len(models) - 1:
                axis.set_xlabel("false positive rate")
            if j == 0:
                axis.set_ylabel("true positive rate")
    attacks = [attack for attack in ATTACK_NAMES if any(row["attack"] == attack for row in rows)]
    for attack in attacks:
        axes[0][0].plot([], [], color=COLORS[attack], label=ATTACK_NAMES[attack])
    axes[0][0].plot([], [], color="black", linestyle="--", linewidth=0.8, label="its control")
    axes[0][0].plot([], [], color="black", linestyle=":", linewidth=0.8, label="chance")
    draw_legend(figure, axes[0][0], columns=4)
    return figure
