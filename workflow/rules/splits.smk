# Needs:  results/<dataset>/groups.parquet and samples
# Makes:  results/<dataset>/<split>/manifests/<role>.parquet, each by its own job with its own parameters


rule manifest:
    """Chooses the samples of one role; other roles' parameters play no part."""
    input:
        groups="results/{dataset}/groups.parquet",
        samples=folders("samples"),
        # what is listed belongs to no other role
        lists=lambda w: list(listed_roles(w).values()),
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
        interval=lambda w: as_json(split_of(w)["roles"][w.role]["interval"]),
        listed=lambda w: as_json(list(listed_roles(w))),
        limit=lambda w: split_of(w)["roles"][w.role]["limit"],
    script:
        "../scripts/manifest.py"
