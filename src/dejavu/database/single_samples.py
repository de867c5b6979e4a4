"""Which single training samples a model shows memory of, from what the other tables hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from dejavu.memorization.discoveries import evidence, remembered_share
from dejavu.tables.database import REMEMBERED_SHARES, SAMPLE_MEMORIZATION
from dejavu.tables.queries import CAPTION, RANDOM

# statistic -> its scope in sample_scores
RECALLS = {"recall": "all", "unnamed recall": "unnamed"}
COSINE = "pair cosine"
ERROR = 0.05

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


@dataclass(frozen=True)
class _Gaps:
    """One statistic of one model, of the samples of the query roles by role and row.

    Attributes:
        coin: int8 (n,), which side saw the sample: 1 for a, -1 for b, 0 for neither.
        row: int64 (n,).
        group: int64 (n,), numbers that are the same within a duplicate group.
        gap: float64 (n,), score under side a minus score under side b.
    """

    coin: np.ndarray
    row: np.ndarray
    group: np.ndarray
    gap: np.ndarray


def single_sample_tables(
    connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (table, rows) of ``sample_memorization`` and ``remembered_shares``; the other tables are there.

    Nothing is said of roles that chance has not drawn from one dataset, since the holdout is then no control of
    single samples; nor of one-model tests, whose sides are not alike.

    Args:
        connection: of the database.
        config: the configuration: ``report`` names k and labels, ``measure`` the rate.
    """
    rate = float(config["measure"]["discovery_rate"])
    if not is_by_chance(connection):
        return
    for model, epoch in connection.execute(_MODELS).fetchall():
        compared = list(_statistics(connection, config, model, epoch))
        # the shares of a model hold together, so that the largest of them may be read
        confidence = 1 - ERROR / len(compared)
        for statistic, query, gaps in compared:
            constants = {"model": model, "epoch": epoch, "statistic": statistic, "query": query}
            trained, control = gaps.coin != 0, gaps.coin == 0
            if not trained.any() or not control.any():
                continue
            coins = gaps.coin[None, trained].astype(np.int64)
            pool, others = gaps.gap[None, trained], gaps.gap[None, control]
            found = evidence(pool, coins, others, gaps.group[control])
            yield (
                "sample_memorization",
                _table(
                    SAMPLE_MEMORIZATION,
                    constants,
                    population=pa.array(["a", "b"]).take(pa.array((gaps.coin[trained] < 0).astype(np.int8))),
                    row=gaps.row[trained],
                    advantage=found.advantage,
                    p_value=found.p_value,
                    q_value=found.q_value,
                ),
            )
            yield (
                "remembered_shares",
                _table(
                    REMEMBERED_SHARES,
                    constants | {"rate": rate},
                    samples=[int(trained.sum())],
                    control=[int(control.sum())],
                    listed=[int((found.q_value <= rate).sum())],
                    share_low=[
                        remembered_share(pool, coins, others, gaps.group[trained], gaps.group[control], confidence)
                    ],
                ),
            )


def is_by_chance(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether chance alone drew the query roles from one dataset, which makes the holdout their control."""
    return bool(connection.execute(_BY_CHANCE).fetchall()[0][0])


def _statistics(
    connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any], model: str, epoch: int
) -> Iterator[tuple[str, str, _Gaps]]:
    cell = config["report"]["k"], str(config["report"]["labels"])
    queries = [query for (query,) in connection.execute(_QUERIES, [model, epoch, RANDOM]).fetchall()]
    for query in queries:
        for statistic, scope in RECALLS.items():
            yield statistic, query, _read(connection, _RECALL_GAPS, model, epoch, query, *cell, scope)
    yield COSINE, CAPTION, _read(connection, _COSINE_GAPS, model, epoch)


def _read(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> _Gaps:
    columns = connection.execute(_GAPS.format(gaps=query), list(values)).fetchnumpy()
    return _Gaps(columns["coin"], columns["row"], columns["group_number"], columns["gap"])


def _table(schema: pa.Schema, constants: Mapping[str, Any], **columns: Any) -> pa.Table:
    number = len(next(iter(columns.values())))
    repeated = {name: pa.repeat(pa.scalar(value), number) for name, value in constants.items()}
    values = repeated | {name: pa.array(column) for name, column in columns.items()}
    return pa.table({name: values[name].cast(schema.field(name).type) for name in schema.names}, schema=schema)
