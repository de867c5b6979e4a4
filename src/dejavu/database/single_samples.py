"""Which single training samples a model shows memory of, from what the other tables hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from dejavu.measurement.contrasts import source_of_chance
from dejavu.measurement.single_samples import COSINE, RECALLS, Compared, confidence_of_each, sample_rows, share_row
from dejavu.tables.database import REMEMBERED_SHARES, SAMPLE_MEMORIZATION
from dejavu.tables.fields import columns_and_constants
from dejavu.tables.queries import CAPTION, RANDOM

_MODELS = """
    SELECT DISTINCT model, epoch
    FROM population_gaps JOIN reference_sides USING (model)
    WHERE NOT is_one_model ORDER BY ALL
"""
_BY_CHANCE = """
    SELECT count(DISTINCT dataset) = 1 AND count(listed) = 0 FROM roles WHERE role IN ('a', 'b', 'holdout')
"""
_QUERIES = "SELECT DISTINCT query FROM sample_scores WHERE model = ? AND epoch = ? AND query <> ? ORDER BY query"
# numbers in place of names: a coin, which is the side that saw the sample, and the number of the sample's group
_GAPS = """
    SELECT
        CASE population WHEN 'a' THEN 1 WHEN 'b' THEN -1 ELSE 0 END::TINYINT AS coin,
        row,
        dense_rank() OVER (ORDER BY group_id) AS group_number,
        gap
    FROM ({gaps})
    ORDER BY population, row
"""
_RECALL_GAPS = """
    SELECT found.population, found.row, samples.group_id, found.recall_a - found.recall_b AS gap
    FROM sample_scores AS found JOIN samples ON samples.row = found.row AND samples.role = found.population
    WHERE found.model = ? AND found.epoch = ? AND found.query = ? AND found.k = ? AND found.labels = ?
        AND found.scope = ? AND found.recall_a IS NOT NULL AND found.recall_b IS NOT NULL
"""
_COSINE_GAPS = """
    SELECT own.population, own.row, samples.group_id, own.csa - other.csa AS gap
    FROM sample_attacks AS own
    JOIN sample_attacks AS other USING (model, epoch, population, row)
    JOIN samples ON samples.row = own.row AND samples.role = own.population
    WHERE own.model = ? AND own.epoch = ? AND own.side = 'a' AND other.side = 'b'
"""


def single_sample_tables(
    connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any], replicated: Mapping[str, int] | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (table, rows) of ``sample_memorization`` and ``remembered_shares``; the other tables are there.

    Nothing is said of roles that chance has not drawn from one dataset, since the holdout is then no control of
    single samples; nor of one-model tests, whose sides are not alike.

    Args:
        connection: of the database.
        config: the configuration: ``report`` names k and labels, ``measure`` the rate.
        replicated: model -> epoch of the models that several replicates tell more of, which are left out.
    """
    rate = float(config["measure"]["discovery_rate"])
    if not is_by_chance(connection):
        return
    for model, epoch in connection.execute(_MODELS).fetchall():
        if (replicated or {}).get(model) == epoch:
            continue
        statistics = list(_statistics(connection, config, model, epoch))
        confidence = confidence_of_each(len(statistics))
        rng = source_of_chance(int(config["measure"].get("seed", 0)), "placebo lists")
        constants = {"model": model, "epoch": epoch}
        for compared in statistics:
            if compared.is_known:
                yield (
                    "sample_memorization",
                    columns_and_constants(constants | sample_rows(compared), SAMPLE_MEMORIZATION),
                )
                share = share_row(compared, rate, confidence, rng)
                yield "remembered_shares", pa.Table.from_pylist([constants | share], schema=REMEMBERED_SHARES)


def is_by_chance(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether chance alone drew the query roles from one dataset, which makes the holdout their control."""
    return bool(connection.execute(_BY_CHANCE).fetchall()[0][0])


def _statistics(
    connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any], model: str, epoch: int
) -> Iterator[Compared]:
    cell = config["report"]["k"], str(config["report"]["labels"])
    queries = [query for (query,) in connection.execute(_QUERIES, [model, epoch, RANDOM]).fetchall()]
    for query in queries:
        for statistic, scope in RECALLS.items():
            yield _compared(connection, statistic, query, _RECALL_GAPS, model, epoch, query, *cell, scope)
    yield _compared(connection, COSINE, CAPTION, _COSINE_GAPS, model, epoch)


def _compared(connection: duckdb.DuckDBPyConnection, statistic: str, query: str, gaps: str, *values: Any) -> Compared:
    """Read a statistic of one pair of models."""
    columns = connection.execute(_GAPS.format(gaps=gaps), list(values)).fetchnumpy()
    coin, row, group, gap = (columns[name] for name in ("coin", "row", "group_number", "gap"))
    trained = coin != 0
    return Compared(
        statistic=statistic,
        query=query,
        population=np.where(coin[trained] > 0, "a", "b"),
        row=row[trained],
        group=group[trained],
        gaps=gap[None, trained],
        coins=coin[None, trained],
        control=gap[None, ~trained],
        control_group=group[~trained],
    )
