# Needs:  manifests of a split, and scores and attacks of all its replicates
# Makes:  results/<dataset>/<split>/manifests/{a,b}.parquet of further replicates
#         results/<dataset>/<split>/replicates/<model>/<seen>/<table>.parquet, the tables of REPLICATE_TABLES
#
# A further replicate is a split of its own that is trained, embedded and scored as every split is.

from dejavu.paths import MANIFEST, REPLICATES_TABLE, at
from dejavu.tables.replicates import REPLICATE_TABLES


# the training sets of a further replicate are dealt from those of its split
ruleorder: replicate_manifest > manifest


rule replicate_manifest:
    """Deals the samples of roles a and b anew, by the coins of a further replicate."""
    input:
        pool=lambda w: [
            at(MANIFEST, dataset=w.dataset, split=replicate(w)["of"], role=role)
            for role in SIDES
        ],
    output:
        MANIFEST,
    log:
        "logs/{dataset}/{split}/manifest/{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/manifest/{role}.tsv"
    wildcard_constraints:
        split=any_of(REPLICATES),
        role="|".join(SIDES),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=1000),
        runtime=growing(30, per_gb=30),
    params:
        code=code("replicate_manifest.py"),
        seed=lambda w: split_of(w)["seed"],
        number=lambda w: replicate(w)["number"],
    script:
        "../scripts/replicate_manifest.py"


rule replicates:
    """Says what a recipe does over trainings, and which samples are remembered, from all replicates of a model."""
    input:
        unpack(replicate_files),
        holdout=at(MANIFEST, role="holdout"),
    output:
        **{table: at(REPLICATES_TABLE, table=table) for table in REPLICATE_TABLES},
    log:
        "logs/{dataset}/{split}/replicates/{model}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/replicates/{model}.{seen}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(2000, per_gb=6000),
        runtime=growing(30, per_gb=240),
    params:
        code=code("replicates.py"),
        drawings=drawings,
        measure=measure_part("bootstrap", "seed", "discovery_rate"),
        cell=as_json({key: CONFIG["report"][key] for key in ["k", "labels"]}),
    script:
        "../scripts/replicates.py"
