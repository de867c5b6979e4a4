"""The page on provenance: what every stage did with its rows, what it cost, and the whole configuration."""

from __future__ import annotations

from typing import Any

from dejavu.report.queries import Queries


def provenance(queries: Queries) -> dict[str, Any]:
    """Return what the page on provenance shows."""
    return {"stages": queries.rows("stages"), "config": queries.config_rows()}
