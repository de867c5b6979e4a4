# Needs:  the configuration and the datasets' files
# Makes:  the benchmark files of all stages of a split, from which the database tells what each of them cost

from dejavu.data.benchmarks import drawn_datasets
from dejavu.paths import SPLIT


def split_benchmarks(wildcards):
    """Benchmark files of everything that a split is made of: what each stage cost."""
    own = f"results/{wildcards.dataset}/{wildcards.split}/benchmarks"
    files = []
    for dataset in split_datasets(wildcards):
        whole = f"results/{dataset.name}/benchmarks"
        files += [f"{whole}/inventory.tsv", f"{whole}/duplicates.tsv"]
        for batch in dataset.batches:
            files += [
                f"{whole}/{stage}/{batch}.tsv"
                for stage in ("ingest", "annotate", "fingerprint")
            ]
        files += [f"{whole}/{job}.tsv" for job in dataset.form.jobs(dataset.paths)]
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
    if QUERIES_OF_TEXT:
        files.append(f"{own}/query_texts.tsv")
    for model, seen in sorted({(one.model, one.seen) for one in sides}):
        files += [
            f"{own}/score/{model}.{seen}.{population}.tsv" for population in POPULATIONS
        ]
        files.append(f"{own}/population/{model}.{seen}.tsv")
    files += [
        f"{own}/neighbors/{one.model}.{one.letter}.{one.seen}.{population}.tsv"
        for one in sides
        for population in POPULATIONS
    ]
    files += [
        f"{own}/query_neighbors/{one.model}.{one.letter}.{one.seen}.tsv"
        for one in sides
        if OTHER_QUERIES and one.has_images
    ]
    for one in embedded_sides(wildcards):
        at = f"{one.model}.{one.letter}.{one.seen}"
        if OTHER_QUERIES:
            files.append(f"{own}/embed_queries/{at}.tsv")
        files += [f"{own}/embed/{at}.{role}.tsv" for role in ROLES]
        files += [f"{own}/{stage}/{at}.tsv" for stage in ("utility", "attacks")]
    return files
