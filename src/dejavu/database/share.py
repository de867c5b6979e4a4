"""The database that may leave the house: totals alone, without images, captions, uids, paths or any single sample.

Only what is named here is copied, so a table that is new stays at home until somebody has looked at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dejavu.checkpoints import HUB, LOCAL
from dejavu.database.tables import create_tables, create_views, insert, quoted_text
from dejavu.files import atomic
from dejavu.tables.database import DATABASE

# the tables that are copied whole: none has a row for a sample
KEPT = (
    "roles",
    "population_gaps",
    "bootstrap_draws",
    "bands",
    "top_l",
    "recall_curves",
    "utility",
    "utility_draws",
    "attacks",
    "membership",
    "membership_curves",
    "verdicts",
    "blind_baseline",
    "remembered_shares",
    "confirmations",
    "memory_sources",
    "memory_trends",
    "replicates",
    "replicate_draws",
    "recipe_intervals",
    "privacy",
    "studies",
    "training",
    "stages",
    "hashes",
    "provenance",
)
# schema of the database with results of queries that need single samples
ANSWERS = "answers"
_OLDEST = "v1.0.0"
# keys whose strings are paths or patterns of the data, or texts of benchmarks: nothing of them is shown
_HIDDEN = re.compile(
    r"(datasets\..+\.(raw|root|image_root|image_links|coco\.\w+|annotate\.(files|vocabulary|model))"
    r"|splits\..+\.uids|utility\..+\.(data|train|test|classes|templates)|models\..+\.clip_benchmark)"
)
_FOLDERS = re.compile(r"(?:[^\s'\"/\\]*[/\\])+(?=[^\s/\\'\"]*)")


def write_shared_database(
    source: Path, sql: Path, target: Path, answers: Mapping[str, pa.Table], memory_mb: int
) -> None:
    """Write a database with the totals of another.

    Its tables are those of the contract; tables of single samples are there and empty, so every query runs. The
    results of queries that need single samples are tables of the schema ``answers``.

    Args:
        source: the database to read; large tables lie beside it.
        sql: the folder with the queries of the views in ``views``.
        target: file to write.
        answers: name of a query -> its result, without anything about a single sample.
        memory_mb: memory that DuckDB may take, in MB.
    """
    with atomic(target) as temporary:
        temporary.unlink(missing_ok=True)
        with duckdb.connect(str(temporary), config={"storage_compatibility_version": _OLDEST}) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
            create_tables(connection)
            create_views(connection, sql / "views")
            connection.execute(f"SET file_search_path = {quoted_text(str(source.parent))}")
            connection.execute(f"ATTACH {quoted_text(str(source))} AS house (READ_ONLY)")
            _copy(connection)
            connection.execute(f"CREATE SCHEMA {ANSWERS}")
            for name, table in answers.items():
                connection.register("answer", table)
                connection.execute(f'CREATE TABLE {ANSWERS}."{name}" AS SELECT * FROM answer')
                connection.unregister("answer")
            connection.execute("DETACH house")


def _copy(connection: duckdb.DuckDBPyConnection) -> None:
    for name in KEPT:
        columns = ", ".join(f'"{column}"' for column in DATABASE[name][1].names)
        connection.execute(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM house."{name}"')
    connection.execute("UPDATE studies SET value = NULL WHERE axis = 'checkpoint'")
    for name, shown in (("sides", shown_sides), ("config", shown_config)):
        table = connection.sql(f'SELECT * FROM house."{name}" ORDER BY ALL').to_arrow_table()
        insert(connection, name, pa.Table.from_pylist(shown(table.to_pylist()), schema=DATABASE[name][1]))


def shown_sides(rows: list[dict]) -> list[dict]:
    """Return rows of the table ``sides`` with the names of files in place of paths."""
    return [
        {
            **row,
            "source": name_of(row["source"]),
            "preprocessing": row["preprocessing"] and _without_folders(row["preprocessing"], row["source"]),
        }
        for row in rows
    ]


def shown_config(rows: list[dict]) -> list[dict]:
    """Return rows of the table ``config`` without paths.

    The path of a file of the data becomes ``path 1``, ``path 2`` and so on, equal ones the same; that of an
    architecture, a checkpoint or a text encoder becomes the name of the file.
    """
    numbers: dict[str, int] = {}

    def hidden(text: str) -> str:
        return f"path {numbers.setdefault(text, len(numbers) + 1)}"

    shown = []
    for row in sorted(rows, key=lambda row: row["key"]):
        change = hidden if _HIDDEN.fullmatch(row["key"]) else name_of
        value = json.dumps(_strings(json.loads(row["value"]), change), sort_keys=True)
        shown.append({"key": row["key"], "value": value})
    return shown


def name_of(text: str) -> str:
    """Return the last part of a path; a name in a hub, and what is no path, stays as it is."""
    if text.startswith(HUB):
        return text
    parts = [part for part in re.split(r"[/\\]", text.removeprefix(LOCAL)) if part]
    return parts[-1] if parts else text


def _without_folders(text: str, source: str) -> str:
    """Return a sentence without the folders of the paths in it; those of ``source`` may contain blanks."""
    path = Path(source.removeprefix(LOCAL))
    for folder in (path, path.parent):
        if len(folder.parts) > 1 or folder.is_absolute():
            text = text.replace(f"{folder}/", "").replace(str(folder), name_of(str(folder)))
    return _FOLDERS.sub("", text)


def _strings(value: Any, change: Any) -> Any:
    """Return a value of the configuration with every string in it changed, but not the keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_strings(part, change) for part in value]
    return {key: _strings(part, change) for key, part in value.items()} if isinstance(value, dict) else value
