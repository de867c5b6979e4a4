"""The tables and views of a DuckDB file, made from their schemas, with the comments on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from dejavu.memorization.metrics import METRICS
from dejavu.tables.database import DATABASE, METRICS_TABLE, VIEWS


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every table of :data:`dejavu.tables.DATABASE`, empty but for ``metrics``."""
    for name, (comment, schema) in DATABASE.items():
        connection.register("empty_table", schema.empty_table())
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM empty_table')
        connection.unregister("empty_table")
        _comment(connection, "TABLE", name, comment, schema)
    insert(connection, "metrics", metrics_table())


def create_views(connection: duckdb.DuckDBPyConnection, queries: Path) -> None:
    """Create every view of :data:`dejavu.tables.VIEWS`; the tables are there.

    Args:
        connection: of the database.
        queries: folder with the query of each view, ``<name>.sql``.

    Raises:
        ValueError: when a query has other columns than the schema names.
    """
    for name, (comment, schema) in VIEWS.items():
        query = (queries / f"{name}.sql").read_text(encoding="utf-8")
        connection.execute(f'CREATE VIEW "{name}" AS {query}')
        columns = [column for column, *_ in connection.execute(f'DESCRIBE "{name}"').fetchall()]
        if columns != schema.names:
            raise ValueError(f"the view {name} has the columns {columns}, not {schema.names}")
        _comment(connection, "VIEW", name, comment, schema)


def metrics_table() -> pa.Table:
    """Return the rows of the table ``metrics``."""
    rows = [
        {
            "metric": metric.key,
            "name": metric.name,
            "meaning": metric.meaning,
            "source": metric.source,
            "place": place,
            "is_tested": metric.is_tested,
        }
        for place, metric in enumerate(METRICS)
    ]
    return pa.Table.from_pylist(rows, schema=METRICS_TABLE)


def insert(connection: duckdb.DuckDBPyConnection, name: str, part: pa.Table) -> None:
    """Insert rows into a table."""
    connection.register("part", part)
    connection.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM part')
    connection.unregister("part")


def insert_file(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    constants: Mapping[str, str | int],
    where: str = "true",
) -> None:
    """Insert a parquet file with constant columns added; ``where`` is a condition of this package, never the user's."""
    added = "".join(f', ? AS "{column}"' for column in constants)
    query = f'INSERT INTO "{name}" BY NAME SELECT *{added} FROM read_parquet(?) WHERE {where}'
    connection.execute(query, [*constants.values(), str(path)])


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, comment: str, schema: pa.Schema) -> None:
    connection.execute(f"COMMENT ON {kind} \"{name}\" IS '{_quoted(comment)}'")
    for column in schema:
        text = column.metadata[b"comment"].decode()
        connection.execute(f'COMMENT ON COLUMN "{name}"."{column.name}" IS \'{_quoted(text)}\'')


def _quoted(text: str) -> str:
    return text.replace("'", "''")
