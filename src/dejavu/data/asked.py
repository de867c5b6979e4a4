"""The samples of a role that are asked about: no more than a limit, those that come first in the role's manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from dejavu.data.samples import count_rows, scan_file
from dejavu.files import write_table
from dejavu.tables.data import MANIFEST


def write_asked(manifest: Path, asked: Path, limit: int) -> tuple[int, int]:
    """Write the manifest of the samples of a role that are asked about.

    A manifest is in the order in which the limit of a role takes its samples, by ascending position; so these are the
    samples that the role would have with this limit, and a smaller limit takes some of those of a larger one.

    Args:
        manifest: of the role.
        asked: parquet file to write, of the same columns and order; :func:`dejavu.data.split.manifest_counts` reads it.
        limit: most samples.

    Returns:
        Number of samples that are asked about, and of those of the role.

    Raises:
        InputError: when the manifest is damaged.
    """

    def first() -> Iterator[pa.Table]:
        left = limit
        for part in scan_file(manifest, MANIFEST.names):
            yield part.slice(0, left)
            left -= part.num_rows
            if left <= 0:
                return

    number = count_rows(manifest)
    counts = {name: str(number) for name in ("rows_in", "in_interval", "distinct")}
    return write_table(asked, first(), MANIFEST.with_metadata(counts)), number
