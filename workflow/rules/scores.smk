# Needs:  neighbours of both sides, objects, embeddings of all query roles
# Makes:  results/<dataset>/<split>/scores/<model>/<seen>/<population>.parquet
#         results/<dataset>/<split>/populations/<model>/<seen>/<table>.parquet, the tables of POPULATION_TABLES
#         results/<dataset>/<split>/attacks/<model>/<side>/<seen>/<table>.parquet, the tables of ATTACK_TABLES

from dejavu.paths import ATTACKS, MANIFEST, POPULATION_TABLE, SCORES, at
from dejavu.tables.membership import ATTACK_TABLES


rule score:
    """Scores a population under both sides: every query, k, label count and scope."""
    input:
        neighbors_a=query_neighbors("a"),
        neighbors_b=query_neighbors("b"),
        queries=asked_manifest("population"),
        public=at(MANIFEST, role="public"),
        samples=folders("samples", "population"),
        objects=folders("objects", "population", "public"),
    output:
        SCORES,
    log:
        "logs/{dataset}/{split}/score/{model}.{seen}.{population}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/score/{model}.{seen}.{population}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1500, per_gb=30_000, of=["queries"]),
        runtime=growing(30, per_gb=120, of=["queries", "public"]),
    params:
        code=code("score.py"),
        measure=measure_part(
            "k", "labels", "score_threshold", "synonyms", "caption_words"
        ),
        queries=ASKED,
        random_seed=lambda w: (
            CONFIG["measure"]["seed"] if w.population == "holdout" else None
        ),
    script:
        "../scripts/score.py"


rule population:
    """Makes gaps with intervals, top-L gaps and recall curves of one model."""
    input:
        **{
            f"scores_{population}": at(SCORES, population=population)
            for population in POPULATIONS
        },
        **{
            f"manifest_{population}": asked_manifest(population)
            for population in POPULATIONS
        },
        duplicates=query_duplicates,
    output:
        **{table: at(POPULATION_TABLE, table=table) for table in POPULATION_TABLES},
    log:
        "logs/{dataset}/{split}/population/{model}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/population/{model}.{seen}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(2000, per_gb=200),
        runtime=growing(30, per_gb=60),
    params:
        code=code("population.py"),
        one_model=lambda w: w.model in TEXT,
        drawings=drawings,
        measure=measure_part("samplings", "bootstrap", "top_l", "seed"),
    script:
        "../scripts/population.py"


rule attacks:
    """Runs the other attacks on one side, and sets them beside the déjà vu gap."""
    input:
        unpack(attacked_embeddings),
        **{
            f"manifest_{population}": asked_manifest(population)
            for population in POPULATIONS
        },
        **{
            f"scores_{population}": at(SCORES, population=population)
            for population in POPULATIONS
        },
        duplicates=query_duplicates,
    output:
        **{table: at(ATTACKS, table=table) for table in ATTACK_TABLES},
    log:
        "logs/{dataset}/{split}/attacks/{model}.{side}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/attacks/{model}.{side}.{seen}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(2000, per_gb=200),
        runtime=growing(30, per_gb=60),
    params:
        code=code("attacks.py"),
        measure=measure_part("bootstrap", "seed"),
        drawings=drawings,
        cell=as_json({key: CONFIG["report"][key] for key in ["k", "labels"]}),
    script:
        "../scripts/attacks.py"
