"""The table of the metrics of a training."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import field

TRAINING = pa.schema(
    [
        field("step", pa.int64(), "optimiser step, from 1"),
        field("samples_seen", pa.int64(), "samples seen after the step"),
        field("loss", pa.float64(), "contrastive loss of the step's batch"),
        field("learning_rate", pa.float64(), "learning rate of the step"),
        field("logit_scale", pa.float64(), "inverse temperature after the step"),
        field("gradient_norm", pa.float64(), "L2 norm of the step's whole gradient, before clipping"),
        field("samples_per_second", pa.float64(), "rate since the line before"),
        field("data_wait", pa.float64(), "share of the time since the line before that went into getting batches"),
    ]
)
