# Needs:  embeddings of the queries and of the public samples, or samples for TF-IDF
# Makes:  results/<dataset>/<split>/neighbors/<model>/<side>/<seen>/<population>.parquet, of the captions
#         and <population>.<query>.parquet beside it, of the other queries

from dejavu.paths import MANIFEST, NEIGHBORS, QUERY_NEIGHBORS, at


# TF-IDF searches texts, so it needs no embeddings.
ruleorder: tfidf_neighbors > neighbors


if OTHER_QUERIES:

    rule query_neighbors:
        """Finds the public images nearest to all queries but captions, of all query roles."""
        input:
            unpack(query_embeddings),
        output:
            **{
                f"{role}_{query}": at(QUERY_NEIGHBORS, population=role, query=query)
                for role in POPULATIONS
                for query in OTHER_QUERIES
            },
        log:
            "logs/{dataset}/{split}/query_neighbors/{model}.{side}.{seen}.log",
        benchmark:
            "results/{dataset}/{split}/benchmarks/query_neighbors/{model}.{side}.{seen}.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=growing(6000 if GPUS else 2000),
            runtime=search_minutes(
                *(f"{role}_rows" for role in POPULATIONS), times=len(OTHER_QUERIES)
            ),
            gpu=GPUS,
            engine=CONFIG["measure"]["search"],
        params:
            code=code("query_neighbors.py"),
            queries=OTHER_QUERIES,
            k=KEPT_NEIGHBORS,
            device=CONFIG["device"],
        script:
            "../scripts/query_neighbors.py"


rule neighbors:
    """Finds the public images, or captions, nearest to every caption of a population, exactly."""
    input:
        captions=lambda w: embedding(w, w.side, w.population, "captions"),
        caption_rows=lambda w: embedding(w, w.side, w.population, "rows"),
        public=lambda w: embedding(w, w.side, "public", side(w).search),
        public_rows=lambda w: embedding(w, w.side, "public", "rows"),
    output:
        NEIGHBORS,
    log:
        "logs/{dataset}/{split}/neighbors/{model}.{side}.{seen}.{population}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/neighbors/{model}.{side}.{seen}.{population}.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        # PyTorch and CUDA take some
        mem_mb=growing(6000 if GPUS else 2000),
        runtime=search_minutes("caption_rows"),
        gpu=GPUS,
        # no parameter, since all engines find the same
        engine=CONFIG["measure"]["search"],
    params:
        code=code("neighbors.py"),
        k=KEPT_NEIGHBORS,
        device=CONFIG["device"],
    script:
        "../scripts/neighbors.py"


rule tfidf_neighbors:
    """Finds the public captions nearest to every caption of a population by TF-IDF, which knows no image."""
    input:
        queries=asked_manifest("population"),
        public=at(MANIFEST, role="public"),
        samples=folders("samples", "population", "public"),
    output:
        NEIGHBORS,
    log:
        "logs/{dataset}/{split}/neighbors/{model}.{side}.{seen}.{population}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/neighbors/{model}.{side}.{seen}.{population}.tsv"
    wildcard_constraints:
        model=any_of(TFIDF),
        side="b",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000, per_gb=20_000, of=["queries", "public"]),
        runtime=growing(60, per_gb=600, of=["queries", "public"]),
    params:
        code=code("tfidf_neighbors.py"),
        k=KEPT_NEIGHBORS,
    script:
        "../scripts/tfidf_neighbors.py"
