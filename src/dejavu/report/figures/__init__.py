"""The figures of a split: a module for each, named as its file, its caption and, mostly, its query.

A module has one function, ``draw``, which takes the queries on a database and returns the figure, or None where there
is nothing to draw. Every figure shows the control beside the gap. The caption is
``workflow/report/figures/<name>.rst``; a new figure is a module and a caption, and a query if it needs another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt

from dejavu.report.drawing import STYLE, save
from dejavu.report.queries import Queries


def draw_figures(queries: Queries, paths: Mapping[str, Path]) -> None:
    """Draw the figures that ``paths`` names, each by the module of that name, as SVG."""
    with plt.rc_context(STYLE):
        for name, path in paths.items():
            save(import_module(f"{__name__}.{name}").draw(queries), path)
