"""The figure of the first screen: every model's largest gap beside its control, and what the run could have missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dejavu.report.charts.svg import Scale, axis_below, circle, figure, line, rectangle, scale_of, text

LINE = 58
# said of a one-model test beside tests of two models
OTHER_SCALE = " (another scale)"
COLUMNS = ("value", "band_low", "band_high", "control_value", "control_band_low", "control_band_high")


def forest(rows: Sequence[dict]) -> Markup:
    """Draw one line for each model; without rows the figure is empty.

    Args:
        rows: dicts with model, query, the columns of ``result_table.sql`` that
            :data:`COLUMNS` names, and detectable; all gaps are per 100 captions.
    """
    apart = len({is_one_model(row) for row in rows}) > 1
    missed = [row["detectable"] for row in rows if row["detectable"] is not None]
    values = [row[column] for row in rows for column in COLUMNS]
    scale = scale_of([*values, *missed, *(-value for value in missed)], 1, 99, at_most=8)
    bottom = LINE * len(rows) + 4
    marks = [mark for i, row in enumerate(rows) for mark in _zone(row, scale, LINE * i)]
    marks.append(axis_below(scale, 0, bottom, "captions of 100: net advantage of the model that saw the pair"))
    marks += [mark for i, row in enumerate(rows) for mark in _marks(row, scale, LINE * i, apart and is_one_model(row))]
    return figure("forest", "Gap and control of every model", described(rows), bottom + 42, marks)


def is_one_model(row: Mapping) -> bool:
    """Return whether a row of the result table is of a one-model test, whose control is between two unseen roles."""
    return bool(row["control_population"] == "unseen")


def described(rows: Sequence[dict]) -> str:
    """Return what the figure shows, in words."""
    return " ".join(f"{row['model']}, query {row['query']}: {gap_text(row)}; {control_text(row)}." for row in rows)


def gap_text(row: dict) -> str:
    """Return a gap and its band in words."""
    return f"gap {per_hundred(row['value'], row['band_low'], row['band_high'])}"


def control_text(row: dict) -> str:
    """Return a control and its band in words."""
    return f"control {per_hundred(row['control_value'], row['control_band_low'], row['control_band_high'])}"


def per_hundred(value: float | None, low: float | None, high: float | None) -> str:
    """Return a number of captions of 100 with its band."""
    if value is None:
        return "unknown"
    band = "no band" if low is None or high is None else f"{whole(low)} to {whole(high)}"
    return f"{whole(value)} ({band})"


def whole(value: float) -> str:
    """Return a number of captions of 100: one decimal below 10, none above, with a real minus sign."""
    rounded = f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"
    return rounded.replace("-", "−")


def _zone(row: dict, scale: Scale, top: float) -> list[Markup]:
    size = row["detectable"]
    if size is None:
        return []
    label = f"{row['model']}: a true gap below {whole(size)} may have been missed"
    return [rectangle(scale(-size), scale(size), top + 21, 18, "zone", label)]


def _marks(row: dict, scale: Scale, top: float, alone: bool) -> list[Markup]:
    marks = [text(1, top + 15, f"{row['model']}, query: {row['query']}{OTHER_SCALE if alone else ''}", "name")]
    gap = (row["value"], row["band_low"], row["band_high"])
    control = (row["control_value"], row["control_band_low"], row["control_band_high"])
    for (value, low, high), y, kind, label in (
        (gap, top + 30, "gap", f"{row['model']}: {gap_text(row)}"),
        (control, top + 47, "control", f"{row['model']}: {control_text(row)}"),
    ):
        if low is not None and high is not None:
            marks.append(line(scale(low), y, scale(high), y, f"bar {kind}", label))
        if value is not None:
            marks.append(circle(scale(value), y, f"dot {kind}", label))
    return marks
