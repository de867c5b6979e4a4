"""Tables of utility and of attacks."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import ROW, field
from dejavu.tables.queries import POPULATION

UTILITY = pa.schema(
    [
        field("task", pa.string(), "what the model is used for"),
        field("metric", pa.string(), "how that is measured"),
        field("value", pa.float64(), "the result"),
        field(
            "ci_low",
            pa.float64(),
            "lower end of the 95 % bootstrap interval, over duplicate groups of the holdout or images of a benchmark; "
            "null for chance and left_out, which are no estimates, and for results taken over, of unknown queries",
        ),
        field("ci_high", pa.float64(), "upper end of it"),
        field("n", pa.int64(), "number of queries, null where it is not known"),
    ]
)
UTILITY_DRAWS = pa.schema(
    [
        field("task", pa.string(), "as in utility"),
        field("metric", pa.string(), "as in utility"),
        field("draw", pa.int32(), "number of the resample: the same one for all models and sides of a task's queries"),
        field("value", pa.float32(), "the result on that resample; null where it holds no query that counts"),
    ]
)
LABELLED = pa.schema(
    [
        field("image", pa.binary(), "encoded image"),
        field("label", pa.string(), "scene that it shows"),
        field("color", pa.string(), "colour of its lowest object"),
    ]
)
COMPOSITIONAL = pa.schema(
    [
        field("image", pa.binary(), "encoded image"),
        field("caption", pa.string(), "a true caption"),
        field("negatives", pa.list_(pa.string()), "false captions"),
        field("kind", pa.string(), "what makes them false"),
    ]
)
ATTACKS = pa.schema(
    [
        field(
            "attack",
            pa.string(),
            "csa: cosine of a pair; reference_csa: cosine under this side minus under the other; clipmem: a pair's "
            "alignment under this side minus under the other",
        ),
        field("metric", pa.string(), "how the attack is measured; ..._null: the same where nothing was seen"),
        field("value", pa.float64(), "the result"),
        field("ci_low", pa.float64(), "lower end of the 95 % bootstrap interval over duplicate groups"),
        field("ci_high", pa.float64(), "upper end of it"),
        field("n", pa.int64(), "number of pairs"),
        field("p_value", pa.float64(), "roc_auc: one-sided, of members scoring higher; group labels permuted"),
    ]
)
SAMPLE_ATTACKS = pa.schema(
    [
        POPULATION,
        ROW,
        field("csa", pa.float64(), "cosine of the pair's image and caption under the side"),
        field("clipmem", pa.float64(), "alignment under the side minus under the other side; null without one"),
    ]
)
