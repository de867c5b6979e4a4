"""Parts of inline SVG figures: scales with round ticks, and marks whose places across are shares of the width.

A figure is as wide as its column and has no ``viewBox``: places across are percentages, heights are pixels. Text keeps
its size on a phone, where a scaled figure would have letters too small to read. Colours come from classes of
``style.css``, so the figure follows light and dark. Every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to places.

    Attributes:
        low, high: the values at both ends.
        start, end: the places of these values; per cent of the width, or pixels of the height.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value, rounded to a hundredth."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    def ticks(self, at_most: int) -> list[float]:
        """Return round values within the scale: multiples of 1, 2 or 5 times a power of ten."""
        step = _round_step(self.high - self.low, at_most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


def scale_of(values: Iterable[float | None], start: float, end: float, *, at_most: int) -> Scale:
    """Return a scale that holds 0 and all values that are not None, with round values at its ends.

    Args:
        values: what the scale must hold.
        start, end: places of the ends.
        at_most: number of ticks that the round ends are chosen for.
    """
    known = [0.0, *(value for value in values if value is not None)]
    low, high = min(known), max(known)
    if low == high:
        high = low + 1.0
    step = _round_step(high - low, at_most)
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def _round_step(width: float, at_most: int) -> float:
    power = 10.0 ** math.floor(math.log10(width / at_most))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if width / (factor * power) <= at_most)


def tick_text(value: float) -> str:
    """Return a tick's value with as few digits as it needs."""
    return f"{value:g}".replace("-", "−")


def line(x1: float, y1: float, x2: float, y2: float, kind: str, label: str = "") -> Markup:
    """Return a line; places across in per cent, places down in pixels; ``label`` is read out and shown on hovering."""
    start, end = f'x1="{x1}%" y1="{y1}"', f'x2="{x2}%" y2="{y2}"'
    return Markup(f'<line {start} {end} class="{kind}">{_titled(label)}</line>')


def circle(x: float, y: float, kind: str, label: str = "", *, radius: float = 5) -> Markup:
    """Return a circle."""
    return Markup(f'<circle cx="{x}%" cy="{y}" r="{radius}" class="{kind}">{_titled(label)}</circle>')


def rectangle(x1: float, x2: float, y: float, height: float, kind: str, label: str = "") -> Markup:
    """Return a rectangle from one place across to another."""
    left, width = min(x1, x2), round(abs(x2 - x1), 2)
    place = f'x="{left}%" y="{y}" width="{width}%" height="{height}"'
    return Markup(f'<rect {place} class="{kind}">{_titled(label)}</rect>')


def text(x: float, y: float, content: str, kind: str = "", *, anchor: str = "start") -> Markup:
    """Return a text; ``anchor`` is start, middle or end."""
    return Markup(f'<text x="{x}%" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(content)}</text>')


def path_of(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Return the lines that join points; a path cannot have percentages, so each part is a line."""
    return Markup("").join(line(*first, *second, kind) for first, second in pairwise(points))


def axis_below(scale: Scale, top: float, bottom: float, label: str, *, at_most: int = 6) -> Markup:
    """Return grid lines with their values below them, and the name of the axis; the line at 0 is stronger."""
    parts = []
    for tick in scale.ticks(at_most):
        x = scale(tick)
        parts.append(line(x, top, x, bottom, "zero" if tick == 0 else "grid"))
        parts.append(text(x, bottom + 16, tick_text(tick), "tick", anchor=_anchor(x)))
    parts.append(text((scale.start + scale.end) / 2, bottom + 34, label, "axis", anchor="middle"))
    return Markup("").join(parts)


def axis_left(scale: Scale, left: float, right: float, *, at_most: int = 5) -> Markup:
    """Return grid lines across with their values on them at the left."""
    parts = []
    for tick in scale.ticks(at_most):
        y = scale(tick)
        parts.append(line(left, y, right, y, "zero" if tick == 0 else "grid"))
        parts.append(text(left - 1, y + 4, tick_text(tick), "tick", anchor="end"))
    return Markup("").join(parts)


def figure(name: str, title: str, description: str, height: float, marks: Iterable[Markup]) -> Markup:
    """Return an inline figure with a title and a description for those who do not see it.

    Args:
        name: begins the ids of the title and the description; unique in its page.
        title: what the figure is.
        description: what the figure shows, in words and numbers.
        height: in pixels.
        marks: the parts.
    """
    ids = f"{name}-title {name}-text"
    head = f'<svg class="chart" role="img" aria-labelledby="{ids}" width="100%" height="{height}">'
    words = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>'
    return Markup(head) + Markup(words) + Markup("").join(marks) + Markup("</svg>")


def _titled(label: str) -> Markup:
    return Markup(f"<title>{escape(label)}</title>") if label else Markup("")


def _anchor(x: float) -> str:
    return "start" if x < 3 else "end" if x > 97 else "middle"
