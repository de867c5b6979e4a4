"""What repeated trainings show: of a recipe, and of single samples."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import ROW, field
from dejavu.tables.queries import LABELS, QUERY, SCOPE, K

STATISTIC = field("statistic", pa.string(), "what is compared: recall, unnamed recall, or pair cosine")
ROLE = field("population", pa.string(), "role of the sample in the split itself, which is replicate 0")
REPLICATES_N = field("replicates", pa.int32(), "number of pairs of models that the row rests on")
_METRIC = field("metric", pa.string(), "as in population_gaps")
_POPULATION = field("population", pa.string(), "symmetric: (on a - on b) / 2; holdout: the control")

REPLICATES = pa.schema(
    [
        field("replicate", pa.int32(), "number of the pair of models; 0 is the split itself"),
        _POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        _METRIC,
        field("value", pa.float64(), "the gap of this pair of models"),
    ]
)
REPLICATE_DRAWS = pa.schema(
    [
        field("replicate", pa.int32(), "as in replicates"),
        QUERY,
        K,
        LABELS,
        SCOPE,
        _METRIC,
        field("draw", pa.int32(), "number of the resample: it takes the same groups in all replicates and models"),
        field("value", pa.float32(), "the symmetric gap on that resample"),
    ]
)
RECIPE_INTERVALS = pa.schema(
    [
        _POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        _METRIC,
        REPLICATES_N,
        field("mean", pa.float64(), "mean gap over the replicates"),
        field("low", pa.float64(), "lower end of its 95 % interval, which holds the noise of training and of queries"),
        field("high", pa.float64(), "upper end of it"),
        field("next_low", pa.float64(), "lower end of the 95 % prediction interval for one more training"),
        field("next_high", pa.float64(), "upper end of it"),
        field("between", pa.float64(), "standard deviation between replicates"),
        field("within", pa.float64(), "standard error of the mean from the queries, which all replicates share"),
    ]
)
SAMPLE_EVIDENCE = pa.schema(
    [
        STATISTIC,
        QUERY,
        ROLE,
        ROW,
        REPLICATES_N,
        field("advantage", pa.float64(), "mean score under the models that saw the sample minus under the others"),
        field("std_error", pa.float64(), "standard error of the advantage over the replicates; null for one"),
        field("p_value", pa.float64(), "share of the holdout with at least this advantage, the sample counted in"),
        field("q_value", pa.float64(), "smallest false discovery rate (Benjamini-Hochberg) at which it is listed"),
    ]
)
SHARES = pa.schema(
    [
        STATISTIC,
        QUERY,
        REPLICATES_N,
        field("samples", pa.int64(), "training samples of both sides that were compared"),
        field("control", pa.int64(), "samples of the holdout"),
        field("rate", pa.float64(), "false discovery rate of the list"),
        field("listed", pa.int64(), "samples with a q_value of at most that rate"),
        field(
            "listed_placebo",
            pa.float64(),
            "mean number listed of half the holdout under made-up memberships, the other half being the control",
        ),
        field(
            "share_low",
            pa.float64(),
            "at least this share is remembered; 95 % confidence for all rows of a model and epoch together",
        ),
    ]
)
CONFIRMATIONS = pa.schema(
    [
        STATISTIC,
        QUERY,
        field("listing", pa.int32(), "number of replicates, the first ones, that the list was made from"),
        field("confirming", pa.int32(), "number of the other replicates, in which it is looked at again"),
        field("rate", pa.float64(), "false discovery rate of the list"),
        field("listed", pa.int64(), "samples on the list"),
        field("advantage", pa.float64(), "their mean advantage in the other replicates"),
        field("std_error", pa.float64(), "standard error of it, over duplicate groups"),
        field("unlisted_advantage", pa.float64(), "mean advantage of the samples not on the list there"),
        field("confirmed", pa.int64(), "listed samples with a p-value of at most 0.05 there; chance confirms 5 %"),
    ]
)
# the tables that the replicates of a model make together
REPLICATE_TABLES = (
    "replicates",
    "replicate_draws",
    "recipe_intervals",
    "sample_memorization",
    "remembered_shares",
    "confirmations",
    "membership",
    "membership_curves",
)
