"""Parts of many tables: the names of roles and sides, and the columns that identify rows."""

from __future__ import annotations

import pyarrow as pa

ROLES = ("a", "b", "public", "holdout")
SIDES = ("a", "b")
POPULATIONS = ("a", "b", "holdout")


def field(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"comment": comment})


ROW = field("row", pa.int64(), "the sample: hash of its raw file's path, shifted by 32 bits, plus its row there")
UID = field("uid", pa.string(), "the user's key, or a hash of the content where there is none")
GROUP = field("group_id", pa.string(), "samples that are the same thing share it; made from their content")
SIDE = field("side", pa.string(), "which of the recipe's two models: trained on role a, or on role b")
