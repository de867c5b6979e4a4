"""The columns of every table: Arrow schemas of the files between steps and of the database.

The comment of a field becomes the comment of the column in the database. Columns in ``MEASURED`` measure the run itself
(seconds, memory, rates); every other column is the same for the same configuration on the same machine.

Each step imports the module that has its tables, so a column of the database does not enter the code hash of earlier
steps.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

MODULES = ("fields", "queries", "data", "training", "retrieval", "scores", "populations", "evaluation", "database")


def __getattr__(name: str) -> Any:
    """Return a schema of any module, for tests and for people.

    Steps must import the module itself: their code hash does not follow this lookup.
    """
    if name.isupper():
        for module in MODULES:
            if hasattr(found := import_module(f"{__name__}.{module}"), name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
