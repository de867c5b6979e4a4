"""Databases with the tables of the contract and the rows of a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from dejavu.database.tables import create_tables, create_views, insert
from dejavu.sides import KINDS
from dejavu.tables import DATABASE

VIEW_QUERIES = Path(__file__).parents[2] / "workflow" / "sql" / "views"
CONFIG = {"report.k": 10, "report.labels": "all", "measure.bootstrap": 99}


@cache
def empty_database() -> bytes:
    """A file with all tables and views, made once in a process: comments on columns take a third of a second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.duckdb"
        with duckdb.connect(str(path)) as connection:
            create_tables(connection)
            create_views(connection, VIEW_QUERIES)
        return path.read_bytes()


def write_database(path: Path, rows: Mapping[str, Sequence[dict] | pa.Table], **config: object) -> Path:
    """Write a database. A table without rows is empty, except ``metrics``; a column that a row lacks is null.

    Args:
        path: path of the database.
        rows: table -> its rows.
        config: further keys of the configuration, with ``__`` for dots.
    """
    values = CONFIG | {key.replace("__", "."): value for key, value in config.items()}
    keys = [{"key": key, "value": json.dumps(value)} for key, value in values.items()]
    path.write_bytes(empty_database())
    with duckdb.connect(str(path)) as connection:
        for name, records in {"config": keys, **rows}.items():
            schema = DATABASE[name][1]
            if name == "sides":
                records = [
                    {"has_images": side["kind"] not in KINDS or KINDS[side["kind"]].has_images, **side}
                    for side in records
                ]
            part = records if isinstance(records, pa.Table) else pa.Table.from_pylist(list(records), schema=schema)
            insert(connection, name, part.select(schema.names).cast(schema))
    return path
