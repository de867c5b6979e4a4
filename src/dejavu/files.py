"""Writing files so that a reader, or a rerun after a crash, never sees half of one."""

from __future__ import annotations

import functools
import glob
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike

from dejavu.errors import InputError, refused_writing

# row groups: few rows for images, many for numbers
ROWS_PER_GROUP = 4096
NUMBERS_PER_GROUP = 65_536

# a name of temporary_beside(), and what DuckDB adds to it for files of its own
TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}\.tmp(\.wal|\.tmp)?")


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it is flushed to disk and renamed to ``path``.

    On failure the temporary file is removed and ``path`` is left as it was. What a killed process left is removed by
    the next one that writes ``path``.

    Raises:
        InputError: when the disk is full, or the file system read-only.
    """
    target = Path(path)
    with temporary_beside(target) as temporary:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yields an unused hidden name beside ``path``, for a file or a folder; what has it at the end is removed.

    First, what killed processes left under such names for ``path`` is removed. Should one of them live on, as the job
    of a Snakemake that was killed may on another machine, it fails, and does not put its file over that of this one.

    Raises:
        InputError: when the disk is full, or the file system read-only.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in _leftovers(path.parent.absolute()).pop(path.name, []):
            _remove(left)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            yield temporary
        finally:
            for suffix in ("", ".wal", ".tmp"):
                _remove(temporary.with_name(temporary.name + suffix))
    except Exception as error:
        if (refused := refused_writing(error, path)) is not None:
            raise refused from error
        raise


@functools.cache
def _leftovers(folder: Path) -> dict[str, list[Path]]:
    """Target -> temporaries, as they are when this process first writes into a folder: none of them is its own."""
    found: dict[str, list[Path]] = {}
    for name in os.listdir(folder):
        if (match := TEMPORARY.fullmatch(name)) is not None:
            found.setdefault(match["target"], []).append(folder / name)
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


def map_array(path: str | os.PathLike[str], shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    """Maps a new ``.npy`` file into memory, to be filled.

    Its space is taken at once, since a process that writes to a mapped file on a full disk is killed (SIGBUS).
    """
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, os.path.getsize(path))
    return array


@contextmanager
def fill_array(path: str | os.PathLike[str], length: int) -> Iterator[Callable[[slice, np.ndarray], None]]:
    """Make one float32 ``.npy`` file part by part; it appears when all parts are there.

    Args:
        path: file to write.
        length: number of its rows.

    Yields:
        What takes the place of some rows and their values, float32 (rows, dimension).
    """
    with atomic(path) as temporary:
        mapped: list[np.memmap] = []

        def fill(place: slice, part: np.ndarray) -> None:
            if not mapped:
                mapped.append(map_array(temporary, (length, part.shape[1]), np.float32))
            mapped[0][place] = part

        yield fill
        for array in mapped:
            array.flush()


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
        found = glob_files(pattern)
        if not found:
            raise InputError(f"{where}: no file matches {pattern!r} in {Path.cwd()}: correct the pattern.")
        files |= set(found)
    for file in files:
        require_plain_name(where, file)
    return sorted(files)


def glob_files(pattern: str, root: str | os.PathLike[str] = ".") -> list[str]:
    """The files that a pattern matches, sorted, as a shell would: hidden ones only where the pattern says so.

    Of a folder that it matches, as Spark writes one for each table, the files with the pattern's ending count, but for
    those whose names, or those of folders between, begin with a dot or an underscore.

    Args:
        pattern: ``**`` means any number of folders.
        root: folder that it, and what is returned, is relative to.
    """
    root = os.fspath(root)
    suffix = os.path.splitext(pattern)[1]
    found: set[str] = set()
    for path in glob.glob(pattern, root_dir=root, recursive=True):
        is_table = suffix and os.path.isdir(os.path.join(root, path))
        inside = glob.glob(f"{glob.escape(path)}/**/*{suffix}", root_dir=root, recursive=True) if is_table else [path]
        found |= {file for file in inside if os.path.isfile(os.path.join(root, file)) and not _set_aside(file, suffix)}
    return sorted(found)


def _set_aside(path: str, suffix: str) -> bool:
    """Whether a file lies in a table's folder, below one that its writer has not finished."""
    folders = path.split(os.sep)
    table = next((at for at, name in enumerate(folders[:-1]) if suffix and name.endswith(suffix)), len(folders))
    return any(name.startswith("_") for name in folders[table + 1 :])


def require_plain_name(where: str, path: str | os.PathLike[str]) -> None:
    """Refuses a path that Snakemake would take for a pattern.

    Raises:
        InputError: naming the key ``where`` of the configuration.
    """
    if "{" in os.fspath(path) or "}" in os.fspath(path):
        raise InputError(
            f"{where}: {os.fspath(path)} has braces in its name, which Snakemake takes for wildcards: rename it, or "
            "give a link to it of another name."
        )


def damaged(path: str | os.PathLike[str], error: Exception) -> InputError:
    """The sentence about an intermediate file that cannot be read."""
    return InputError(f"{path} cannot be read ({first_line(error)}): delete it and run again, it will be made anew.")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, short enough for a sentence."""
    text = str(error).strip() or type(error).__name__
    return re.sub(r"\s+", " ", text.splitlines()[0])[:200].rstrip(".")
