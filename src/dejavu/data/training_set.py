"""The training set of a side of a split with a role ``shared``: the samples of its own role, then the shared ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from dejavu.data.samples import count_rows, scan_file
from dejavu.files import write_table
from dejavu.tables.data import MANIFEST


def write_training_set(manifests: Sequence[Path], training_set: Path) -> int:
    """Write the samples of several roles as one training set, and return their number.

    Training shuffles the rows of all roles together, whatever their order in the file. Memory does not grow with the
    number of samples.

    Args:
        manifests: of the roles, which share no sample.
        training_set: parquet file to write, of the same columns; :func:`dejavu.data.split.manifest_counts` reads it.

    Raises:
        InputError: when a manifest is damaged.
    """

    def joined() -> Iterator[pa.Table]:
        for manifest in manifests:
            yield from scan_file(manifest, MANIFEST.names)

    number = sum(map(count_rows, manifests))
    counts = {name: str(number) for name in ("rows_in", "in_interval", "distinct")}
    return write_table(training_set, joined(), MANIFEST.with_metadata(counts))
