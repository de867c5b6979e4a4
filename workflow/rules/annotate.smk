# Needs:  samples, and what a dataset's `annotate` names: a column of the raw files, files of objects, or a detector
# Makes:  results/<dataset>/objects/<batch>/<file>.parquet
#
# One rule per source, so that a change of one never annotates the datasets that use another.

from dejavu.paths import IMPORTED, MATCHED, OBJECTS, SAMPLES


rule annotate:
    """Takes the objects of every sample from the raw files' column."""
    input:
        raw=raw_files,
        samples=SAMPLES,
    output:
        directory(OBJECTS),
    log:
        "logs/{dataset}/annotate/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/annotate/{batch}.tsv"
    wildcard_constraints:
        dataset=any_of(annotated_from("column")),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(20, per_gb=30),
    params:
        code=code("annotate.py"),
        names=batch_files,
        columns=columns_of,
    script:
        "../scripts/annotate.py"


rule read_imports:
    """Brings files of objects into one table."""
    input:
        files=lambda w: IMPORTS[w.dataset],
    output:
        IMPORTED,
    log:
        "logs/{dataset}/read_imports.log",
    benchmark:
        "results/{dataset}/benchmarks/read_imports.tsv"
    wildcard_constraints:
        dataset=any_of(annotated_from("import")),
    conda:
        CONDA
    resources:
        # a JSON file is read whole
        mem_mb=growing(1000, per_gb=3000),
        runtime=growing(30, per_gb=30),
    params:
        code=code("read_imports.py"),
    script:
        "../scripts/read_imports.py"


rule match_import:
    """Counts which imported images are samples; stops when none is, before any work on the batches."""
    input:
        imported=IMPORTED,
        samples=lambda w: DATASETS[w.dataset].folders("samples"),
    output:
        MATCHED,
    log:
        "logs/{dataset}/match_import.log",
    benchmark:
        "results/{dataset}/benchmarks/match_import.tsv"
    wildcard_constraints:
        dataset=any_of(annotated_from("import")),
    conda:
        CONDA
    resources:
        mem_mb=growing(4000, per_gb=4000, of=["imported"]),
        runtime=growing(30, per_gb=10, of=["samples"]),
    params:
        code=code("match_import.py"),
        every_caption=lambda w: DATASETS[w.dataset].every_caption,
    script:
        "../scripts/match_import.py"


rule import_objects:
    """Takes the objects of every sample from the imported table, by uid."""
    input:
        imported=IMPORTED,
        # an import that fits no sample is found before
        matched=MATCHED,
        samples=SAMPLES,
    output:
        directory(OBJECTS),
    log:
        "logs/{dataset}/annotate/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/annotate/{batch}.tsv"
    wildcard_constraints:
        dataset=any_of(annotated_from("import")),
    conda:
        CONDA
    resources:
        mem_mb=growing(2000),
        runtime=growing(20, per_gb=60),
    params:
        code=code("import_objects.py"),
        names=batch_files,
        every_caption=lambda w: DATASETS[w.dataset].every_caption,
    script:
        "../scripts/import_objects.py"


rule detect:
    """Finds the objects of every sample with a zero-shot detector; finished files outlive a kill."""
    input:
        samples=SAMPLES,
        model=detector_files,
    output:
        directory(OBJECTS),
    log:
        "logs/{dataset}/annotate/{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/annotate/{batch}.tsv"
    wildcard_constraints:
        dataset=any_of(annotated_from("detector")),
    conda:
        CONDA
    threads: lambda w: annotate_of(w)["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(60, per_gb=60 if GPUS else 3000, of=["samples"]),
        gpu=GPUS,
    params:
        code=code("detect.py"),
        names=batch_files,
        model=lambda w: annotate_of(w)["model"],
        vocabulary=lambda w: annotate_of(w)["vocabulary"],
        labels=lambda w: VOCABULARIES[w.dataset],
        min_score=lambda w: annotate_of(w)["min_score"],
        batch_size=lambda w: annotate_of(w)["batch_size"],
        torch_threads=lambda w: annotate_of(w)["torch_threads"],
        device=CONFIG["device"],
    script:
        "../scripts/detect.py"
