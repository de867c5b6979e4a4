"""``make reference``: write docs/reference/tables.md from the schemas of the tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dejavu.files import write_text
from dejavu.tables.data import FINGERPRINTS, GROUPS, IMPORTED, MANIFEST, OBJECTS, QUARANTINE, SAMPLES
from dejavu.tables.database import DATABASE, MEASURED

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "tables.md"

OPENING = """\
# Tables and their columns

<!-- Made from src/dejavu/tables by `make reference`. Edit the schemas, not this page. -->

Every column of the database `memorization.duckdb`, and of the Parquet files between the steps, with its type and its
meaning. The database says the same: `SELECT table_name, column_name, comment FROM duckdb_columns()`.

[Files and tables](data-contract.md) says what the tables are for and how they fit together, and
[questions](../guides/questions.md) has examples of SQL. Columns marked *measured* measure the run itself (seconds,
memory, rates); all others are the same for the same configuration on the same machine.
"""
FILES: dict[str, tuple[str, pa.Schema]] = {
    "samples/<batch>/<file>.parquet": ("the samples of one raw file", SAMPLES),
    "objects/<batch>/<file>.parquet": ("the objects in their images", OBJECTS),
    "imported objects": ("objects that another program found, as they are read", IMPORTED),
    "fingerprints/<batch>/<file>.parquet": ("hashes by which duplicates are found", FINGERPRINTS),
    "groups.parquet": ("the duplicate group of every sample", GROUPS),
    "quarantine/<batch>/<file>.parquet": ("rows that could not be used", QUARANTINE),
    "<split>/manifests/<role>.parquet": ("the samples of a role", MANIFEST),
}


def tables_reference() -> str:
    """Return the reference of all tables as a page of Markdown."""
    parts = [OPENING, "## The database\n"]
    parts += [section(f"`{name}`", about, schema, name) for name, (about, schema) in DATABASE.items()]
    parts.append("## Files between the steps\n\nThe paths are below `results/<dataset>/`.\n")
    parts += [section(f"`{name}`" if "/" in name or "." in name else name, *entry) for name, entry in FILES.items()]
    return "\n".join(parts)


def section(title: str, about: str, schema: pa.Schema, table: str = "") -> str:
    """Return one table of the reference: a row for each column of the schema.

    Args:
        title: the heading, in Markdown.
        about: what the table holds, without a full stop.
        schema: the columns, each with a ``comment`` in its metadata.
        table: name of the table in the database, whose measured columns are marked; empty for a file.
    """
    rows = []
    for column in schema:
        comment = (column.metadata or {}).get(b"comment", b"").decode().replace("|", "\\|")
        mark = " (*measured*)" if column.name in MEASURED.get(table, ()) else ""
        rows.append(f"| `{column.name}` | {type_in_words(column.type)} | {comment}{mark} |")
    head = [f"### {title}", "", f"{about[:1].upper()}{about[1:]}.", "", "| column | type | meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def type_in_words(kind: pa.DataType) -> str:
    """Return the name of a type of Arrow as the reference writes it."""
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.list_size} × {type_in_words(kind.value_type)}"
    if pa.types.is_list(kind):
        return f"list of {type_in_words(kind.value_type)}"
    if pa.types.is_map(kind):
        return f"map of {type_in_words(kind.key_type)} to {type_in_words(kind.item_type)}"
    if pa.types.is_struct(kind):
        return "struct of " + ", ".join(f"{part.name} {type_in_words(part.type)}" for part in kind)
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(kind), str(kind))


if __name__ == "__main__":
    write_text(PAGE, tables_reference())
