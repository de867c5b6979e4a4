"""What tables of several floors have in common: the roles, and the columns that say what a row is about."""

from __future__ import annotations

import pyarrow as pa

ROLES = ("a", "b", "public", "holdout")
SIDES = ("a", "b")
POPULATIONS = ("a", "b", "holdout")
CAPTION, MASKED, REMAINDER = QUERIES = ("caption", "masked", "remainder")
# no query: public images in an order drawn by chance, for how well one scores that knows nothing
RANDOM = "random"


def field(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"comment": comment})


ROW = field("row", pa.int64(), "the sample: hash of its raw file's path, shifted by 32 bits, plus its row there")
UID = field("uid", pa.string(), "the user's key, or a hash of the content where there is none")
GROUP = field("group_id", pa.string(), "samples that are the same thing share it; made from their content")
SIDE = field("side", pa.string(), "which of the recipe's two models: trained on role a, or on role b")
POPULATION = field(
    "population",
    pa.string(),
    "role whose captions are the queries; symmetric: (on a - on b) / 2; memory_a: on a - on holdout; memory_b: on "
    "holdout - on b; placebo: symmetric with halves of the holdout as a and b; unseen: (on b - on holdout) / 2",
)
QUERY = field(
    "query",
    pa.string(),
    "text that is asked with: caption; masked: the mean of captions masked as in training; remainder: the caption "
    "without the words that name objects",
)
K = field("k", pa.int32(), "number of nearest public images taken")
LABELS = field("labels", pa.string(), "number of ranked labels predicted from those images, or all of them")
SCOPE = field("scope", pa.string(), "true objects that count: all, or those that the caption does not name")
