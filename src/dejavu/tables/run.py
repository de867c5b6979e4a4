"""The tables of a database about the run itself: its sides, roles, stages, configuration, and where it comes from."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import SIDE, field

MODEL_NAME = field("model", pa.string(), "name of the training recipe in the configuration")
EPOCH = field("epoch", pa.int32(), "samples seen in units of the size of side a's training set, rounded up")
STUDIES = pa.schema(
    [
        field("study", pa.string(), "name of the study"),
        field("axis", pa.string(), "a key of the recipe, <role>_set_size, deduplicate or checkpoint"),
        field("place", pa.int32(), "place of the value among those of the study, from 0"),
        field("value", pa.string(), "the value, as JSON"),
        MODEL_NAME,
        EPOCH,
    ]
)
STAGES = pa.schema(
    [
        field("stage", pa.string(), "stage of the workflow"),
        field("subject", pa.string(), "what it worked on"),
        field("rows_in", pa.int64(), "rows it read"),
        field("rows_out", pa.int64(), "rows it passed on"),
        field("dropped", pa.map_(pa.string(), pa.int64()), "reason and number of the others"),
        field("seconds", pa.float64(), "wall time of its jobs together"),
        field("peak_memory_mb", pa.float64(), "largest resident memory of one job, in MB"),
    ]
)
CONFIG = pa.schema(
    [field("key", pa.string(), "path of the key, with dots"), field("value", pa.string(), "value as JSON")]
)
SIDES_TABLE = pa.schema(
    [
        MODEL_NAME,
        SIDE,
        field("kind", pa.string(), "trained here, model (trained for another model), checkpoint or text_encoder"),
        field("has_images", pa.bool_(), "whether it embeds images, which a text encoder does not"),
        field("source", pa.string(), "the recipe, the checkpoint or the text encoder"),
        field("search", pa.string(), "what its queries search: public images or public captions"),
        field("search_engine", pa.string(), "what searched, see measure.search; null in results of older versions"),
        field("preprocessing", pa.string(), "of a checkpoint: how images are prepared, and who says so"),
        field(
            "preprocessing_known",
            pa.bool_(),
            "of a checkpoint: false where that is OpenCLIP's default for want of better",
        ),
    ]
)
METRICS_TABLE = pa.schema(
    [
        field("metric", pa.string(), "as in population_gaps"),
        field("name", pa.string(), "what people read"),
        field("meaning", pa.string(), "the metric in words"),
        field("source", pa.string(), "where its definition comes from"),
        field("place", pa.int32(), "place in tables and figures, from 0"),
        field("is_tested", pa.bool_(), "whether joint tests, bands, figures and the result table include it"),
    ]
)
ROLES_TABLE = pa.schema(
    [
        field("role", pa.string(), "a, b, public, holdout or shared"),
        field("dataset", pa.string(), "where its samples come from"),
        field("samples", pa.int64(), "number of its samples"),
        field("asked", pa.int64(), "number of those that are asked about, null for the roles public and shared"),
        field("listed", pa.int64(), "number of uids in its list, null where it is drawn by hash"),
        field("missing", pa.int64(), "number of those that the dataset lacks"),
    ]
)
