# Needs:  samples, and the source of objects in a dataset's `annotate`: a column of the raw files, files, or a detector
# Makes:  results/<dataset>/objects/<batch>/<file>.parquet
#
# Each source of objects has its own rule, so a change of one source never annotates datasets with another source again.

from dejavu.paths import IMPORTED, MATCHED, OBJECTS, SAMPLES


rule annotate:
    """Read the objects of every sample from a column of the raw files."""
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
    """Convert files of objects into one table."""
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
        # A JSON file is read as a whole, so memory grows with its size.
        mem_mb=growing(1000, per_gb=3000),
        runtime=growing(30, per_gb=30),
    params:
        code=code("read_imports.py"),
    script:
        "../scripts/read_imports.py"


rule match_import:
    """Count the imported images that are samples; stop when none is, before any work on the batches."""
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
    """Look up the objects of every sample in the imported table, by uid."""
    input:
        imported=IMPORTED,
        # Waiting for this file stops an import that fits no sample before the first batch.
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
    """Detect the objects of every sample with a zero-shot detector; a killed job keeps its finished files."""
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
