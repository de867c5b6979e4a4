"""Tables of results on populations of queries: gaps, top-L, bootstrap draws and recall curves."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import SIDE, field
from dejavu.tables.queries import LABELS, POPULATION, QUERY, SCOPE, K

POPULATION_GAPS = pa.schema(
    [
        POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        field("metric", pa.string(), "how the sides are compared, see the table metrics"),
        field("value", pa.float64(), "the gap over every query with objects in scope"),
        field("mean", pa.float64(), "mean over random samplings of the queries"),
        field("std", pa.float64(), "standard deviation over those samplings"),
        field("ci_low", pa.float64(), "lower end of the 95 % bootstrap interval over duplicate groups"),
        field("ci_high", pa.float64(), "upper end of this interval"),
        field("p_value", pa.float64(), "a, b, holdout: signs flipped; others: role labels permuted; two-sided"),
        field("n", pa.int64(), "number of queries"),
        field("groups", pa.int64(), "number of their duplicate groups"),
        field("effective_groups", pa.float64(), "(sum of s)^2 / sum of s^2 of group sizes s, of the smaller role"),
        field("p_joint", pa.float64(), "one-sided p-value adjusted for all queries, k, labels, scopes and metrics"),
        field("expected", pa.float64(), "the gap that group sizes alone cause where roles are listed, else 0"),
        field("detectable", pa.float64(), "smallest true gap that the joint test finds in 80 % of runs"),
    ]
)
TOP_L = pa.schema(
    [
        POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        field("sort", pa.string(), "order of the queries: nearest, correct or gap"),
        field("unit", pa.string(), "whether l is a count or a fraction of the queries"),
        field(
            "l", pa.float64(), "how many of the first queries are taken; of the holdout, for a count, the same share"
        ),
        field("precision_gap", pa.float64(), "mean precision under a minus under b"),
        field("recall_gap", pa.float64(), "mean recall under a minus under b"),
        field("f1_gap", pa.float64(), "F1 of the mean precision and mean recall, under a minus under b"),
        field("mean_f1_gap", pa.float64(), "mean of the queries' own F1, under a minus under b"),
        field(
            "recall_gap_low",
            pa.float64(),
            "lower end of the 95 % bootstrap interval of recall_gap, whose resamples choose the first l anew; query "
            "caption only",
        ),
        field("recall_gap_high", pa.float64(), "upper end of this interval"),
    ]
)
BOOTSTRAP_DRAWS = pa.schema(
    [
        POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        field("metric", pa.string(), "as in population_gaps"),
        field("draw", pa.int32(), "number of the resample: the same one in every cell and model of a population"),
        field("value", pa.float32(), "the gap on that resample of the duplicate groups"),
    ]
)
RECALL_CURVES = pa.schema(
    [
        POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        SIDE,
        field("recall", pa.float64(), "a recall"),
        field("share_at_least", pa.float64(), "share of the queries with at least this recall"),
    ]
)
