"""The tables of a database that are too large for its file: Parquet beside it, which views of their names read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dejavu.data.samples import gathered
from dejavu.database.tables import columns_of, comment, create_table, insert, insert_file, quoted_text, source
from dejavu.files import NUMBERS_PER_GROUP, atomic, write_table
from dejavu.tables.database import DATABASE


class Tables:
    """Where the rows of a database's tables go.

    DuckDB looks for the files of a view below its working directory and then below its setting ``file_search_path``,
    never beside the database. So the files lie in a folder whose name no other database has: a view finds those of its
    own database or none.

    Args:
        connection: of the database; its ``file_search_path`` becomes the folder that the database lies in.
        beside: folder for Parquet files, beside the database; made anew.
        large: the tables that go there.
        identity: what tells this database from others, as JSON.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, beside: Path, large: Iterable[str], identity: Mapping[str, Any]
    ) -> None:
        self.large = frozenset(large)
        self._connection, self._beside = connection, beside
        text = json.dumps(identity, sort_keys=True)
        self._name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._shown: set[str] = set()
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        connection.execute(f"SET file_search_path = {quoted_text(str(beside.parent))}")

    def insert(self, table: str, parts: Iterable[pa.Table], file: str = "all") -> None:
        """Insert rows.

        Args:
            table: its name.
            parts: the rows, of the table's columns.
            file: name of the Parquet file, without its ending, of rows that go beside the database.
        """
        # DuckDB waits for the disk at every part
        parts = gathered(parts, NUMBERS_PER_GROUP)
        if table not in self.large:
            for part in parts:
                insert(self._connection, table, part)
            return
        write_table(self._path(table, file), parts, DATABASE[table][1], NUMBERS_PER_GROUP)

    def insert_file(self, table: str, path: Path, constants: Mapping[str, str | int], where: str = "true") -> None:
        """Insert the rows of a Parquet file that a condition holds for, with constant columns added."""
        if table not in self.large:
            insert_file(self._connection, table, path, constants, where)
            return
        columns = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in columns_of(self._connection, table))
        target = self._path(table, ".".join(map(str, constants.values())))
        # a COPY takes no bound values; these are names that the schema of the configuration restricts
        with atomic(target) as temporary:
            self._connection.execute(
                f"COPY (SELECT {columns} FROM ({source(constants, path, where)})) TO {quoted_text(str(temporary))} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {2 * NUMBERS_PER_GROUP})"
            )

    def show(self) -> None:
        """Create the views of those large tables whose files are there, with the comments of a table."""
        for name in sorted(self.large - self._shown):
            if not (self._beside / self._name / name).is_dir():
                continue
            text, schema = DATABASE[name]
            columns = ", ".join(f'"{column}"' for column in schema.names)
            files = quoted_text(f"{self._beside.name}/{self._name}/{name}/*.parquet")
            self._connection.execute(f'CREATE VIEW "{name}" AS SELECT {columns} FROM read_parquet({files})')
            comment(self._connection, "VIEW", name, text, schema)
            self._shown.add(name)

    def finish(self) -> None:
        """Create what is left: views, and an empty table for each large table that has got no rows."""
        self.show()
        for name in sorted(self.large - self._shown):
            create_table(self._connection, name)

    def _path(self, table: str, file: str) -> Path:
        return self._beside / self._name / table / f"{file}.parquet"
