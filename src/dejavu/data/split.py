"""Stable splits: where a sample goes depends on the seed and on its duplicate group, on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.samples import SampleStore, scan_file
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.tables import MANIFEST


def position(seed: int, group_id: str) -> float:
    """Where a duplicate group lies in [0, 1): a 53-bit hash of seed and group."""
    digest = hashlib.blake2b(f"{seed}\0{group_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def write_manifest(
    groups: Path,
    samples: Sequence[str | Path],
    manifest: Path,
    *,
    split: str,
    role: str,
    seed: int,
    interval: tuple[float, float],
    limit: int | None,
) -> int:
    """Writes the manifest of one role: its samples by ascending position, then row; returns their number.

    Because a limit takes the smallest positions, a smaller manifest is contained in a larger one.

    Args:
        groups: the groups table.
        samples: batch folders of the samples table, for the uid.
        manifest: parquet file to write.
        split, role: their names, for messages.
        seed: seed of the split.
        interval: half-open range of positions that belong to the role.
        limit: number of samples, or None for all in the interval.

    Raises:
        InputError: when the role has no sample, or fewer than the limit.
    """
    read, rows, positions, names = _in_interval(groups, seed, interval)
    if len(rows) == 0 or (limit is not None and len(rows) < limit):
        asked = "but it needs at least one" if limit is None else f"but its limit asks for {limit:,}"
        raise InputError(
            f"splits.{split}: the interval of role {role}, [{interval[0]}, {interval[1]}), "
            f"holds {len(rows):,} samples, {asked}: "
            f"widen splits.{split}.roles.{role}.interval, lower its limit, or bring more data."
        )
    order = np.lexsort((rows, positions))[:limit]
    rows, positions = rows[order], positions[order]
    uid_of: dict[int, str] = {}
    for table in SampleStore(samples).read(rows, ["uid"]):
        uid_of.update(zip(table["row"].to_pylist(), table["uid"].to_pylist(), strict=True))
    columns = {
        "row": rows,
        "uid": [uid_of[row] for row in rows.tolist()],
        "group_id": [names[i] for i in order],
        "position": positions,
    }
    counts = {"rows_in": str(read), "in_interval": str(len(names))}
    return write_table(manifest, pa.table(columns, schema=MANIFEST), MANIFEST.with_metadata(counts))


def manifest_counts(manifest: Path) -> dict[str, int]:
    """Rows that the making of a manifest read (``rows_in``), found in its interval, and wrote (``rows_out``)."""
    with pq.ParquetFile(manifest) as file:
        noted = file.schema_arrow.metadata
        return {name: int(noted[name.encode()]) for name in ("rows_in", "in_interval")} | {
            "rows_out": file.metadata.num_rows
        }


def _in_interval(
    groups: Path, seed: int, interval: tuple[float, float]
) -> tuple[int, np.ndarray, np.ndarray, list[str]]:
    read = 0
    rows: list[int] = []
    positions: list[float] = []
    names: list[str] = []
    low, high = interval
    for table in scan_file(groups, ["row", "group_id"]):
        read += table.num_rows
        for row, group in zip(table["row"].to_pylist(), table["group_id"].to_pylist(), strict=True):
            place = position(seed, group)
            if low <= place < high:
                rows.append(row)
                positions.append(place)
                names.append(group)
    return read, np.array(rows, dtype=np.int64), np.array(positions), names
