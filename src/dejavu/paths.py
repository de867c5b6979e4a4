"""Where the files of a run lie: patterns below ``results/`` with Snakemake's wildcards, each said once.

Rules have them as their inputs and outputs. Whoever wants the path of a file fills them with :func:`at`. They are
relative to the working directory. Logs and benchmark files are named by the rules alone.
"""

from __future__ import annotations

# what is made of a dataset alone
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

# of a split
SPLIT = "results/{dataset}/{split}"
MANIFEST = "results/{dataset}/{split}/manifests/{role}.parquet"
DISJOINT = "results/{dataset}/{split}/disjoint.json"
TEXTS = "results/{dataset}/{split}/queries/texts.parquet"
DATABASE = "results/{dataset}/{split}/memorization.duckdb"
REPORT = "results/{dataset}/{split}/report"
SUMMARY = "results/{dataset}/{split}/summary.txt"

# of a model in a split
RECIPE = "results/{dataset}/{split}/models/{model}/recipe.json"
CHECKPOINTS = "results/{dataset}/{split}/models/{model}/{side}/checkpoints"
TRAINING = "results/{dataset}/{split}/models/{model}/{side}/training.parquet"
# what a killed training continues from, which is no output
TRAINING_STATE = "results/{dataset}/{split}/state/{model}/{side}"

# of a model at a number of samples seen
CHECKPOINT_NOTES = "results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/checkpoint.json"
EMBEDDING = "results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.{kind}.npy"
NEIGHBORS = "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.parquet"
QUERY_NEIGHBORS = "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.{query}.parquet"
SCORES = "results/{dataset}/{split}/scores/{model}/{seen}/{population}.parquet"
POPULATION_TABLE = "results/{dataset}/{split}/populations/{model}/{seen}/{table}.parquet"
ATTACKS = "results/{dataset}/{split}/attacks/{model}/{side}/{seen}/{table}.parquet"
REPLICATES_TABLE = "results/{dataset}/{split}/replicates/{model}/{seen}/{table}.parquet"
UTILITY = "results/{dataset}/{split}/{table}/{model}/{side}/{seen}.parquet"

# of a study
STUDY = "results/{dataset}/studies/{study}"


def at(pattern: str, **values: object) -> str:
    """Return a pattern with values in place of wildcards; what is not named stays a wildcard.

    Args:
        pattern: one of this module.
        values: wildcard -> value, or another wildcard: ``at(MANIFEST, role="{population}")``.

    Raises:
        KeyError: when the pattern has no such wildcard.
    """
    for wildcard, value in values.items():
        place = f"{{{wildcard}}}"
        if place not in pattern:
            raise KeyError(f"{pattern} has no wildcard {wildcard}")
        pattern = pattern.replace(place, str(value))
    return pattern
