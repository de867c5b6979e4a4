"""The kinds of queries, and the columns that say to which queries a row belongs."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import field

CAPTION, MASKED, REMAINDER, RARE = QUERIES = ("caption", "masked", "remainder", "rare")
# Not a query of a model: a random ranking of the public images, whose score is the level of chance.
RANDOM = "random"

POPULATION = field(
    "population",
    pa.string(),
    "role whose captions are the queries; symmetric: (on a - on b) / 2; memory_a: on a - on holdout; memory_b: on "
    "holdout - on b; placebo: symmetric with halves of the holdout as a and b; unseen: (on b - on holdout) / 2",
)
QUERY = field(
    "query",
    pa.string(),
    "what is asked with: caption; masked: the mean of captions masked as in training; remainder: the caption without "
    "the words that name objects; rare: its words that few captions hold; random: nothing, a ranking by chance",
)
K = field("k", pa.int32(), "number of nearest public images taken")
LABELS = field("labels", pa.string(), "number of ranked labels predicted from those images, or all of them")
SCOPE = field("scope", pa.string(), "true objects that count: all, or those that the caption does not name")
