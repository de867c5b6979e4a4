"""The page on provenance: what every stage did with its rows, what it cost, and the whole configuration."""

from __future__ import annotations

from typing import Any

from dejavu.report.queries import Queries
from dejavu.report.take_along import along


def provenance(queries: Queries) -> dict[str, Any]:
    """Return what the page on provenance shows."""
    return {"along": along(queries), "stages": queries.rows("stages"), "config": queries.config_rows()}
