"""The page on single samples: how many are remembered, which can be named, and what privacy loss is refuted."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from dejavu.memorization.verdicts import QUERY_NAMES
from dejavu.report.queries import Queries

COLUMNS = ("statistic", "query", "replicates", "advantage", "std_error", "p_value", "q_value", "is_listed", "place")


def single_samples(queries: Queries, in_gallery: Set[tuple[str, str]]) -> dict[str, Any]:
    """Return what the page on single samples shows.

    Args:
        queries: the queries on the database.
        in_gallery: model and row of the training samples that the gallery shows, which the page links to.

    Returns:
        ``evidence``, the data of the script file, and what the page itself says.
    """
    rows = queries.rows("sample_evidence")
    return {
        "shares": queries.rows("remembered_shares"),
        "confirmations": queries.rows("confirmations"),
        "privacy": queries.rows("privacy"),
        "evidence_n": len(rows),
        "evidence": {
            # a sample has many lines; its words are written once
            "samples": {
                str(row["row"]): {"uid": row["uid"], "caption": row["caption"], "role": row["population"]}
                for row in rows
            },
            "lines": [
                {
                    "row": str(row["row"]),
                    "model": row["model"],
                    **{column: row[column] for column in COLUMNS},
                    "inGallery": (row["model"], str(row["row"])) in in_gallery,
                }
                for row in rows
            ],
            "queries": QUERY_NAMES,
        },
    }
