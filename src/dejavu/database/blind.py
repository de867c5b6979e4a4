"""The blind baseline of every two roles that are compared, where a list says who is in one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import duckdb

from dejavu.measurement.blind_baseline import MOST, blind_baseline
from dejavu.tables.fields import POPULATIONS

_LISTED = "SELECT count(*) FROM roles WHERE listed IS NOT NULL AND list_contains(?, role)"
# in an order that has nothing to do with the caption; more than are compared, since some are left out
_CAPTIONS = "SELECT caption FROM samples WHERE role = ? AND caption IS NOT NULL ORDER BY hash(row), row LIMIT ?"


def blind_rows(connection: duckdb.DuckDBPyConnection) -> Iterator[dict]:
    """Yield the rows of the table ``blind_baseline``; the tables ``roles`` and ``samples`` are there.

    None where chance drew all roles that are compared: those of one dataset are then of one distribution, and those of
    several are not compared. Nor of a role that has too few captions to say.
    """
    if not connection.execute(_LISTED, [list(POPULATIONS)]).fetchall()[0][0]:
        return
    captions = {
        role: [caption for (caption,) in connection.execute(_CAPTIONS, [role, 4 * MOST]).fetchall()]
        for role in POPULATIONS
    }
    for role, other in itertools.combinations(POPULATIONS, 2):
        baseline = blind_baseline(captions[role], captions[other])
        if baseline is not None:
            yield {
                "role": role,
                "other": other,
                "auc": baseline.auc,
                "std_error": baseline.error,
                "captions": baseline.number,
                "is_apart": baseline.is_above_chance,
            }
