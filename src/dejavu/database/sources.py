"""Where memory comes from, from what the other tables hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from dejavu.database.single_samples import is_by_chance
from dejavu.database.tables import quoted_text
from dejavu.measurement.single_samples import COSINE, RECALLS
from dejavu.measurement.sources import COPIES, NEAREST, RAREST, ROLES, WORDS, Origins, source_rows, trend_rows
from dejavu.memorization.tokens import words_of
from dejavu.tables.queries import CAPTION

# samples of each role that are looked at, whole groups drawn by a hash: intervals of more would hardly be shorter
MOST = 100_000
_MODELS = """
    SELECT DISTINCT model, epoch
    FROM population_gaps JOIN reference_sides USING (model)
    WHERE NOT is_one_model ORDER BY ALL
"""
# the copies that are trained on are those of the manifest, whether or not all of them are asked about
_SAMPLES = """
    CREATE TEMP TABLE looked_at AS
    WITH drawn AS (
        SELECT role, row, group_id, caption, unnamed FROM samples WHERE role IN ('a', 'b', 'holdout')
        QUALIFY row_number() OVER (PARTITION BY role ORDER BY md5(group_id), row) <= {most}
    ),
    public AS (SELECT objects FROM samples WHERE role = 'public'),
    frequency AS (
        SELECT label, count(*) / (SELECT count(*) FROM public) AS share
        FROM (SELECT unnest(objects) AS label FROM public) GROUP BY label
    ),
    rarest AS (
        SELECT role, row, min(coalesce(share, 0)) AS rarest
        FROM (SELECT role, row, unnest(unnamed) AS label FROM drawn) LEFT JOIN frequency USING (label)
        GROUP BY role, row
    ),
    copies AS ({copies})
    SELECT
        row_number() OVER (ORDER BY role, row) AS place,
        role,
        row,
        dense_rank() OVER (ORDER BY role, group_id) AS group_number,
        caption,
        copies,
        rarest
    FROM drawn JOIN copies USING (role, group_id) LEFT JOIN rarest USING (role, row)
"""
_COPIES = "SELECT {role} AS role, group_id, count(*) AS copies FROM read_parquet({manifest}) GROUP BY group_id"
_BASE = "SELECT role, group_number, caption, copies, rarest FROM looked_at ORDER BY place"
_SCORES = """
    SELECT
        max((nearest_a::DOUBLE + nearest_b) / 2) AS nearest,
        max(recall_a - recall_b) FILTER (scope = 'all') AS all_gap,
        max(recall_a - recall_b) FILTER (scope = 'unnamed') AS unnamed_gap
    FROM looked_at
    LEFT JOIN (
        SELECT * FROM sample_scores WHERE model = ? AND epoch = ? AND query = ? AND k = ? AND labels = ?
    ) AS found
        ON found.row = looked_at.row AND found.population = looked_at.role
    GROUP BY place ORDER BY place
"""
_COSINES = """
    SELECT max(own.csa::DOUBLE - other.csa) AS gap
    FROM looked_at
    LEFT JOIN (SELECT * FROM sample_attacks WHERE model = ? AND epoch = ? AND side = 'a') AS own
        ON own.row = looked_at.row AND own.population = looked_at.role
    LEFT JOIN (SELECT * FROM sample_attacks WHERE model = ? AND epoch = ? AND side = 'b') AS other
        ON other.row = looked_at.row AND other.population = looked_at.role
    GROUP BY place ORDER BY place
"""


def memory_source_rows(
    connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any], manifests: Mapping[str, Path]
) -> Iterator[tuple[str, dict]]:
    """Yield (table, row) of ``memory_sources`` and ``memory_trends``; the other tables are there.

    Nothing is said of roles that chance has not drawn from one dataset: in a bin they could differ in more than
    training. Nor of one-model tests, in which there is no symmetric gap.

    Args:
        connection: of the database.
        config: the configuration: ``report`` names k and labels, ``measure`` the draws and their seed.
        manifests: role -> manifest of a, b and holdout.
    """
    models = connection.execute(_MODELS).fetchall()
    if not models or not is_by_chance(connection):
        return
    copies = " UNION ALL ".join(
        _COPIES.format(role=quoted_text(role), manifest=quoted_text(str(manifests[role]))) for role in ROLES
    )
    connection.execute(_SAMPLES.format(copies=copies, most=MOST))
    base = connection.execute(_BASE).fetchnumpy()
    words = [np.nan if not isinstance(text, str) else len(words_of(text)) for text in base["caption"]]
    role = base["role"].astype(str)
    measure = config["measure"]
    cell = config["report"]["k"], str(config["report"]["labels"])
    for model, epoch in models:
        scores = connection.execute(_SCORES, [model, epoch, CAPTION, *cell]).fetchnumpy()
        cosine = connection.execute(_COSINES, [model, epoch] * 2).fetchnumpy()["gap"]
        recalls = {statistic: _numbers(scores[f"{scope}_gap"]) for statistic, scope in RECALLS.items()}
        origins = Origins(
            role=role,
            group=base["group_number"],
            sources={
                COPIES: _numbers(base["copies"]),
                RAREST: _numbers(base["rarest"]),
                WORDS: np.array(words, dtype=np.float64),
                NEAREST: _numbers(scores["nearest"]),
            },
            gaps=recalls | {COSINE: _numbers(cosine)},
        )
        constants = {"model": model, "epoch": epoch}
        for table, rows in (("memory_sources", source_rows), ("memory_trends", trend_rows)):
            for row in rows(origins, int(measure["bootstrap"]), int(measure["seed"])):
                yield table, constants | row
    connection.execute("DROP TABLE looked_at")


def _numbers(column: np.ndarray) -> np.ndarray:
    """Return a column as float64, NaN where it is null."""
    return np.asarray(np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan))
