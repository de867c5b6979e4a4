"""The tables and views of a DuckDB file, made from their schemas, with the comments on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from dejavu.memorization.metrics import METRICS
from dejavu.tables.database import DATABASE, METRICS_TABLE, VIEWS


def create_tables(connection: duckdb.DuckDBPyConnection, without: Collection[str] = ()) -> None:
    """Create the tables of :data:`dejavu.tables.DATABASE` but for those named, empty but for ``metrics``."""
    for name in DATABASE:
        if name not in without:
            create_table(connection, name)
    insert(connection, "metrics", metrics_table())


def create_table(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Create a table of :data:`dejavu.tables.DATABASE`, empty."""
    text, schema = DATABASE[name]
    columns = ", ".join(f'"{column}" {kind}' for column, kind in columns_of(connection, name))
    connection.execute(f'CREATE TABLE "{name}" ({columns})')
    comment(connection, "TABLE", name, text, schema)


def columns_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    """Return name and DuckDB's type of every column of a table, whether or not it is there."""
    connection.register("empty_table", DATABASE[name][1].empty_table())
    columns = connection.execute("DESCRIBE empty_table").fetchall()
    connection.unregister("empty_table")
    return [(column, kind) for column, kind, *_ in columns]


def create_views(connection: duckdb.DuckDBPyConnection, queries: Path) -> None:
    """Create every view of :data:`dejavu.tables.VIEWS`; the tables are there.

    Args:
        connection: of the database.
        queries: folder with the query of each view, ``<name>.sql``.

    Raises:
        ValueError: when a query has other columns than the schema names.
    """
    for name, (text, schema) in VIEWS.items():
        query = (queries / f"{name}.sql").read_text(encoding="utf-8")
        connection.execute(f'CREATE VIEW "{name}" AS {query}')
        columns = [column for column, *_ in connection.execute(f'DESCRIBE "{name}"').fetchall()]
        if columns != schema.names:
            raise ValueError(f"the view {name} has the columns {columns}, not {schema.names}")
        comment(connection, "VIEW", name, text, schema)


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
    """Insert the rows of a Parquet file that a condition holds for, with constant columns added."""
    connection.execute(f'INSERT INTO "{name}" BY NAME {source(constants, path, where)}')


def source(constants: Mapping[str, str | int], path: Path, where: str) -> str:
    """Return the query that reads a Parquet file, with constant columns added.

    Args:
        constants: column -> value.
        path: the file.
        where: a condition of this package, never the user's.
    """
    added = "".join(
        f', {value if isinstance(value, int) else quoted_text(value)} AS "{column}"'
        for column, value in constants.items()
    )
    return f"SELECT *{added} FROM read_parquet({quoted_text(str(path))}) WHERE {where}"


def comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, text: str, schema: pa.Schema) -> None:
    """Write the comments on a table or view, and on each of its columns."""
    connection.execute(f'COMMENT ON {kind} "{name}" IS {quoted_text(text)}')
    for column in schema:
        meaning = column.metadata[b"comment"].decode()
        connection.execute(f'COMMENT ON COLUMN "{name}"."{column.name}" IS {quoted_text(meaning)}')


def quoted_text(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
