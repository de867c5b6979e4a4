"""What was set aside, and when that is too much."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dejavu.errors import InputError, words
from dejavu.files import read_table
from dejavu.progress import say
from dejavu.tables.data import QUARANTINE

# what img2dataset could not fetch was never there to be used
FAILED = "download failed"


def check_quarantine(files: list[Path], rows: int, allowed: float, dataset: str) -> None:
    """Stops when too large a share of the raw rows was set aside, those aside whose download had failed before.

    Args:
        files: quarantine tables.
        rows: number of raw rows.
        allowed: the configured ``max_quarantined``, a share in [0, 1].
        dataset: its name, for the sentence.

    Raises:
        InputError: naming the commonest reasons with an example of each; or when every download had failed.
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
