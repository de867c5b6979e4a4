"""The SQL queries behind the report, which people can also read and run by hand on the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.paths import LARGE_TABLES


class Queries:
    """Runs the files of a folder on one database, which is opened read-only.

    Args:
        database: path of the DuckDB file.
        folder: folder of the files ``<name>.sql``.
        memory_mb: memory that DuckDB may take, in MB; beyond it, DuckDB spills to disk beside the database. None: as
            much as DuckDB takes by itself.
    """

    def __init__(self, database: str | Path, folder: Path, memory_mb: int | None = None) -> None:
        self._connection = duckdb.connect(str(database), read_only=True)
        self._connection.execute("SET enable_progress_bar = false")
        if memory_mb is not None:
            self._connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
        # where views find the tables that lie beside the database
        folder_of_database = str(Path(database).parent).replace("'", "''")
        self._connection.execute(f"SET file_search_path = '{folder_of_database}'")
        self._database, self._folder = database, folder

    def rows(self, name: str, **tables: pa.Table) -> list[dict]:
        """Return the rows of ``<name>.sql``; ``tables`` are registered under their names while it runs.

        Raises:
            InputError: when the database lacks a table or view of the query.
        """
        return self.table(name, **tables).to_pylist()

    def table(self, name: str, **tables: pa.Table) -> pa.Table:
        """Return the rows of ``<name>.sql`` as an Arrow table; see :meth:`rows`."""
        for table_name, table in tables.items():
            self._connection.register(table_name, table)
        sql = self.sql(name)
        try:
            result = self._connection.sql(sql).to_arrow_table()
        except duckdb.CatalogException:
            raise InputError(
                f"{self._database} lacks a table or view that {name}.sql asks for: an earlier version of the workflow "
                "made it. Delete it and run again."
            ) from None
        except duckdb.IOException as error:
            raise InputError(
                f"{self._database} has large tables in Parquet files beside it, which cannot be read "
                f"({first_line(error)}): copy the folder {Path(LARGE_TABLES).name} along, or delete the database "
                "and run again."
            ) from None
        for table_name in tables:
            self._connection.unregister(table_name)
        return result

    def sql(self, name: str) -> str:
        """Return the text of ``<name>.sql``."""
        return (self._folder / f"{name}.sql").read_text(encoding="utf-8")

    def config(self, key: str) -> Any:
        """Return the value of a configuration key; None where the configuration lacks it."""
        records = self._connection.execute("SELECT value FROM config WHERE key = ?", [key]).fetchall()
        return json.loads(records[0][0]) if records else None

    def config_rows(self) -> list[dict]:
        """Return the whole configuration: one row for each key path, with its value as JSON."""
        return self._connection.sql("SELECT key, value FROM config ORDER BY key").to_arrow_table().to_pylist()
