"""The page on single samples: how many are remembered, which can be named, and what privacy loss is refuted."""

from __future__ import annotations

from typing import Any

from dejavu.report.queries import Queries


def single_samples(queries: Queries) -> dict[str, Any]:
    """Return what the page on single samples shows."""
    return {
        "shares": queries.rows("remembered_shares"),
        "confirmations": queries.rows("confirmations"),
        "listed": queries.rows("listed_samples"),
        "privacy": queries.rows("privacy"),
    }
