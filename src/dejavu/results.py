"""The database of a finished run, for whoever wants its numbers in Python."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.project import BASE
from dejavu.report.queries import Queries

SQL = BASE / "workflow" / "sql"


def open_database(path: str | os.PathLike[str]) -> Queries:
    """Return the queries of the report on a database, which is opened read-only.

    ``open_database(path).table("result_table")`` is an Arrow table, and ``rows`` gives the same as a list of mappings.
    Every file in ``workflow/sql`` says at its top what its rows are; :func:`query_names` lists them. Two of them also
    read an Arrow table of yours, which is given as a keyword argument under the name that the query says.

    Args:
        path: ``memorization.duckdb`` of a split.

    Raises:
        InputError: when there is no such file, or it is no database.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no database {path}: a run writes results/<dataset>/<split>/memorization.duckdb.")
    try:
        return Queries(Path(path), SQL)
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be opened as a DuckDB database: {first_line(error)}") from None


def query_names() -> list[str]:
    """Return the names that :meth:`Queries.rows` and :meth:`Queries.table` take, in the order of the alphabet."""
    return sorted(path.stem for path in SQL.glob("*.sql"))
