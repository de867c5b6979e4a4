# Needs:  neighbours of both sides, objects, embeddings of the holdout and of both training roles
# Makes:  results/<dataset>/<split>/scores/<model>/<seen>/<population>.parquet
#         results/<dataset>/<split>/populations/<model>/<seen>/{population_gaps,top_l,recall_curves}.parquet
#         results/<dataset>/<split>/{utility,attacks}/<model>/<side>/<seen>.parquet


def measure_part(*keys):
    return as_json({key: CONFIG["measure"][key] for key in keys})


rule score:
    """Scores every query of a population under both sides: every k, label count and scope in one pass."""
    input:
        neighbors_a="results/{dataset}/{split}/neighbors/{model}/a/{seen}/{population}.parquet",
        neighbors_b="results/{dataset}/{split}/neighbors/{model}/b/{seen}/{population}.parquet",
        queries="results/{dataset}/{split}/manifests/{population}.parquet",
        public="results/{dataset}/{split}/manifests/public.parquet",
        samples=folders("samples"),
        objects=folders("objects"),
    output:
        "results/{dataset}/{split}/scores/{model}/{seen}/{population}.parquet",
    params:
        code=code("score.py"),
        measure=measure_part("k", "labels", "score_threshold", "synonyms"),
    log:
        "logs/{dataset}/{split}/score/{model}.{seen}.{population}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/score/{model}.{seen}.{population}.tsv"
    resources:
        mem_mb=2000,
        runtime=120,
    conda:
        CONDA
    script:
        "../scripts/score.py"


rule population:
    """Makes gaps with intervals, top-L gaps and recall curves of one model."""
    input:
        **{
            f"scores_{population}": "results/{dataset}/{split}/scores/{model}/{seen}/"
            + f"{population}.parquet"
            for population in POPULATIONS
        },
        **{
            f"manifest_{population}": "results/{dataset}/{split}/manifests/"
            + f"{population}.parquet"
            for population in POPULATIONS
        },
    output:
        population_gaps="results/{dataset}/{split}/populations/{model}/{seen}/population_gaps.parquet",
        top_l="results/{dataset}/{split}/populations/{model}/{seen}/top_l.parquet",
        recall_curves="results/{dataset}/{split}/populations/{model}/{seen}/recall_curves.parquet",
    params:
        code=code("population.py"),
        measure=measure_part("samplings", "bootstrap", "top_l", "seed"),
    log:
        "logs/{dataset}/{split}/population/{model}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/population/{model}.{seen}.tsv"
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        CONDA
    script:
        "../scripts/population.py"


rule utility:
    """Measures retrieval on the holdout, which no model has seen."""
    input:
        images="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/holdout.images.npy",
        captions="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/holdout.captions.npy",
    output:
        "results/{dataset}/{split}/utility/{model}/{side}/{seen}.parquet",
    params:
        code=code("utility.py"),
    log:
        "logs/{dataset}/{split}/utility/{model}.{side}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/utility/{model}.{side}.{seen}.tsv"
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        CONDA
    script:
        "../scripts/utility.py"


def other_side(wildcards, kind):
    other = "b" if wildcards.side == "a" else "a"
    return (
        f"results/{wildcards.dataset}/{wildcards.split}/embeddings/{wildcards.model}/"
        f"{wildcards.side}/{wildcards.seen}/{other}.{kind}.npy"
    )


rule attacks:
    """Runs the cosine attack on one side: its own training role against the other side's."""
    input:
        member_images="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{side}.images.npy",
        member_captions="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{side}.captions.npy",
        other_images=lambda w: other_side(w, "images"),
        other_captions=lambda w: other_side(w, "captions"),
    output:
        "results/{dataset}/{split}/attacks/{model}/{side}/{seen}.parquet",
    params:
        code=code("attacks.py"),
        measure=measure_part("bootstrap", "seed"),
    log:
        "logs/{dataset}/{split}/attacks/{model}.{side}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/attacks/{model}.{side}.{seen}.tsv"
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        CONDA
    script:
        "../scripts/attacks.py"
