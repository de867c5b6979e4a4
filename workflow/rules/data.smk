# Needs:  raw parquet files (or the section `synthetic`, which draws them, or `coco`, whose annotations become some, or
#         WebDataset shards, each of which becomes one)
# Makes:  results/<dataset>/{samples,quarantine,fingerprints}/<batch>/<file>.parquet,
#         groups.parquet and duplicates.parquet
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
    wildcard_constraints:
        dataset=made_from("synthetic"),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("synthesize.py"),
        synthetic=lambda w: as_json(CONFIG["datasets"][w.dataset].get("synthetic", {})),
    script:
        "../scripts/synthesize.py"


rule coco:
    """Joins the captions and the objects of COCO's annotations by image."""
    input:
        unpack(lambda w: DATASETS[w.dataset].annotations),
    output:
        "results/{dataset}/coco.parquet",
    log:
        "logs/{dataset}/coco.log",
    benchmark:
        "results/{dataset}/benchmarks/coco.tsv"
    wildcard_constraints:
        dataset=made_from("coco"),
    conda:
        CONDA
    resources:
        # the JSON is parsed whole, without its outlines
        mem_mb=growing(1000, per_gb=4000),
        runtime=growing(30, per_gb=30),
    params:
        code=code("coco.py"),
    script:
        "../scripts/coco.py"


rule coco_file:
    """Writes one raw file: a share of the images of COCO's annotations, in order of image id."""
    input:
        "results/{dataset}/coco.parquet",
    output:
        "results/{dataset}/raw/part-{index}.parquet",
    log:
        "logs/{dataset}/coco_file/{index}.log",
    benchmark:
        "results/{dataset}/benchmarks/coco_file/{index}.tsv"
    wildcard_constraints:
        dataset=made_from("coco"),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("coco_file.py"),
        files=lambda w: CONFIG["datasets"][w.dataset]["coco"]["files"],
    script:
        "../scripts/coco_file.py"


rule shard:
    """Tells keys and captions of a WebDataset shard in a raw file, beside a link to the shard, which has the images."""
    input:
        lambda w: DATASETS[w.dataset].shards[w.shard],
    output:
        table="results/{dataset}/raw/{shard}.parquet",
        tar="results/{dataset}/raw/{shard}.tar",
    log:
        "logs/{dataset}/shard/{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/shard/{shard}.tsv"
    wildcard_constraints:
        dataset=any_of(name for name, one in DATASETS.items() if one.shards),
        shard="[0-9a-f]{8}",
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=growing(20, per_gb=10),
    params:
        code=code("shard.py"),
        caption=lambda w: DATASETS[w.dataset].section["columns"]["caption"],
        objects=lambda w: DATASETS[w.dataset].section["columns"]["objects"],
    script:
        "../scripts/shard.py"


rule inventory:
    """Checks every raw file's footer and columns, and counts its pairs, before any long work.

    No input of ingest, not even an ancient one: while the inventory runs, Snakemake would not see that a batch changed.
    """
    input:
        raw=lambda w: list(DATASETS[w.dataset].paths.values()),
    output:
        "results/{dataset}/inventory.json",
    log:
        "logs/{dataset}/inventory.log",
    benchmark:
        "results/{dataset}/benchmarks/inventory.tsv"
    priority: 1
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("inventory.py"),
        names=lambda w: as_json(list(DATASETS[w.dataset].paths)),
        columns=columns_of,
        every_caption=lambda w: DATASETS[w.dataset].every_caption,
        state="results/{dataset}/state/ingest",
    script:
        "../scripts/inventory.py"


rule ingest:
    """Reads raw files into the samples table; what cannot be used goes to the quarantine with its reason.

    Of a batch that has changed, only the files that are new or different are read again.
    """
    input:
        raw=raw_files,
        tars=lambda w: DATASETS[w.dataset].tars(w.batch),
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
        mem_mb=growing(2000),
        runtime=growing(20, per_gb=60),
    params:
        code=code("ingest.py"),
        names=batch_files,
        columns=lambda w: as_json(DATASETS[w.dataset].columns | {"objects": None}),
        how=lambda w: as_json(DATASETS[w.dataset].ingestion),
        state="results/{dataset}/state/ingest",
    script:
        "../scripts/ingest.py"


rule fingerprint:
    """Hashes every sample for all criteria of duplicates, so that a change of them hashes nothing again."""
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
        mem_mb=growing(1000),
        runtime=growing(20, per_gb=60),
    params:
        code=code("fingerprint.py"),
    script:
        "../scripts/fingerprint.py"


rule duplicates:
    """Groups samples that are the same thing; stops when too many raw rows, or their keys, could not be used."""
    input:
        fingerprints=lambda w: DATASETS[w.dataset].folders("fingerprints"),
        samples=lambda w: DATASETS[w.dataset].folders("samples"),
        quarantine=lambda w: DATASETS[w.dataset].folders("quarantine"),
        inventory="results/{dataset}/inventory.json",
    output:
        groups="results/{dataset}/groups.parquet",
        duplicates="results/{dataset}/duplicates.parquet",
    log:
        "logs/{dataset}/duplicates.log",
    benchmark:
        "results/{dataset}/benchmarks/duplicates.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(2000, per_gb=2000, of=["fingerprints"]),
        runtime=growing(30, per_gb=60, of=["fingerprints"]),
    params:
        code=code("duplicates.py"),
        max_quarantined=lambda w: CONFIG["datasets"][w.dataset]["max_quarantined"],
        max_unclear_keys=lambda w: CONFIG["datasets"][w.dataset]["max_unclear_keys"],
        criteria=lambda w: as_json(CONFIG["datasets"][w.dataset]["duplicates"]),
    script:
        "../scripts/duplicates.py"
