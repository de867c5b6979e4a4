"""Reading, writing and finding files. Writes are atomic: no reader, and no rerun after a crash, sees half a file."""

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

# rows in a parquet row group: few where rows hold images, many where they hold numbers
ROWS_PER_GROUP = 4096
NUMBERS_PER_GROUP = 65_536

# a name that temporary_beside() makes, or the name of a file that DuckDB puts beside it (.wal, .tmp)
TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}\.tmp(\.wal|\.tmp)?")


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success, flush it to disk and rename it to ``path``.

    On failure, remove the temporary file and leave ``path`` as it was. A process that is killed leaves its temporary
    file behind; the next process that writes ``path`` removes it.

    Raises:
        InputError: when the disk is full, or the file system is read-only.
    """
    target = Path(path)
    with temporary_beside(target) as temporary:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield an unused hidden name beside ``path`` for a temporary file or folder, and remove that at the end.

    First remove the temporary files of ``path`` that killed processes left. If their process is still alive, such as a
    cluster job whose Snakemake was killed, its rename fails, so it cannot overwrite the new file.

    Raises:
        InputError: when the disk is full, or the file system is read-only.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in _leftovers(path.parent.absolute()).pop(path.name, []):
            _remove(leftover)
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
    """Return target -> its temporary files in a folder.

    The cache keeps the listing from before this process wrote into the folder, so no file in it is this process's own.
    """
    temporaries: dict[str, list[Path]] = {}
    for name in os.listdir(folder):
        if (match := TEMPORARY.fullmatch(name)) is not None:
            temporaries.setdefault(match["target"], []).append(folder / name)
    return temporaries


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
    """Write a parquet file with exactly the columns of ``schema``, part by part, and return its number of rows.

    Raises:
        KeyError: when a part lacks a column, which is a bug of the caller.
        pyarrow.ArrowInvalid: when a column of a part cannot be cast to its type, which is a bug of the caller, too.
    """
    rows = 0
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in [parts] if isinstance(parts, pa.Table) else parts:
            writer.write_table(part.select(schema.names).cast(schema), row_group_size=rows_per_group)
            rows += part.num_rows
    return rows


def write_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write one ``.npy`` file, without pickles."""
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        np.save(handle, array, allow_pickle=False)


def map_array(path: str | os.PathLike[str], shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    """Create a ``.npy`` file, map it into memory for writing, and return the map.

    The file's space is allocated at once. Without that, a full disk would kill the process that writes to the map
    (SIGBUS).
    """
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, os.path.getsize(path))
    return array


@contextmanager
def fill_array(path: str | os.PathLike[str], length: int) -> Iterator[Callable[[slice, np.ndarray], None]]:
    """Write one float32 ``.npy`` file part by part; the file appears under its name when all parts are written.

    Args:
        path: file to write.
        length: number of rows of the array.

    Yields:
        A function that takes a slice of rows and their values, float32 (rows, dimension), and writes them.
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
    """Write one UTF-8 text file."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write one JSON file with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_table(path: str | os.PathLike[str], columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file that a step of this workflow wrote.

    Raises:
        InputError: when the file is damaged.
    """
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Map one ``.npy`` file into memory, without pickles.

    Raises:
        InputError: when the file is damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise damaged(path, error) from error


def matching_files(where: str, patterns: Iterable[str]) -> list[str]:
    """Return the files that glob patterns match, sorted.

    Args:
        where: the key of the configuration that has the patterns, for the message.
        patterns: glob patterns, relative to the working directory, or absolute.

    Raises:
        InputError: when a pattern matches no file, or a name has braces.
    """
    files: set[str] = set()
    for pattern in patterns:
        matches = glob_files(pattern)
        if not matches:
            raise InputError(f"{where}: no file matches {pattern!r} in {Path.cwd()}: correct the pattern.")
        files |= set(matches)
    for file in files:
        require_plain_name(where, file)
    return sorted(files)


def glob_files(pattern: str, root: str | os.PathLike[str] = ".") -> list[str]:
    """Return the files that a pattern matches, sorted.

    As in a shell, a hidden file matches only a pattern that writes the dot. A folder that matches counts as a table of
    many files, as Spark writes it: it stands for the files within that have the pattern's ending. Files and folders
    within whose names begin with a dot or an underscore are left out.

    Args:
        pattern: glob pattern, in which ``**`` means any number of folders.
        root: folder that the pattern and the returned paths are relative to.
    """
    root = os.fspath(root)
    suffix = os.path.splitext(pattern)[1]
    files: set[str] = set()
    for path in glob.glob(pattern, root_dir=root, recursive=True):
        is_table = suffix and os.path.isdir(os.path.join(root, path))
        inside = glob.glob(f"{glob.escape(path)}/**/*{suffix}", root_dir=root, recursive=True) if is_table else [path]
        existing = [file for file in inside if os.path.isfile(os.path.join(root, file))]
        files |= {file for file in existing if not _is_unfinished(file, suffix)}
    return sorted(files)


def _is_unfinished(path: str, suffix: str) -> bool:
    """Return whether a name within a table's folder begins with an underscore, as those of unfinished files do."""
    folders = path.split(os.sep)
    table = next((at for at, name in enumerate(folders[:-1]) if suffix and name.endswith(suffix)), len(folders))
    return any(name.startswith("_") for name in folders[table + 1 :])


def require_plain_name(where: str, path: str | os.PathLike[str]) -> None:
    """Refuse a path with braces, which Snakemake would read as a pattern with wildcards.

    Raises:
        InputError: naming the key ``where`` of the configuration.
    """
    if "{" in os.fspath(path) or "}" in os.fspath(path):
        raise InputError(
            f"{where}: {os.fspath(path)} has braces in its name, which Snakemake takes for wildcards: rename it, or "
            "give a link to it of another name."
        )


def damaged(path: str | os.PathLike[str], error: Exception) -> InputError:
    """Return the error for a file of ``results/`` that cannot be read."""
    return InputError(f"{path} cannot be read ({first_line(error)}): delete it and run again, to make it again.")


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, short enough for a sentence."""
    text = str(error).strip() or type(error).__name__
    return re.sub(r"\s+", " ", text.splitlines()[0])[:200].rstrip(".")
