# Needs:  the configuration and the datasets' files
# Makes:  the benchmark files of all stages of a split, from which the database tells what each of them cost

from dejavu.config.replicates import replicated_models
from dejavu.data.benchmarks import drawn_datasets
from dejavu.paths import SPLIT


def split_benchmarks(wildcards):
    """Benchmark files of all jobs that a split is made of, in the order of the workflow.

    This is the list of stages: the table `stages` has a row for everything that is named here, and no other.
    """
    own = f"results/{wildcards.dataset}/{wildcards.split}/benchmarks"
    files = []
    for dataset in split_datasets(wildcards):
        whole = f"results/{dataset.name}/benchmarks"
        files += [f"{whole}/{job}.tsv" for job in dataset.form.jobs(dataset.paths)]
        files.append(f"{whole}/inventory.tsv")
        files += [f"{whole}/ingest/{batch}.tsv" for batch in dataset.batches]
        if dataset.name in IMPORTS:
            files += [
                f"{whole}/{stage}.tsv" for stage in ("read_imports", "match_import")
            ]
        for stage in ("annotate", "fingerprint"):
            files += [f"{whole}/{stage}/{batch}.tsv" for batch in dataset.batches]
        files.append(f"{whole}/duplicates.tsv")
    files += [
        f"results/{dataset}/benchmarks/evaluation_data.tsv"
        for dataset in drawn_datasets(CONFIG["utility"])
    ]
    files += [f"{own}/manifest/{role}.tsv" for role in ROLES]
    files.append(f"{own}/disjoint.tsv")
    sides = sides_measured(CONFIG, wildcards.split)
    trained = {
        one: trained_file(f"{SPLIT}/benchmarks", wildcards.split, one.model, one.letter)
        for one in trained_sides(sides)
    }
    files += sorted({f"{at}/recipe/{one.model}.tsv" for one, at in trained.items()})
    files += [f"{at}/train/{one.model}.{one.letter}.tsv" for one, at in trained.items()]
    embedded = [one for one in sides if one.own]
    checkpoints = [one for one in embedded if one.kind == "checkpoint"]
    readers = [one for one in sides if not one.has_images and one.source != BUILT_IN]
    searching = [one for one in sides if one.has_images]
    files += of_sides(f"{own}/describe", checkpoints)
    if QUERIES_OF_TEXT:
        files.append(f"{own}/query_texts.tsv")
    files += of_sides(f"{own}/embed", embedded, ROLES)
    files += of_sides(f"{own}/embed_captions", readers, ROLES)
    files += of_sides(f"{own}/embed_queries", embedded if OTHER_QUERIES else [])
    files += of_sides(f"{own}/neighbors", sides, POPULATIONS)
    files += of_sides(f"{own}/query_neighbors", searching if OTHER_QUERIES else [])
    measured = sorted({(one.model, one.seen) for one in sides})
    files += [
        f"{own}/score/{model}.{seen}.{population}.tsv"
        for model, seen in measured
        for population in POPULATIONS
    ]
    files += [f"{own}/population/{model}.{seen}.tsv" for model, seen in measured]
    files += [
        f"{own}/replicates/{model}.{seen}.tsv"
        for model, seen in replicated_models(CONFIG, wildcards.split).items()
    ]
    for stage in ("utility", "attacks"):
        files += of_sides(f"{own}/{stage}", embedded)
    return files


def of_sides(folder, sides, roles=()):
    """The benchmark files of a stage that works on sides, or on roles under sides."""
    names = [f"{folder}/{one.model}.{one.letter}.{one.seen}" for one in sides]
    return (
        [f"{name}.{role}.tsv" for name in names for role in roles]
        if roles
        else [f"{name}.tsv" for name in names]
    )
