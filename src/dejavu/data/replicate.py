"""The training sets of a further replicate: fair coins deal the groups of the training pool anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.samples import count_rows, scan_file
from dejavu.data.spill import folder_beside, in_order, parts_for, spill_by_range
from dejavu.data.split import position
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.tables.data import MANIFEST


def is_in_a(seed: int, replicate: int, group_id: str) -> bool:
    """Whether a group of the training pool is in role a of a replicate: a coin that a hash of all three tosses."""
    return position(seed, f"replicate {replicate}\0{group_id}") < 0.5


def write_replicate(pool: Sequence[Path], manifest: Path, *, role: str, split: str, seed: int, replicate: int) -> int:
    """Write the manifest of role a or b of a further replicate, and return the number of its samples.

    Rows are sorted on disk, beside the manifest: memory does not grow with their number.

    Args:
        pool: manifests of the roles a and b of the split, whose samples are dealt.
        manifest: parquet file to write.
        role: ``a`` or ``b``.
        split: the name of the replicate, for messages.
        seed: of the split.
        replicate: its number, 1 for the first further one.

    Raises:
        InputError: when the coins leave the role without a sample.
    """
    rows_in = sum(map(count_rows, pool))

    def dealt() -> Iterator[pa.Table]:
        for file in pool:
            for table in scan_file(file, MANIFEST.names):
                groups = table["group_id"].to_pylist()
                in_a = np.fromiter((is_in_a(seed, replicate, group) for group in groups), bool, len(groups))
                yield table.filter(pa.array(in_a if role == "a" else ~in_a))

    with folder_beside(manifest) as folder:
        chosen = spill_by_range(folder / "chosen", MANIFEST, dealt(), "position", (0.0, 1.0), parts_for(rows_in))
        if not chosen.rows:
            raise InputError(
                f"splits.{split}: the coins left no sample of the training pool, which has {rows_in:,}, to role {role}:"
                " raise the limits of the roles a and b."
            )
        counts = {"rows_in": rows_in, "in_interval": chosen.rows, "distinct": chosen.rows}
        noted = MANIFEST.with_metadata({name: str(count) for name, count in counts.items()})
        return write_table(manifest, in_order(chosen, ["position", "row"]), noted)
