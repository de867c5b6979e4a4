"""The columns of every table, named once: Arrow schemas of the files between steps and of the database.

The comment of a field becomes the comment of the column in the database. Columns listed in :data:`MEASURED` hold
measurements of the run itself (seconds, memory, rates); every other column is the same for the same configuration on
the same machine.
"""

from __future__ import annotations

import pyarrow as pa

ROLES = ("a", "b", "public", "holdout")
SIDES = ("a", "b")
POPULATIONS = ("a", "b", "holdout")


def _field(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"comment": comment})


_ROW = _field("row", pa.int64(), "the sample: hash of its raw file's path, shifted by 32 bits, plus its row there")
_UID = _field("uid", pa.string(), "the user's key, or a hash of the content where there is none")
_GROUP = _field("group_id", pa.string(), "samples that are the same thing share it; made from their content")
_MODEL = _field("model", pa.string(), "name of the training recipe in the configuration")
_SIDE = _field("side", pa.string(), "which of the recipe's two models: trained on role a, or on role b")
_EPOCH = _field("epoch", pa.int32(), "samples seen in units of role a's size, rounded up, on both sides")
_POPULATION = _field(
    "population",
    pa.string(),
    "role whose captions are the queries; symmetric: (on a - on b) / 2; unseen: (on b - on holdout) / 2",
)
_K = _field("k", pa.int32(), "number of nearest public images taken")
_LABELS = _field("labels", pa.string(), "number of ranked labels predicted from those images, or all of them")
_SCOPE = _field("scope", pa.string(), "true objects that count: all, or those that the caption does not name")

BOX = pa.list_(pa.float32(), 4)
OBJECT = pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", BOX)])

SAMPLES = pa.schema(
    [
        _ROW,
        _UID,
        _field("caption", pa.string(), "caption on one line, unicode in NFC, without control characters"),
        _field("image", pa.binary(), "encoded image; null where images are only referenced"),
        _field("width", pa.int32(), "pixels, read from the image"),
        _field("height", pa.int32(), "pixels, read from the image"),
        _field("source", pa.string(), "raw file, relative to the dataset's root"),
        _field("source_row", pa.int64(), "row in the raw file"),
        _field("other_captions", pa.list_(pa.string()), "the image's other captions, where it has several"),
    ]
)
OBJECTS = pa.schema([_ROW, _field("objects", pa.list_(OBJECT), "objects in the image: label, score, box in pixels")])
IMPORTED = pa.schema(
    [
        _field("uid", pa.string(), "the sample's uid, or the name of the image's file without folder and suffix"),
        _field("image_id", pa.string(), "id of the image in a COCO file"),
        _field("label", pa.string(), "what the object is"),
        _field("score", pa.float32(), "confidence in [0, 1]"),
        _field("box", BOX, "left, top, right, bottom in pixels; null where unknown"),
    ]
)
FINGERPRINTS = pa.schema(
    [
        _ROW,
        _field("copy", pa.uint64(), "hash of the sample's own content: uid, caption and image"),
        _field("origin", pa.uint64(), "hash of source and source_row: samples of one raw row share it"),
        _field("key", pa.uint64(), "hash of the user's key, null where there is none"),
        _field("image", pa.uint64(), "hash of the decoded pixels"),
        _field("caption", pa.uint64(), "hash of the caption in NFKC, case folded, white space collapsed"),
        _field("near_image", pa.uint64(), "perceptual hash of the image, null where it is flat"),
    ]
)
GROUPS = pa.schema([_ROW, _GROUP])
DUPLICATES = pa.schema(
    [
        _GROUP,
        _field("size", pa.int64(), "number of the dataset's samples in the group, more than one"),
        _field(
            "criteria",
            pa.map_(pa.string(), pa.int64()),
            "criterion (copy, origin, key, image, caption, near_image): number of members that share it with another",
        ),
        _field("members", pa.list_(pa.int64()), "rows of the first members, at most six"),
    ]
)
QUARANTINE = pa.schema(
    [
        _field("source", pa.string(), "raw file, relative to the dataset's root"),
        _field("source_row", pa.int64(), "row in the raw file"),
        _field("uid", pa.string(), "the user's key, null where unknown"),
        _field("stage", pa.string(), "stage that set it aside"),
        _field("reason", pa.string(), "short reason, the same words for the same cause"),
        _field("detail", pa.string(), "what was found"),
    ]
)
MANIFEST = pa.schema(
    [_ROW, _UID, _GROUP, _field("position", pa.float64(), "hash of (seed, group_id) as a number in [0, 1)")]
)
NEIGHBORS = pa.schema(
    [
        _ROW,
        _field("rank", pa.int32(), "1 is the nearest"),
        _field("public_row", pa.int64(), "row of the public sample"),
        _field("similarity", pa.float32(), "cosine of caption and image embedding"),
    ]
)
SAMPLE_SCORES = pa.schema(
    [_K, _LABELS, _SCOPE, _ROW, _field("objects_n", pa.int32(), "number of true objects in scope")]
    + [
        _field(f"{name}_{side}", kind, f"{text} under side {side}")
        for name, kind, text in [
            ("precision", pa.float64(), "share of the predicted labels that are true"),
            ("recall", pa.float64(), "share of the true objects that are predicted"),
            ("f1", pa.float64(), "harmonic mean of the two, 0 where both are 0"),
            ("correct", pa.int32(), "number of true objects predicted"),
            ("nearest", pa.float32(), "highest similarity"),
        ]
        for side in "ab"
    ]
)
METRICS = ("ppg", "prg", "aucg", "aucg_binned")
POPULATION_GAPS = pa.schema(
    [
        _POPULATION,
        _K,
        _LABELS,
        _SCOPE,
        _field("metric", pa.string(), "ppg, prg, aucg, or aucg_binned as the released code computes it"),
        _field("value", pa.float64(), "the gap over every query with objects in scope"),
        _field("mean", pa.float64(), "mean over random samplings of the queries"),
        _field("std", pa.float64(), "standard deviation over those samplings"),
        _field("ci_low", pa.float64(), "lower end of the 95 % bootstrap interval over duplicate groups"),
        _field("ci_high", pa.float64(), "upper end of it"),
        _field("p_value", pa.float64(), "symmetric, unseen: role labels permuted; others: signs flipped; two-sided"),
        _field("n", pa.int64(), "number of queries"),
    ]
)
TOP_L = pa.schema(
    [
        _POPULATION,
        _K,
        _LABELS,
        _SCOPE,
        _field("sort", pa.string(), "order of the queries: nearest, correct or gap"),
        _field("unit", pa.string(), "whether l is a count or a fraction of the queries"),
        _field("l", pa.float64(), "how many of the first queries are taken"),
        _field("precision_gap", pa.float64(), "mean precision under a minus under b"),
        _field("recall_gap", pa.float64(), "mean recall under a minus under b"),
        _field("f1_gap", pa.float64(), "F1 of the mean precision and mean recall, under a minus under b"),
        _field("mean_f1_gap", pa.float64(), "mean of the queries' own F1, under a minus under b"),
    ]
)
BOOTSTRAP_DRAWS = pa.schema(
    [
        _POPULATION,
        _K,
        _LABELS,
        _SCOPE,
        _field("metric", pa.string(), "as in population_gaps"),
        _field("draw", pa.int32(), "number of the resample: the same one in every cell and model of a population"),
        _field("value", pa.float32(), "the gap on that resample of the duplicate groups"),
    ]
)
BANDS = pa.schema(
    [
        _POPULATION,
        _K,
        _LABELS,
        _SCOPE,
        _field("metric", pa.string(), "as in population_gaps"),
        _field("band_low", pa.float64(), "lower end of the simultaneous 95 % band: value - critical * std_error"),
        _field("band_high", pa.float64(), "upper end of it"),
        _field("std_error", pa.float64(), "standard deviation of the gap over the bootstrap"),
        _field("critical", pa.float64(), "95 % quantile of the largest |t| among the cells of the band (max-t)"),
        _field("cells", pa.int64(), "number of cells that the band covers together"),
        _field("detectable", pa.float64(), "smallest true gap that the band shows in 80 % of runs"),
    ]
)
RECALL_CURVES = pa.schema(
    [
        _POPULATION,
        _K,
        _LABELS,
        _SCOPE,
        _SIDE,
        _field("recall", pa.float64(), "a recall"),
        _field("share_at_least", pa.float64(), "share of the queries with at least this recall"),
    ]
)
UTILITY = pa.schema(
    [
        _field("task", pa.string(), "what the model is used for"),
        _field("metric", pa.string(), "how that is measured"),
        _field("value", pa.float64(), "the result"),
        _field("n", pa.int64(), "number of queries"),
    ]
)
LABELLED = pa.schema(
    [
        _field("image", pa.binary(), "encoded image"),
        _field("label", pa.string(), "scene that it shows"),
        _field("color", pa.string(), "colour of its lowest object"),
    ]
)
COMPOSITIONAL = pa.schema(
    [
        _field("image", pa.binary(), "encoded image"),
        _field("caption", pa.string(), "a true caption"),
        _field("negatives", pa.list_(pa.string()), "false captions"),
        _field("kind", pa.string(), "what makes them false"),
    ]
)
ATTACKS = pa.schema(
    [
        _field(
            "attack", pa.string(), "csa: cosine of a pair; clipmem: a pair's alignment under this side minus the other"
        ),
        _field("metric", pa.string(), "how the attack is measured; ..._null: the same where nothing was seen"),
        _field("value", pa.float64(), "the result"),
        _field("ci_low", pa.float64(), "lower end of the 95 % bootstrap interval over duplicate groups"),
        _field("ci_high", pa.float64(), "upper end of it"),
        _field("n", pa.int64(), "number of pairs"),
    ]
)
SAMPLE_ATTACKS = pa.schema(
    [
        _POPULATION,
        _ROW,
        _field("csa", pa.float64(), "cosine of the pair's image and caption under the side"),
        _field("clipmem", pa.float64(), "alignment under the side minus under the other side; null without one"),
    ]
)
TRAINING = pa.schema(
    [
        _field("step", pa.int64(), "optimiser step, from 1"),
        _field("samples_seen", pa.int64(), "samples seen after the step"),
        _field("loss", pa.float64(), "contrastive loss of the step's batch"),
        _field("learning_rate", pa.float64(), "learning rate of the step"),
        _field("logit_scale", pa.float64(), "inverse temperature after the step"),
        _field("gradient_norm", pa.float64(), "L2 norm of the step's whole gradient, before clipping"),
        _field("samples_per_second", pa.float64(), "rate since the line before"),
        _field("data_wait", pa.float64(), "share of the time since the line before that went into getting batches"),
    ]
)
STUDIES = pa.schema(
    [
        _field("study", pa.string(), "name of the study"),
        _field("axis", pa.string(), "a key of the recipe, training_set_size, deduplicate or checkpoint"),
        _field("place", pa.int32(), "place of the value among those of the study, from 0"),
        _field("value", pa.string(), "the value, as JSON"),
        _MODEL,
        _EPOCH,
    ]
)
STAGES = pa.schema(
    [
        _field("stage", pa.string(), "stage of the workflow"),
        _field("subject", pa.string(), "what it worked on"),
        _field("rows_in", pa.int64(), "rows it read"),
        _field("rows_out", pa.int64(), "rows it passed on"),
        _field("dropped", pa.map_(pa.string(), pa.int64()), "reason and number of the others"),
        _field("seconds", pa.float64(), "wall time of its jobs together"),
        _field("peak_memory_mb", pa.float64(), "largest resident memory of one job, in MB"),
    ]
)
CONFIG = pa.schema(
    [_field("key", pa.string(), "path of the key, with dots"), _field("value", pa.string(), "value as JSON")]
)

SIDES_TABLE = pa.schema(
    [
        _MODEL,
        _SIDE,
        _field("kind", pa.string(), "trained here, model (trained for another model), checkpoint or text_encoder"),
        _field("source", pa.string(), "the recipe, the checkpoint or the text encoder"),
        _field("search", pa.string(), "what its queries search: public images or public captions"),
    ]
)

MODEL_SIDE = pa.schema([_MODEL, _SIDE, _EPOCH])
MODEL = pa.schema([_MODEL, _EPOCH])


def _columns(*parts: pa.Schema | list[pa.Field]) -> pa.Schema:
    return pa.schema([field for part in parts for field in part])


_DATABASE_SAMPLES = _columns(
    [_ROW, _UID, _field("role", pa.string(), "use of the sample: a, b, public or holdout")],
    [SAMPLES.field("caption")],
    [_field("objects", pa.list_(pa.string()), "distinct normalised labels above the score threshold"), _GROUP],
)

DATABASE: dict[str, tuple[str, pa.Schema]] = {
    "sides": ("what the two sides of every model are", SIDES_TABLE),
    "samples": ("the samples of all roles", _DATABASE_SAMPLES),
    "duplicates": (
        "the groups of more than one sample in the datasets that the roles come from, whatever role they have",
        _columns([_field("dataset", pa.string(), "dataset of the group")], DUPLICATES),
    ),
    "neighbors": (
        "the nearest public images of every query's caption",
        _columns(MODEL_SIDE, [_POPULATION], NEIGHBORS),
    ),
    "sample_scores": (
        "how well each side predicts each query's objects",
        _columns(MODEL, [_POPULATION], SAMPLE_SCORES),
    ),
    "population_gaps": ("what a population's gap is, and how certain", _columns(MODEL, POPULATION_GAPS)),
    "bootstrap_draws": ("the resampled gaps that intervals and bands are made of", _columns(MODEL, BOOTSTRAP_DRAWS)),
    "bands": ("simultaneous bands of the gaps that the report shows together", _columns(MODEL, BANDS)),
    "top_l": ("gaps of the first l queries in an order", _columns(MODEL, TOP_L)),
    "recall_curves": ("share of the queries with at least a recall", _columns(MODEL, RECALL_CURVES)),
    "utility": ("what the models are good for", _columns(MODEL_SIDE, UTILITY)),
    "attacks": ("membership attacks on the same splits", _columns(MODEL_SIDE, ATTACKS)),
    "sample_attacks": ("membership scores of single pairs", _columns(MODEL_SIDE, SAMPLE_ATTACKS)),
    "studies": ("the points of studies that were measured in this split", STUDIES),
    "training": ("what happened in training", _columns(MODEL_SIDE, TRAINING)),
    "stages": ("what each stage read, passed on and dropped, and what it cost", STAGES),
    "config": ("the whole configuration, defaults filled in", CONFIG),
}

MEASURED: dict[str, tuple[str, ...]] = {
    "stages": ("seconds", "peak_memory_mb"),
    "training": ("samples_per_second", "data_wait"),
}
