"""The figures of a split, one module each.

A module has the function ``draw``, which takes the queries on a database and returns the figure, or None where there is
nothing to draw. Every figure shows the control beside the gap. The module, the caption in
``workflow/report/figures/<name>.rst`` and the SVG file have the same name, and so has the SQL query in most cases. A
new figure needs a module, a caption and, if no query has its rows, a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt

from dejavu.report.drawing import STYLE, save
from dejavu.report.queries import Queries


def draw_figures(queries: Queries, paths: Mapping[str, Path]) -> None:
    """Draw figures as SVG files; ``paths`` maps the name of a figure's module to its file."""
    with plt.rc_context(STYLE):
        for name, path in paths.items():
            save(import_module(f"{__name__}.{name}").draw(queries), path)
