# Needs:  results/<dataset>/groups.parquet and samples
# Makes:  results/<dataset>/<split>/manifests/<role>.parquet, each by its own job with its own parameters


rule manifest:
    """Chooses the samples of one role; other roles' parameters play no part."""
    input:
        groups="results/{dataset}/groups.parquet",
        samples=folders("samples"),
    output:
        "results/{dataset}/{split}/manifests/{role}.parquet",
    log:
        "logs/{dataset}/{split}/manifest/{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/manifest/{role}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("manifest.py"),
        seed=lambda w: split_of(w)["seed"],
        low=lambda w: split_of(w)["roles"][w.role]["interval"][0],
        high=lambda w: split_of(w)["roles"][w.role]["interval"][1],
        limit=lambda w: split_of(w)["roles"][w.role]["limit"],
    script:
        "../scripts/manifest.py"
