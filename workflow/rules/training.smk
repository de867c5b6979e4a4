# Needs:  the manifests (of roles other than the side's, only that they are there), and samples
# Makes:  results/<dataset>/<split>/models/<model>/<side>/checkpoints/<samples seen>.pt and training.parquet
#
# What a killed run continues from lies in results/<dataset>/<split>/state, which is no output and goes at the end.


rule train:
    """Trains one side of a model; killed and started again, it goes on from its last state."""
    input:
        manifest="results/{dataset}/{split}/manifests/{side}.parquet",
        samples=folders("samples"),
        architecture=architecture_file,
        # an empty or too small role is found before training; their contents play no part in it
        roles=ancient(
            expand(
                "results/{{dataset}}/{{split}}/manifests/{role}.parquet", role=ROLES
            )
        ),
    output:
        checkpoints=directory(
            "results/{dataset}/{split}/models/{model}/{side}/checkpoints"
        ),
        metrics="results/{dataset}/{split}/models/{model}/{side}/training.parquet",
    log:
        "logs/{dataset}/{split}/train/{model}.{side}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/train/{model}.{side}.tsv"
    wildcard_constraints:
        model=any_of(TRAINED),
    conda:
        CONDA
    threads: lambda w: CONFIG["models"][w.model]["torch_threads"]
    resources:
        mem_mb=4000,
        runtime=720,
        gpu=GPUS,
    params:
        code=code("train.py"),
        recipe=lambda w: as_json(CONFIG["models"][w.model]),
        device=CONFIG["device"],
    script:
        "../scripts/train.py"
