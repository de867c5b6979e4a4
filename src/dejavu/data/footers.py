"""What the footer of a parquet file tells: the chunks of a column, and how many rows fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

ROWS_PER_BATCH = 512
BYTES_PER_BATCH = 64 * 2**20


def column_chunks(file: pq.ParquetFile, name: str) -> list[pq.ColumnChunkMetaData]:
    """What the footer says of a column, all its parts, in every row group."""
    # by position: a column named a.b has the same path as the field b of column a
    parts: list[int] = []
    start = 0
    for field in file.schema_arrow:
        size = _parts(field.type)
        if field.name == name:
            parts += range(start, start + size)
        start += size
    groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
    return [group.column(part) for group in groups for part in parts]


def _parts(kind: pa.DataType) -> int:
    """In how many columns parquet stores values of a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return _parts(kind.storage_type)
    below = [kind.field(at).type for at in range(kind.num_fields)] if not pt.is_dictionary(kind) else []
    return sum(map(_parts, below)) if below else 1


def rows_per_batch(file: pq.ParquetFile, names: Sequence[str]) -> int:
    """How many rows of some columns to read at a time: fewer where they are large, by the sizes in the footer."""
    size = sum(chunk.total_uncompressed_size for name in names for chunk in column_chunks(file, name))
    per_row = max(1, size // max(1, file.metadata.num_rows))
    return max(1, min(ROWS_PER_BATCH, BYTES_PER_BATCH // per_row))
