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

# a sample's coin: which side saw it
COINS = {"a": 1, "b": -1}

_MODELS = """
    SELECT DISTINCT found.model, found.epoch
    FROM population_gaps AS found JOIN sides AS reference ON reference.model = found.model AND reference.side = 'b'
    WHERE reference.kind <> 'text_encoder' ORDER BY ALL
"""
_BY_CHANCE = """
    SELECT count(DISTINCT dataset) = 1 AND count(listed) = 0 FROM roles WHERE role IN ('a', 'b', 'holdout')
"""
_QUERIES = "SELECT DISTINCT query FROM sample_scores WHERE model = ? AND epoch = ? AND query <> ? ORDER BY query"
_RECALL_GAPS = """
    SELECT found.population, found.row, samples.group_id, found.recall_a - found.recall_b AS gap
    FROM sample_scores AS found JOIN samples ON samples.row = found.row AND samples.role = found.population
    WHERE found.model = ? AND found.epoch = ? AND found.query = ? AND found.k = ? AND found.labels = ?
        AND found.scope = ? AND found.recall_a IS NOT NULL AND found.recall_b IS NOT NULL
    ORDER BY found.population, found.row
"""
_COSINE_GAPS = """
    SELECT own.population, own.row, samples.group_id, own.csa - other.csa AS gap
    FROM sample_attacks AS own
    JOIN sample_attacks AS other USING (model, epoch, population, row)
    JOIN samples ON samples.row = own.row AND samples.role = own.population
    WHERE own.model = ? AND own.epoch = ? AND own.side = 'a' AND other.side = 'b'
    ORDER BY own.population, own.row
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
            columns = connection.execute(_RECALL_GAPS, [model, epoch, query, *cell, scope]).fetchnumpy()
            yield _compared(statistic, query, columns)
    yield _compared(COSINE, CAPTION, connection.execute(_COSINE_GAPS, [model, epoch]).fetchnumpy())


def _compared(statistic: str, query: str, columns: Mapping[str, np.ndarray]) -> Compared:
    """Return a statistic of one pair of models: the columns are population, row, group_id and gap."""
    population = columns["population"].astype(str)
    group = np.unique(columns["group_id"].astype(str), return_inverse=True)[1].reshape(-1)
    trained, control = np.isin(population, list(COINS)), population == "holdout"
    return Compared(
        statistic=statistic,
        query=query,
        population=population[trained],
        row=columns["row"][trained],
        group=group[trained],
        gaps=columns["gap"][None, trained],
        coins=np.array([[COINS[role] for role in population[trained]]], dtype=np.int8),
        control=columns["gap"][None, control],
        control_group=group[control],
    )
