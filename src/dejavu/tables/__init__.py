"""The columns of every table, named once: Arrow schemas of the files between steps and of the database.

The comment of a field becomes the comment of the column in the database. Columns listed in ``MEASURED`` hold
measurements of the run itself (seconds, memory, rates); every other column is the same for the same configuration on
the same machine.

There is a module for each floor, and a step imports the one that it needs: so a column of the database is not in the
code hash of the steps before it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

MODULES = ("fields", "queries", "data", "training", "retrieval", "scores", "populations", "evaluation", "database")


def __getattr__(name: str) -> Any:
    """A table of any module, for those who look at results. Steps may not: their code hash would miss it."""
    if name.isupper():
        for module in MODULES:
            if hasattr(found := import_module(f"{__name__}.{module}"), name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
