# Needs:  the configuration
# Makes:  input functions: the files of all replicates of a split; the rules are in replicates.smk

from dejavu.paths import ATTACKS, MANIFEST, REPLICATES_TABLE, SCORES, at
from dejavu.replicates import replicate_splits, replicated_models
from dejavu.tables.replicates import REPLICATE_TABLES


def replicate_files(wildcards):
    """Manifests, scores and attacks of every replicate of a model, in order."""
    names = {"model": wildcards.model, "seen": wildcards.seen}
    patterns = {f"manifest_{role}": at(MANIFEST, role=role) for role in SIDES}
    patterns |= {
        f"scores_{population}": at(SCORES, population=population, **names)
        for population in POPULATIONS
    }
    seen = int(wildcards.seen)
    if all(side_of(MODELS, wildcards.model, letter, seen).own for letter in SIDES):
        patterns |= {
            f"attacks_{letter}": at(
                ATTACKS, side=letter, table="sample_attacks", **names
            )
            for letter in SIDES
        }
    splits = replicate_splits(CONFIG, wildcards.split)
    return {
        name: [at(pattern, dataset=wildcards.dataset, split=split) for split in splits]
        for name, pattern in patterns.items()
    }


def replicate_tables(wildcards):
    """The tables of all models that are trained in several replicates of a split."""
    return [
        in_split(REPLICATES_TABLE, wildcards, model=model, seen=seen, table=table)
        for model, seen in replicated_models(CONFIG, wildcards.split).items()
        for table in REPLICATE_TABLES
    ]
