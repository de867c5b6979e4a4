"""Comparison of two runs: rows of their databases, measured columns aside, and bytes of their checkpoints."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from pathlib import Path

import duckdb

from dejavu.tables import MEASURED

# Tables that depend on all models of a configuration, with the reason; they differ between runs of different models.
OF_ALL_MODELS = {
    "config": "names all models",
    "stages": "counts what went into tables of all models",
}


def differing_tables(truth: Path, other: Path, models: Sequence[str] = ()) -> list[str]:
    """Return the names of the tables whose rows differ between two databases, as multisets, measured columns aside.

    Args:
        truth: path of the database with the expected rows.
        other: path of the database to compare.
        models: compare the rows of these models only, without the tables of OF_ALL_MODELS; empty: compare all rows.
    """
    with duckdb.connect() as connection:
        schemas = {}
        # where views find tables that lie beside their database
        folders = f"{truth.parent},{other.parent}".replace("'", "''")
        connection.execute(f"SET file_search_path = '{folders}'")
        for name, path in (("truth", truth), ("other", other)):
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")
            schemas[name] = _columns(connection, name)
        tables = set(schemas["truth"] | schemas["other"]) - (set(OF_ALL_MODELS) if models else set())
        return sorted(table for table in tables if _differs(connection, schemas, table, models))


def differing_checkpoints(truth: Path, other: Path) -> list[str]:
    """Return the checkpoints that one of two results folders lacks, or whose bytes differ between them."""
    names = {path.relative_to(folder) for folder in (truth, other) for path in folder.rglob("checkpoints/*.pt")}
    return sorted(
        str(name)
        for name in names
        if not ((truth / name).exists() and (other / name).exists())
        or not filecmp.cmp(truth / name, other / name, shallow=False)
    )


def _columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[str]]:
    query = (
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE database_name = ? AND NOT internal GROUP BY table_name"
    )
    return dict(connection.execute(query, [database]).fetchall())


def _differs(
    connection: duckdb.DuckDBPyConnection, schemas: dict[str, dict[str, list[str]]], table: str, models: Sequence[str]
) -> bool:
    columns = schemas["truth"].get(table)
    if columns != schemas["other"].get(table):
        return True
    names = ", ".join(f'"{name}"' for name in columns if name not in MEASURED.get(table, ()))
    where = f"WHERE model IN ({', '.join(map(repr, models))})" if models and "model" in columns else ""
    ours, theirs = (f'SELECT {names} FROM {database}."{table}" {where}' for database in ("truth", "other"))
    either = f"(({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}))"
    return connection.execute(f"SELECT count(*) FROM {either}").fetchone() != (0,)
