"""Parts of many tables: the names of roles and sides, and the columns that identify rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

ROLES = ("a", "b", "public", "holdout")
SIDES = ("a", "b")
POPULATIONS = ("a", "b", "holdout")


def field(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"comment": comment})


def columns_and_constants(values: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Return a table of a schema from columns, which are arrays of one length, and values that all rows share.

    Args:
        values: column -> array (rows,), in which NaN stands for null, or the value of every row; one array at least.
        schema: the columns, all of which have values.
    """
    number = next(len(value) for value in values.values() if isinstance(value, np.ndarray))
    arrays = []
    for column in schema:
        value = values[column.name]
        cells = value if isinstance(value, np.ndarray) else [value] * number
        arrays.append(pa.array(cells, column.type, from_pandas=True))
    return pa.table(arrays, schema=schema)


ROW = field("row", pa.int64(), "the sample: hash of its raw file's path, shifted by 32 bits, plus its row there")
UID = field("uid", pa.string(), "the user's key, or a hash of the content where there is none")
GROUP = field("group_id", pa.string(), "samples that are the same thing share it; made from their content")
SIDE = field("side", pa.string(), "which of the recipe's two models: trained on role a, or on role b")
