"""Paths below ``results/``: one pattern with Snakemake's wildcards for each kind of file.

Rules use the patterns as inputs and outputs. Scripts and the library fill in wildcards with :func:`at`. All paths are
relative to the working directory. Only the rules name logs and cost files.
"""

from __future__ import annotations

# files of a dataset, which depend on no split
DATASET = "results/{dataset}"
RAW = "results/{dataset}/raw/{file}"
INVENTORY = "results/{dataset}/inventory.json"
INGEST_STATE = "results/{dataset}/state/ingest"
BATCH = "results/{dataset}/{table}/{batch}"
SAMPLES = "results/{dataset}/samples/{batch}"
QUARANTINE = "results/{dataset}/quarantine/{batch}"
FINGERPRINTS = "results/{dataset}/fingerprints/{batch}"
OBJECTS = "results/{dataset}/objects/{batch}"
IMPORTED = "results/{dataset}/imported.parquet"
MATCHED = "results/{dataset}/imported.json"
GROUPS = "results/{dataset}/groups.parquet"
DUPLICATES = "results/{dataset}/duplicates.parquet"
EVALUATION = "results/{dataset}/evaluation"

# files of a split
SPLIT = "results/{dataset}/{split}"
MANIFEST = "results/{dataset}/{split}/manifests/{role}.parquet"
# of a side: only where the split has a role `shared`, otherwise a side is trained on the manifest of its role
TRAINING_SET = "results/{dataset}/{split}/training_sets/{side}.parquet"
DISJOINT = "results/{dataset}/{split}/disjoint.json"
QUERY_MANIFEST = "results/{dataset}/{split}/queries/{role}.parquet"
TEXTS = "results/{dataset}/{split}/queries/texts.parquet"
DATABASE = "results/{dataset}/{split}/memorization.duckdb"
# the tables of the database that are too large for it
LARGE_TABLES = "results/{dataset}/{split}/memorization.parquet"
REPORT = "results/{dataset}/{split}/report"
SUMMARY = "results/{dataset}/{split}/summary.txt"
# what may leave the house
SHARE = "results/{dataset}/{split}/share"

# files of a model in a split
RECIPE = "results/{dataset}/{split}/models/{model}/recipe.json"
CHECKPOINTS = "results/{dataset}/{split}/models/{model}/{side}/checkpoints"
TRAINING = "results/{dataset}/{split}/models/{model}/{side}/training.parquet"
# The state of an unfinished training, from which a rerun continues. It is no output of a rule.
TRAINING_STATE = "results/{dataset}/{split}/state/{model}/{side}"

# files of a model at a number of samples seen
CHECKPOINT_NOTES = "results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/checkpoint.json"
EMBEDDING = "results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.{kind}.npy"
# what embeddings were made of, and second names for them, which are no output
KEPT_EMBEDDING = "results/{dataset}/{split}/kept/{model}/{side}/{seen}/{name}"
NEIGHBORS = "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.parquet"
QUERY_NEIGHBORS = "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.{query}.parquet"
SCORES = "results/{dataset}/{split}/scores/{model}/{seen}/{population}.parquet"
POPULATION_TABLE = "results/{dataset}/{split}/populations/{model}/{seen}/{table}.parquet"
ATTACKS = "results/{dataset}/{split}/attacks/{model}/{side}/{seen}/{table}.parquet"
REPLICATES_TABLE = "results/{dataset}/{split}/replicates/{model}/{seen}/{table}.parquet"
UTILITY = "results/{dataset}/{split}/{table}/{model}/{side}/{seen}.parquet"

# the page of a study
STUDY = "results/{dataset}/studies/{study}"


def at(pattern: str, **values: object) -> str:
    """Return a pattern with values in place of wildcards. Wildcards without a value stay.

    Args:
        pattern: a pattern of this module.
        values: wildcard -> its value; the value may be another wildcard, as in ``at(MANIFEST, role="{population}")``.

    Raises:
        KeyError: when the pattern has no such wildcard.
    """
    for wildcard, value in values.items():
        place = f"{{{wildcard}}}"
        if place not in pattern:
            raise KeyError(f"{pattern} has no wildcard {wildcard}")
        pattern = pattern.replace(place, str(value))
    return pattern
