"""The limit on the quarantine: too large a share of unusable rows stops the run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dejavu.errors import InputError, words
from dejavu.files import read_table
from dejavu.progress import say
from dejavu.tables.data import QUARANTINE

# The reason of rows that img2dataset could not download. They do not count as unusable, since there was nothing to use.
FAILED = "download failed"


def check_quarantine(files: list[Path], rows: int, allowed: float, dataset: str) -> None:
    """Refuse a dataset if too large a share of its raw rows is in the quarantine; failed downloads do not count.

    Args:
        files: files of the quarantine.
        rows: number of raw rows.
        allowed: the configured ``max_quarantined``, a share in [0, 1].
        dataset: name of the dataset, for messages.

    Raises:
        InputError: when the share is larger, with the commonest reasons and an example of each, or when every download
            failed.
    """
    tables = [read_table(file) for file in files]
    table = pa.concat_tables(tables) if tables else QUARANTINE.empty_table()
    failed = pc.equal(table["reason"], FAILED)
    table, failures = table.filter(pc.invert(failed)), table.filter(failed)
    if failures.num_rows:
        say(f"dataset {dataset!r}: {failures.num_rows:,} of {rows:,} raw rows are downloads that had failed")
    rows -= failures.num_rows
    if failures.num_rows and not rows:
        raise InputError(f"dataset {dataset!r}: all its raw rows are downloads that failed: bring others.")
    if table.num_rows <= allowed * rows:
        return
    reasons = Counter(table["reason"].to_pylist())
    first = {record["reason"]: record for record in reversed(table.to_pylist())}
    commonest = words(
        "; ".join(
            f"{count:,} x {reason} (first: {first[reason]['source']} row {first[reason]['source_row']}, "
            f"{first[reason]['detail']})"
            for reason, count in reasons.most_common(3)
        )
    )
    raise InputError(
        f"dataset {dataset!r}: {table.num_rows:,} of {rows:,} raw rows cannot be used ({table.num_rows / rows:.1%}, "
        f"max_quarantined allows {allowed:.1%}): {commonest}. Mend the data, or raise "
        f"datasets.{dataset}.max_quarantined."
    )
