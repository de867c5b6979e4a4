"""The tables of the database, with what only it has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from dejavu.tables.data import DUPLICATES, SAMPLES
from dejavu.tables.evaluation import ATTACKS, SAMPLE_ATTACKS, UTILITY, UTILITY_DRAWS
from dejavu.tables.fields import GROUP, ROW, SIDE, UID, field
from dejavu.tables.membership import MEMBERSHIP, MEMBERSHIP_CURVES
from dejavu.tables.populations import BOOTSTRAP_DRAWS, POPULATION_GAPS, RECALL_CURVES, TOP_L
from dejavu.tables.provenance import DIGEST, HASHED, PROVENANCE
from dejavu.tables.queries import LABELS, POPULATION, QUERY, SCOPE, K
from dejavu.tables.replicates import (
    CONFIRMATIONS,
    RECIPE_INTERVALS,
    REPLICATE_DRAWS,
    REPLICATES,
    SAMPLE_EVIDENCE,
    SHARES,
)
from dejavu.tables.retrieval import NEIGHBORS
from dejavu.tables.run import (
    CONFIG,
    EPOCH,
    METRICS_TABLE,
    MODEL_NAME,
    ROLES_TABLE,
    SIDES_TABLE,
    STAGES,
    STUDIES,
)
from dejavu.tables.scores import SAMPLE_SCORES
from dejavu.tables.sources import MEMORY_SOURCES, MEMORY_TRENDS
from dejavu.tables.training import TRAINING

BANDS = pa.schema(
    [
        POPULATION,
        QUERY,
        K,
        LABELS,
        SCOPE,
        field("metric", pa.string(), "as in population_gaps"),
        field("band_low", pa.float64(), "lower end of the simultaneous 95 % band: value - critical * std_error"),
        field("band_high", pa.float64(), "upper end of it"),
        field("std_error", pa.float64(), "standard deviation of the gap over the bootstrap"),
        field("critical", pa.float64(), "95 % quantile of the largest |t| among the cells of the band (max-t)"),
        field("cells", pa.int64(), "number of cells that the band covers together"),
        field("detectable", pa.float64(), "smallest true gap that the band shows in 80 % of runs"),
    ]
)
VERDICTS = pa.schema(
    [
        MODEL_NAME,
        EPOCH,
        field("about", pa.string(), "objects (déjà vu) or membership"),
        field("verdict", pa.string(), "detected, not detected or cannot say"),
        field("sides", pa.string(), "where detected: a, b or both; null where that is not known"),
        QUERY,
        K,
        LABELS,
        SCOPE,
        field("metric", pa.string(), "with the columns before: the strongest cell, or how the attack is measured"),
        field("attack", pa.string(), "of a verdict on membership: the strongest attack"),
        field("value", pa.float64(), "the gap in that cell, or the attack's result"),
        field("ci_low", pa.float64(), "lower end of its 95 % interval"),
        field("ci_high", pa.float64(), "upper end of it"),
        field("p_value", pa.float64(), "over all cells and queries, or all attacks, together"),
        field("detectable", pa.float64(), "of objects: gap in the cell chosen beforehand found in 80 % of runs"),
        field("effective_groups", pa.float64(), "of the smaller training role, in the cell chosen beforehand"),
        field("recall_at_10", pa.float64(), "of holdout retrieval, mean over sides and directions"),
        field("chance_at_10", pa.float64(), "what chance would reach"),
        field("skill", pa.float64(), "recall of objects on the holdout above that of a random ranking"),
        field("sentence", pa.string(), "the verdict in words, with what it rests on"),
    ]
)
SAMPLE_MEMORIZATION = pa.schema([MODEL_NAME, EPOCH, *SAMPLE_EVIDENCE])
REMEMBERED_SHARES = pa.schema([MODEL_NAME, EPOCH, *SHARES])
BLIND_BASELINE = pa.schema(
    [
        field("role", pa.string(), "one of the two roles: a, b or holdout"),
        field("other", pa.string(), "the other role"),
        field("auc", pa.float64(), "ROC AUC at which captions alone tell the roles apart; 0.5 is chance"),
        field("std_error", pa.float64(), "its standard error where there is no difference"),
        field("captions", pa.int64(), "captions of each role"),
        field("is_apart", pa.bool_(), "whether that is clear: the AUC is above 0.5 by more than 4 standard errors"),
    ]
)
PRIVACY = pa.schema(
    [
        MODEL_NAME,
        EPOCH,
        SIDE,
        field("epsilon_low", pa.float64(), "training is not epsilon-differentially private for any epsilon below this"),
        field("delta", pa.float64(), "as assumed; 0 is pure differential privacy"),
        field("confidence", pa.float64(), "of the bound, for one side of one model"),
        field("canaries", pa.int64(), "groups that fair coins drew from the side's role and the holdout"),
        field("guesses", pa.int64(), "canaries whose membership was guessed, those with the outermost scores"),
        field("right_guesses", pa.int64(), "of these, right"),
    ]
)
MODEL_SIDE = pa.schema([MODEL_NAME, SIDE, EPOCH])
MODEL = pa.schema([MODEL_NAME, EPOCH])


def _columns(*parts: pa.Schema | list[pa.Field]) -> pa.Schema:
    return pa.schema([field for part in parts for field in part])


_DATABASE_SAMPLES = _columns(
    [ROW, UID, field("role", pa.string(), "use of the sample: a, b, public, holdout or shared")],
    [SAMPLES.field("caption")],
    [field("objects", pa.list_(pa.string()), "distinct normalised labels above the score threshold, null for shared")],
    [field("unnamed", pa.list_(pa.string()), "those that the caption does not name: the true ones of scope unnamed")],
    [GROUP],
)
DATABASE: dict[str, tuple[str, pa.Schema]] = {
    "sides": ("what the two sides of every model are", SIDES_TABLE),
    "roles": ("what each role of the split is", ROLES_TABLE),
    "samples": ("the samples that are searched, asked about, or trained on by both sides", _DATABASE_SAMPLES),
    "duplicates": (
        "the groups of more than one sample in the datasets that the roles come from, whatever role they have",
        _columns([field("dataset", pa.string(), "dataset of the group")], DUPLICATES),
    ),
    "neighbors": (
        "the public images nearest to every sample's query",
        _columns(MODEL_SIDE, [POPULATION, QUERY], NEIGHBORS),
    ),
    "sample_scores": (
        "how well each side predicts each query's objects",
        _columns(MODEL, [POPULATION], SAMPLE_SCORES),
    ),
    "population_gaps": ("what a population's gap is, and how certain", _columns(MODEL, POPULATION_GAPS)),
    "bootstrap_draws": ("the resampled gaps that intervals and bands are made of", _columns(MODEL, BOOTSTRAP_DRAWS)),
    "bands": ("simultaneous bands of the gaps that the report shows together", _columns(MODEL, BANDS)),
    "top_l": ("gaps of the first l queries in an order", _columns(MODEL, TOP_L)),
    "recall_curves": ("share of the queries with at least a recall", _columns(MODEL, RECALL_CURVES)),
    "utility": (
        "what the models are good for, of every side that has images; a side that is another model's has its results",
        _columns(MODEL_SIDE, UTILITY),
    ),
    "utility_draws": (
        "the resampled utility that intervals of it, and of its differences between models, are made of",
        _columns(MODEL_SIDE, UTILITY_DRAWS),
    ),
    "attacks": ("membership attacks on the same splits", _columns(MODEL_SIDE, ATTACKS)),
    "sample_attacks": ("membership scores of single pairs", _columns(MODEL_SIDE, SAMPLE_ATTACKS)),
    "membership": (
        "how well attacks tell members from non-members: AUC, and true positive rates at low false positive rates",
        _columns(MODEL_SIDE, MEMBERSHIP),
    ),
    "membership_curves": ("their ROC curves, thinned for logarithmic axes", _columns(MODEL_SIDE, MEMBERSHIP_CURVES)),
    "verdicts": ("what the run allows to say of every model", VERDICTS),
    "blind_baseline": (
        "whether captions alone tell roles apart, which makes a comparison of them void",
        BLIND_BASELINE,
    ),
    "sample_memorization": ("what single training samples show", SAMPLE_MEMORIZATION),
    "remembered_shares": ("how many training samples are remembered, at least", REMEMBERED_SHARES),
    "confirmations": (
        "whether a list of remembered samples, made from some replicates, holds in the others",
        _columns(MODEL, CONFIRMATIONS),
    ),
    "memory_sources": (
        "the gap by what samples are like, in two-model tests of roles that chance drew",
        _columns(MODEL, MEMORY_SOURCES),
    ),
    "memory_trends": ("whether the gap changes with what samples are like", _columns(MODEL, MEMORY_TRENDS)),
    "replicates": ("the gaps of every pair of models of a recipe", _columns(MODEL, REPLICATES)),
    "replicate_draws": (
        "the resampled gaps of every pair of models, for intervals of the differences between recipes",
        _columns(MODEL, REPLICATE_DRAWS),
    ),
    "recipe_intervals": ("what a recipe does over trainings, and how certain", _columns(MODEL, RECIPE_INTERVALS)),
    "privacy": ("lower bounds on the privacy loss of training", PRIVACY),
    "studies": ("the points of studies that were measured in this split", STUDIES),
    "training": ("what happened in training", _columns(MODEL_SIDE, TRAINING)),
    "metrics": ("how the two sides of a model are compared", METRICS_TABLE),
    "stages": ("what each stage read, passed on and dropped, and what it cost", STAGES),
    "config": ("the whole configuration, defaults filled in", CONFIG),
    "hashes": ("SHA-256 of what was measured, and of what it was measured on", _columns([HASHED], MODEL_SIDE, DIGEST)),
    "provenance": ("what wrote this database: versions, commit, date and machine", PROVENANCE),
}
_REFERENCE = field("reference", pa.string(), "kind of side b, as in sides")
_CONTROL_POPULATION = field(
    "control_population", pa.string(), "population of the control: unseen in a one-model test, else holdout"
)
_GAP_WITH_CONTROL = _columns(
    MODEL,
    [_REFERENCE, QUERY, K, LABELS, SCOPE],
    [POPULATION_GAPS.field(name) for name in ("metric", "value", "ci_low", "ci_high")],
    [BANDS.field(name) for name in ("band_low", "band_high")],
    [POPULATION_GAPS.field(name) for name in ("mean", "std", "p_value", "p_joint", "expected", "detectable")],
    [BANDS.field(name) for name in ("critical", "cells")],
    [POPULATION_GAPS.field(name) for name in ("n", "groups", "effective_groups")],
    [
        _CONTROL_POPULATION,
        field("control_value", pa.float64(), "the same gap on the control"),
        field("control_low", pa.float64(), "lower end of the control's 95 % bootstrap interval"),
        field("control_high", pa.float64(), "upper end of it"),
        field("control_band_low", pa.float64(), "lower end of the control's simultaneous 95 % band"),
        field("control_band_high", pa.float64(), "upper end of it"),
        field("control_p_value", pa.float64(), "p-value of the control, two-sided"),
        field("control_n", pa.int64(), "number of queries of the control"),
        field("metric_place", pa.int32(), "place of the metric, as in metrics"),
        field("is_reported", pa.bool_(), "whether the report shows this k and this number of labels"),
        field("is_last", pa.bool_(), "whether this is the last epoch at which the model was measured"),
    ],
)
# queries that the database keeps under a name; each is the file of that name in workflow/sql/views
VIEWS: dict[str, tuple[str, pa.Schema]] = {
    "reported_cell": ("k and labels that the report shows", pa.schema([K, LABELS])),
    "reference_sides": (
        "what side b of every model is: in a one-model test a text encoder, which has seen no image",
        pa.schema(
            [
                MODEL_NAME,
                _REFERENCE,
                field("is_one_model", pa.bool_(), "whether side b embeds no images, so that this is a one-model test"),
                _CONTROL_POPULATION,
            ]
        ),
    ),
    "last_epochs": ("the last epoch at which each model was measured", MODEL),
    "gaps_with_controls": (
        "every symmetric gap beside its control, with the simultaneous bands of both where the report shows them",
        _GAP_WITH_CONTROL,
    ),
}
MEASURED: dict[str, tuple[str, ...]] = {
    "stages": ("seconds", "peak_memory_mb"),
    "training": ("samples_per_second", "data_wait"),
    "provenance": ("value",),
}


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key path with dots, value as JSON) of every leaf, sorted by key."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(value, sort_keys=True)
