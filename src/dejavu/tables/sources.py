"""Where memory comes from: the gap by what training samples are like, and whether it changes along that."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import field
from dejavu.tables.replicates import STATISTIC

SOURCE = field(
    "source",
    pa.string(),
    "copies: samples of the group in its role; rarest object: share of the public samples that show the rarest object "
    "which the caption does not name; caption words: their number; nearest public: similarity of the nearest public "
    "image or caption, mean of the sides",
)
MEMORY_SOURCES = pa.schema(
    [
        STATISTIC,
        SOURCE,
        field("bin", pa.int32(), "number of the bin, from 1; its samples have the values low to high of the source"),
        field("low", pa.float64(), "smallest value of the source in the bin, over all roles"),
        field("high", pa.float64(), "largest"),
        field("n", pa.int64(), "training samples of both sides in the bin"),
        field("groups", pa.int64(), "their duplicate groups"),
        field("value", pa.float64(), "symmetric gap: (value_a - value_b) / 2; 0 is expected without memorization"),
        field("ci_low", pa.float64(), "lower end of its 95 % bootstrap interval over groups"),
        field("ci_high", pa.float64(), "upper end of it"),
        field("value_a", pa.float64(), "mean gap of the samples of role a in the bin; above control: a remembers"),
        field("value_b", pa.float64(), "mean gap of those of role b; below control: b remembers"),
        field("control", pa.float64(), "mean gap of the holdout's samples in the bin, the side difference"),
        field("control_low", pa.float64(), "lower end of its 95 % bootstrap interval over groups"),
        field("control_high", pa.float64(), "upper end of it"),
        field("control_n", pa.int64(), "samples of the holdout in the bin"),
        field("control_groups", pa.int64(), "their duplicate groups"),
    ]
)
MEMORY_TRENDS = pa.schema(
    [
        STATISTIC,
        SOURCE,
        field("trend", pa.float64(), "change of the symmetric gap from the lowest to the highest rank of the source"),
        field("ci_low", pa.float64(), "lower end of its 95 % bootstrap interval over groups"),
        field("ci_high", pa.float64(), "upper end of it"),
        field("p_value", pa.float64(), "two-sided p-value of no trend, from permuting the roles of groups"),
        field("p_joint", pa.float64(), "the same adjusted for all statistics and sources of the model (max-t)"),
        field("placebo", pa.float64(), "the same trend with halves of the holdout as a and b"),
        field("placebo_p_value", pa.float64(), "two-sided p-value of it"),
        field("n", pa.int64(), "training samples of both sides"),
        field("groups", pa.int64(), "their duplicate groups"),
    ]
)
