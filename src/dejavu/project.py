"""Where the workflow's own files are: in a clone, or in an installed package.

In a clone, ``workflow``, ``config``, ``profiles`` and ``envs`` lie beside ``src``, which holds the library. An
installed package has them within the library, in ``dejavu/workflow_files``, under the same names.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SHIPPED = PACKAGE / "workflow_files"
IS_INSTALLED = SHIPPED.is_dir()
# the folder that holds Snakefile, workflow/, config/, profiles/ and envs/
BASE = SHIPPED if IS_INSTALLED else PACKAGE.parents[1]


def sources_of(base: Path) -> Path:
    """Return the folder that holds the package ``dejavu`` of a project.

    Args:
        base: the folder that holds the project's ``workflow``.
    """
    sources = base / "src"
    return sources if sources.is_dir() else base.parents[1]


def with_library() -> dict[str, str]:
    """Return the environment for a Python process that imports this library.

    The Python of an installed package finds the library by itself. Its folder on the path would put all other packages
    before the standard library.
    """
    return dict(os.environ) if IS_INSTALLED else os.environ | {"PYTHONPATH": str(sources_of(BASE))}
