"""Search of everything below a folder, however it is packed, for texts that must not be there."""

from __future__ import annotations

import html
import io
import json
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq

from dejavu.report.markup import latex, markdown

# bytes of a text that are looked for first; of a shorter text all are looked for in one go
PREFIX = 8


def leaks(folder: Path, needles: Iterable[str], ordinary: bytes = b"") -> dict[str, str]:
    """Return text -> one place where it is, for the texts that are found anywhere below a folder.

    Args:
        folder: its files, members of archives, and text columns of databases and tables are searched.
        needles: the texts; each is also looked for as HTML, JSON, a URL, Markdown and LaTeX would write it.
        ordinary: what the project's own files and the user's labels say; a text that is part of it tells nothing.
    """
    written = {form: needle for needle in needles if needle.encode() not in ordinary for form in _forms(needle)}
    long, short = {}, []
    for form in written:
        if len(form) < PREFIX:
            short.append(form)
        else:
            long.setdefault(form[:PREFIX], []).append(form)
    prefixes = np.unique(np.frombuffer(b"".join(long), dtype=">u8"))
    found: dict[str, str] = {}
    for place, data in contents(folder):
        near = [form for prefix in _prefixes_in(data, prefixes) for form in long[prefix]]
        found |= {written[form]: place for form in (*near, *short) if form in data}
    return found


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of every file below a folder, and then what they hold unpacked, with where that is."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            yield f"name of {name}", name.encode()
            yield from _unpacked(name, path.read_bytes())
            if path.suffix == ".duckdb":
                yield from _columns(name, path)


def _unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, data
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield f"{name}: name of a member", member.encode()
                yield from _unpacked(f"{name}: {member}", archive.read(member))
    if data[:2] == b"\x1f\x8b":
        yield f"{name}, unpacked", zlib.decompress(data, wbits=31)
    if data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        yield f"{name}, its values", json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode()


def _columns(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the distinct values, as text, of all columns that hold texts, whatever schema or type they are in."""
    with duckdb.connect(str(path), read_only=True) as connection:
        columns = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND (data_type LIKE '%VARCHAR%' OR data_type LIKE '%BLOB%')"
        ).fetchall()
        for schema, table, column in columns:
            query = f'SELECT DISTINCT "{column}"::VARCHAR FROM "{schema}"."{table}"'
            values = [value for (value,) in connection.execute(query).fetchall() if value is not None]
            yield f"{name}: {schema}.{table}.{column}", "\n\0".join(values).encode()
        for (text,) in connection.execute("SELECT coalesce(sql, '') FROM duckdb_views() WHERE NOT internal").fetchall():
            yield f"{name}: a view", text.encode()


def _forms(text: str) -> set[bytes]:
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    forms = {
        text,
        plain,
        json.dumps(text)[1:-1],
        json.dumps(plain)[1:-1],
        html.escape(text),
        html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        urllib.parse.quote(text),
        str(markdown(text)),
        latex(text),
        text.replace("'", "''"),
        " ".join(text.split()),
    }
    return {form.encode() for form in forms if form.strip()}


def _prefixes_in(data: bytes, prefixes: np.ndarray) -> Iterator[bytes]:
    """Yield those of some sequences of eight bytes, as big-endian numbers, that are anywhere in the data."""
    for shift in range(PREFIX):
        whole = (len(data) - shift) // PREFIX * PREFIX
        if whole > 0:
            numbers = np.frombuffer(data, dtype=">u8", count=whole // PREFIX, offset=shift)
            for number in np.intersect1d(numbers, prefixes):
                yield int(number).to_bytes(PREFIX, "big")
