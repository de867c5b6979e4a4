"""Tables of a prediction, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from dejavu.costs.predict import Prediction, StageCost

HEAD = ["stage", "jobs", "core hours", "GPU hours", "wall hours", "GB of memory", "GB on disk"]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of equal length as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def shown(prediction: Prediction) -> str:
    """Return a prediction as text: a line for each stage, the sum, and what it rests on."""
    rows = [HEAD, *(_row(stage) for stage in prediction.stages)]
    names = ("core_hours", "gpu_hours", "wall_hours")
    rows.append(
        ["all", f"{prediction.total('jobs'):,.0f}", *(_hours(prediction.total(name)) for name in names)]
        + [f"{prediction.total('memory') / 1000:,.1f}", f"{prediction.total('gigabytes'):,.2f}"]
    )
    machine = prediction.machine
    on = f"{machine.cores:,} cores" + (f" and {machine.gpus:,} GPUs" if machine.gpus else "")
    pairs = ", ".join(f"{name} {number:,}" for name, number in prediction.pairs.items())
    lines = [
        f"Pairs: {pairs}.",
        f"Wall time on {on}: {duration(prediction.total('wall_hours'))}. Training is "
        f"{prediction.training_share:.0%} of all {'GPU' if machine.gpus else 'core'} hours.",
        f"Rates: {prediction.rates['machine']} ({prediction.rates['source']}).",
        "Counted as if nothing of it were done yet, and every pair could be used.",
    ]
    unknown = [f"{stage.stage} ({', '.join(stage.unknown)})" for stage in prediction.stages if stage.unknown]
    if unknown:
        lines.append(f"NOT COUNTED, since these rates say nothing of it: {'; '.join(unknown)}.")
    return "\n".join([*aligned(rows), "", *lines]) + "\n"


def _row(stage: StageCost) -> list[str]:
    mark = "*" if stage.unknown else ""
    hours = [_hours(value) + mark for value in (stage.core_hours, stage.gpu_hours, stage.wall_hours)]
    return [stage.stage, f"{stage.jobs:,}", *hours, f"{stage.memory / 1000:,.1f}", f"{stage.gigabytes:,.2f}"]


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}" if value else "0"


def duration(hours: float) -> str:
    """Return a time in words: in minutes below two hours, in days from two days."""
    if hours < 2:
        return f"{60 * hours:,.0f} minutes"
    return f"{hours:,.0f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
