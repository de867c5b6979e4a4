"""The state of results before a run: whether they can be written, were recorded, and are as their jobs left them."""

from __future__ import annotations

import json
import os
import shlex
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path

from dejavu.errors import InputError


def check_results_folder(results: Path) -> None:
    """Refuse a results folder that cannot be written to.

    Raises:
        InputError: naming the folder.
    """
    existing = next(folder for folder in [results, *results.resolve().parents] if folder.exists())
    if existing.is_dir() and os.statvfs(existing).f_flag & os.ST_RDONLY:
        raise InputError(
            f"{existing.resolve()} is on a read-only file system, but results go to {results}/: make it writable, "
            "or run with --directory in a folder of yours."
        )
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{existing.resolve()} cannot be written to, but results go to {results}/: change its permissions, "
            "or run with --directory in a folder of yours."
        )


def lost_metadata(results: Path, metadata: Path) -> bool:
    """Whether results exist without Snakemake's records of how they were made."""
    made = results.is_dir() and any(results.glob("*/*/memorization.duckdb"))
    return made and not (metadata.is_dir() and any(metadata.iterdir()))


# archives keep whole seconds
SECONDS_APART = 1.0
NAMED = 3


def check_unchanged(results: Path, records: Path) -> str | None:
    """Refuse results that were changed, replaced or cut short since their jobs ended.

    Snakemake compares modification times only between a job's input and output, so it would take such a file for a
    result. Snakemake's record of an output has the output's modification time at the end of its job. The outputs of
    interrupted jobs are not compared: Snakemake makes them again.

    Args:
        results: the folder, as outputs are named in the records.
        records: Snakemake's folder, ``.snakemake``; a list of more than three such outputs goes there.

    Returns:
        A sentence of warning where most outputs differ, as in a copy that was made without keeping times; or None.

    Raises:
        InputError: naming the first of them, and how to delete them all.
    """
    kept = {
        output: record
        for output, record in recorded_outputs(records)
        if Path(output).is_relative_to(results) and os.path.exists(output)
    }
    changed = sorted(output for output, record in kept.items() if _is_changed(Path(output), record))
    if not changed:
        return None
    if 2 * len(changed) > len(kept):
        return (
            f"{len(changed):,} of {len(kept):,} outputs in {results}/ have other times than in Snakemake's records, as "
            "in a copy that did not keep them, so whether one was changed cannot be seen: copy results/ and .snakemake "
            "again with cp -a, or add --touch --forceall once to take them as they are."
        )
    raise InputError(
        f"{', '.join(changed[:NAMED])}{f' and {len(changed) - NAMED:,} more' if len(changed) > NAMED else ''} in "
        f"{Path.cwd()}: changed or replaced since the workflow wrote {'it' if len(changed) == 1 else 'them'}: delete "
        f"with `{_deletion(changed, records)}` and run again, what is needed is made anew."
    )


def recorded_outputs(records: Path) -> Iterator[tuple[str, Path]]:
    """Yield output and record file of every job that succeeded.

    Args:
        records: Snakemake's folder, ``.snakemake``.
    """
    unfinished = dict(_recorded(records / "incomplete"))
    yield from ((output, record) for output, record in _recorded(records / "metadata") if output not in unfinished)


def _recorded(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield output and file of every record; a long file name, which is base64, is cut into folders named ``@…``."""
    for parent, _, names in os.walk(folder):
        parts = [part.removeprefix("@") for part in Path(parent).relative_to(folder).parts]
        for name in names:
            try:
                output = urlsafe_b64decode("".join([*parts, name])).decode()
            except ValueError:
                continue  # no record
            yield output, Path(parent, name)


def _is_changed(output: Path, record: Path) -> bool:
    try:
        ended = json.loads(record.read_bytes())["endtime"]
    except (ValueError, KeyError):
        return False  # Snakemake ignores half a record, too
    if ended is None:
        return False
    if not output.is_dir():
        return abs(output.lstat().st_mtime - ended) > SECONDS_APART
    mark = output / ".snakemake_timestamp"
    if not mark.exists() or abs(mark.stat().st_mtime - ended) > SECONDS_APART:
        return True
    # hidden files are those of file managers and file systems
    files = (Path(parent, name) for parent, _, names in os.walk(output) for name in names if not name.startswith("."))
    return any(file.lstat().st_mtime > ended + SECONDS_APART for file in files)


def _deletion(outputs: Sequence[str], records: Path) -> str:
    if len(outputs) <= NAMED:
        return f"rm -r {shlex.join(outputs)}"
    listed = records / "changed.txt"
    listed.write_text("".join(f"{output}\n" for output in outputs), encoding="utf-8")
    return f"xargs -d '\\n' rm -r < {listed}"
