"""The table of the scores of single queries under both sides."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import ROW, field
from dejavu.tables.queries import LABELS, QUERY, SCOPE, K

SAMPLE_SCORES = pa.schema(
    [QUERY, K, LABELS, SCOPE, ROW, field("objects_n", pa.int32(), "number of true objects in scope")]
    + [
        field(f"{name}_{side}", kind, f"{text} under side {side}")
        for name, kind, text in [
            ("precision", pa.float64(), "share of the predicted labels that are true"),
            ("recall", pa.float64(), "share of the true objects that are predicted"),
            ("f1", pa.float64(), "harmonic mean of the two, 0 where both are 0"),
            ("correct", pa.int32(), "number of true objects predicted"),
            ("nearest", pa.float32(), "highest similarity"),
        ]
        for side in "ab"
    ]
)
