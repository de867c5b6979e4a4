# Needs:  raw parquet files (or the section `synthetic`, which draws them)
# Makes:  results/<dataset>/{samples,quarantine,objects,fingerprints}/<batch>/<file>.parquet and groups.parquet
#
# One job works on a batch of raw files; what it writes has one file per raw file.


rule synthesize:
    """Draws one raw parquet file of the embedded data."""
    output:
        "results/{dataset}/raw/part-{index}.parquet",
    log:
        "logs/{dataset}/synthesize/{index}.log",
    benchmark:
        "results/{dataset}/benchmarks/synthesize/{index}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code("synthesize.py"),
        synthetic=lambda w: as_json(CONFIG["datasets"][w.dataset].get("synthetic", {})),
    script:
        "../scripts/synthesize.py"


rule inventory:
    """Checks every raw file's footer and columns, and counts its rows, before any long work."""
    input:
        raw=lambda w: list(DATASETS[w.dataset].paths.values()),
    output:
        "results/{dataset}/inventory.json",
    log:
        "logs/{dataset}/inventory.log",
    benchmark:
        "results/{dataset}/benchmarks/inventory.tsv"
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code("inventory.py"),
        names=lambda w: as_json(list(DATASETS[w.dataset].paths)),
        columns=columns_of,
    script:
        "../scripts/inventory.py"


rule ingest:
    """Reads raw files into the samples table; what cannot be used goes to the quarantine with its reason."""
    input:
        raw=raw_files,
        # it has to be there, but new files in it do not ingest the old ones again
        inventory=ancient("results/{dataset}/inventory.json"),
    output:
        samples=directory("results/{dataset}/samples/{batch}"),
        quarantine=directory("results/{dataset}/quarantine/{batch}"),
    log:
        "logs/{dataset}/ingest/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/ingest/{batch}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=code("ingest.py"),
        names=batch_files,
        columns=columns_of,
    script:
        "../scripts/ingest.py"


rule annotate:
    """Takes the objects of every sample from the raw files' column."""
    input:
        raw=raw_files,
        samples="results/{dataset}/samples/{batch}",
    output:
        directory("results/{dataset}/objects/{batch}"),
    log:
        "logs/{dataset}/annotate/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/annotate/{batch}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=code("annotate.py"),
        names=batch_files,
        columns=columns_of,
    script:
        "../scripts/annotate.py"


rule fingerprint:
    """Hashes the content of every sample."""
    input:
        "results/{dataset}/samples/{batch}",
    output:
        directory("results/{dataset}/fingerprints/{batch}"),
    log:
        "logs/{dataset}/fingerprint/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/fingerprint/{batch}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=code("fingerprint.py"),
    script:
        "../scripts/fingerprint.py"


rule duplicates:
    """Groups samples that are the same thing; stops when too many raw rows could not be used."""
    input:
        fingerprints=lambda w: DATASETS[w.dataset].folders("fingerprints"),
        quarantine=lambda w: DATASETS[w.dataset].folders("quarantine"),
        inventory="results/{dataset}/inventory.json",
    output:
        "results/{dataset}/groups.parquet",
    log:
        "logs/{dataset}/duplicates.log",
    benchmark:
        "results/{dataset}/benchmarks/duplicates.tsv"
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("duplicates.py"),
        max_quarantined=lambda w: CONFIG["datasets"][w.dataset]["max_quarantined"],
    script:
        "../scripts/duplicates.py"
