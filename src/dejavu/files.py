"""Writing files so that a reader, or a rerun after a crash, never sees half of one."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError

# few rows of images, which are large; many of numbers
ROWS_PER_GROUP = 4096
NUMBERS_PER_GROUP = 65_536


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it is flushed to disk and renamed to ``path``.

    On failure the temporary file is removed and ``path`` is left as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(
    path: str | os.PathLike[str],
    parts: pa.Table | Iterable[pa.Table],
    schema: pa.Schema,
    rows_per_group: int = ROWS_PER_GROUP,
) -> int:
    """Writes a parquet file of exactly ``schema``, part by part; returns its number of rows.

    A column that a part lacks, or has in another type, is an error of ours: ``KeyError`` or an error of pyarrow.
    """
    rows = 0
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in [parts] if isinstance(parts, pa.Table) else parts:
            writer.write_table(part.select(schema.names).cast(schema), row_group_size=rows_per_group)
            rows += part.num_rows
    return rows


def write_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes one ``.npy`` file, without pickles."""
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        np.save(handle, array, allow_pickle=False)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes one UTF-8 text file."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes one JSON file with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_table(path: str | os.PathLike[str], columns: list[str] | None = None) -> pa.Table:
    """Reads one of our own parquet files.

    Raises:
        InputError: when the file is damaged, with what to do.
    """
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Maps one ``.npy`` file into memory, without pickles.

    Raises:
        InputError: when the file is damaged, with what to do.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise damaged(path, error) from error


def matching_files(where: str, patterns: Iterable[str]) -> list[str]:
    """The files that glob patterns match, sorted.

    Args:
        where: the key of the configuration that has the patterns, for the message.
        patterns: relative to the working directory, or absolute.

    Raises:
        InputError: when a pattern matches none.
    """
    files: set[str] = set()
    for pattern in patterns:
        found = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
        if not found:
            raise InputError(f"{where}: no file matches {pattern!r} in {Path.cwd()}: correct the pattern.")
        files |= set(found)
    return sorted(files)


def damaged(path: str | os.PathLike[str], error: Exception) -> InputError:
    """The sentence about an intermediate file that cannot be read."""
    return InputError(f"{path} cannot be read ({first_line(error)}): delete it and run again, it will be made anew.")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, short enough for a sentence."""
    text = str(error).strip() or type(error).__name__
    return re.sub(r"\s+", " ", text.splitlines()[0])[:200].rstrip(".")
