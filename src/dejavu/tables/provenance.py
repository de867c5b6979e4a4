"""What wrote a database, and digests of what it was made of."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import field

PROVENANCE = pa.schema(
    [
        field("key", pa.string(), "version, commit, modified, date, the name of a library, or a part of the machine"),
        field("value", pa.string(), "of the job that wrote the database; null where it cannot be known"),
    ]
)
HASHED = field("of", pa.string(), "checkpoint, configuration, raw files (names and rows) or samples (their content)")
DIGEST = pa.schema(
    [
        field("replicate", pa.int32(), "of a checkpoint: 0 for the split itself"),
        field("name", pa.string(), "name of the file of weights, without its folder, or of the dataset"),
        field("sha256", pa.string(), "SHA-256, 64 hexadecimal digits; null of a checkpoint that was deleted since"),
        field("bytes", pa.int64(), "size of the file of weights"),
    ]
)
