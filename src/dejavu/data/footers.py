"""The footer of a parquet file: the chunks of a column, and the number of rows that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

ROWS_PER_BATCH = 512
BYTES_PER_BATCH = 64 * 2**20


def column_chunks(file: pq.ParquetFile, name: str) -> list[pq.ColumnChunkMetaData]:
    """Return the footer's metadata of all chunks of a column, of every nested field and in every row group."""
    # The chunks are found by position. By path, the column a.b could not be told from the field b of the column a.
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
    """Return the number of columns in which parquet stores values of a type; nested types take several."""
    if isinstance(kind, pa.BaseExtensionType):
        return _parts(kind.storage_type)
    below = [kind.field(at).type for at in range(kind.num_fields)] if not pt.is_dictionary(kind) else []
    return sum(map(_parts, below)) if below else 1


def rows_per_batch(file: pq.ParquetFile, names: Sequence[str]) -> int:
    """Return the number of rows to read at a time, so that they take about :data:`BYTES_PER_BATCH` at most."""
    size = sum(chunk.total_uncompressed_size for name in names for chunk in column_chunks(file, name))
    per_row = max(1, size // max(1, file.metadata.num_rows))
    return max(1, min(ROWS_PER_BATCH, BYTES_PER_BATCH // per_row))
