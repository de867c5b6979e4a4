# Needs:  raw files in one of the forms of dejavu.data.forms, or the sources from which the workflow makes raw files
# Makes:  results/<dataset>/raw/<file>, for the forms whose raw files the workflow makes
#         results/<dataset>/{samples,quarantine,fingerprints}/<batch>/<file>.parquet,
#         groups.parquet and duplicates.parquet
#
# One job works on a batch of raw files, and writes one file for each raw file.

from dejavu.data.forms.registry import all_steps
from dejavu.paths import (
    DATASET,
    DUPLICATES,
    FINGERPRINTS,
    GROUPS,
    INGEST_STATE,
    INVENTORY,
    QUARANTINE,
    SAMPLES,
)

# The rules synthesize, coco, coco_file and shard: the module of a form defines their names, inputs, outputs and work.
for FORM, STEP in all_steps():

    rule:
        """Make raw files of a form, or intermediate files for them."""
        name:
            STEP.name
        input:
            unpack(form_inputs(STEP)),
        output:
            **{key: f"{DATASET}/{path}" for key, path in STEP.outputs.items()},
        log:
            f"logs/{{dataset}}/{STEP.job}.log",
        benchmark:
            f"results/{{dataset}}/benchmarks/{STEP.job}.tsv"
        wildcard_constraints:
            dataset=any_of(
                name
                for name, dataset in DATASETS.items()
                if type(dataset.form) is FORM
            ),
            shard="[0-9a-f]{8}",
        conda:
            CONDA
        resources:
            mem_mb=growing(1000, per_gb=STEP.memory_per_gb),
            runtime=growing(STEP.minutes, per_gb=STEP.minutes_per_gb),
        params:
            **{name: form_value(value) for name, value in STEP.values.items()},
            code=code("raw.py", STEP.name, FORM.__module__),
        script:
            "../scripts/raw.py"


rule inventory:
    """Check footer and columns of every raw file, and count its pairs, before any long work.

    The inventory must be no input of ingest, not even an ancient one: while the inventory runs again, Snakemake would
    overlook that a batch has changed.
    """
    input:
        raw=lambda w: list(DATASETS[w.dataset].paths.values()),
    output:
        INVENTORY,
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
        state=INGEST_STATE,
    script:
        "../scripts/inventory.py"


rule ingest:
    """Read raw files into the samples table; unusable rows go into the quarantine, each with its reason.

    Of a changed batch, only new and changed files are read again.
    """
    input:
        raw=raw_files,
        tars=lambda w: DATASETS[w.dataset].tars(w.batch),
    output:
        samples=directory(SAMPLES),
        quarantine=directory(QUARANTINE),
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
        state=INGEST_STATE,
    script:
        "../scripts/ingest.py"


rule fingerprint:
    """Hash every sample for all criteria of duplicates, so that another choice of criteria hashes nothing again."""
    input:
        SAMPLES,
    output:
        directory(FINGERPRINTS),
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
    """Group duplicates; stop when too many raw rows are in the quarantine, or too many keys are unclear."""
    input:
        fingerprints=lambda w: DATASETS[w.dataset].folders("fingerprints"),
        samples=lambda w: DATASETS[w.dataset].folders("samples"),
        quarantine=lambda w: DATASETS[w.dataset].folders("quarantine"),
        inventory=INVENTORY,
    output:
        groups=GROUPS,
        duplicates=DUPLICATES,
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
