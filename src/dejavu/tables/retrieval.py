"""Tables of searches: the texts of queries, and their nearest public images."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import ROW, field

# key in the metadata of a neighbours file: the engine that searched
SEARCH_ENGINE = "search_engine"
NEIGHBORS = pa.schema(
    [
        ROW,
        field("rank", pa.int32(), "1 is the nearest"),
        field("public_row", pa.int64(), "row of the public sample"),
        field("similarity", pa.float32(), "cosine of caption and image embedding"),
    ]
)
QUERY_TEXTS = pa.schema(
    [
        ROW,
        field("remainder", pa.string(), "the caption without the words that name objects, or whole if none is left"),
        field("rare", pa.string(), "the caption's words that few captions hold, or its rarest"),
    ]
)
