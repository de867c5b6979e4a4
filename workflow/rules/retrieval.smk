# Needs:  a checkpoint or a text encoder, the manifests, samples
# Makes:  results/<dataset>/<split>/embeddings/<model>/<side>/<seen>/<role>.{images,captions,rows}.npy
#         and checkpoint.json beside them for a checkpoint from elsewhere
#         results/<dataset>/<split>/queries/texts.parquet
#         and for every query but the caption <population>.<query>.npy beside the embeddings

from dejavu.paths import (
    CHECKPOINT_NOTES,
    EMBEDDING,
    MANIFEST,
    TEXTS,
    at,
)


# a text encoder has captions only
ruleorder: embed_captions > embed_searched_captions > embed


# parameters: which model a side is, for dejavu.encoders
ENCODER = {
    "source": lambda w: side(w).source,
    "architecture": lambda w: built_from(w)["architecture"],
    "preprocessing": lambda w: as_json(built_from(w).get("preprocessing")),
}
# left out at the default, so that results from before there was the key stand
PRECISION = {
    "precision": value
    for value in [CONFIG["measure"]["embed_precision"]]
    if value != "fp32"
}
# parameters: how a model with images embeds
EMBEDDING_PARAMETERS = {
    **ENCODER,
    **PRECISION,
    "torch_threads": lambda w: built_from(w)["torch_threads"],
    "batch_size": CONFIG["measure"]["embed_batch_size"],
    "device": CONFIG["device"],
}
# models whose embeddings of public captions some side searches; of the others nothing reads them
SEARCHED_CAPTIONS = {
    one.embedded[0]
    for one in (side_of(MODELS, name, letter) for name in MODELS for letter in SIDES)
    if one.has_images and one.search == "captions"
}


rule describe:
    """Notes how images are prepared for a checkpoint from elsewhere, and whether that is known."""
    input:
        weights=weights,
        architecture=architecture_file,
    output:
        CHECKPOINT_NOTES,
    log:
        "logs/{dataset}/{split}/describe/{model}.{side}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/describe/{model}.{side}.{seen}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(4000),
        runtime=20,
    params:
        **ENCODER,
        code=code("describe.py"),
    script:
        "../scripts/describe.py"


rule embed:
    """Embeds images and captions of one role; row i of either array is the sample that the row array names.

    Of the public role it embeds images alone, and the array of captions has no row.
    """
    input:
        weights=weights,
        manifest=asked_manifest("role"),
        samples=folders("samples", "role"),
        architecture=architecture_file,
    output:
        images=at(EMBEDDING, kind="images"),
        captions=at(EMBEDDING, kind="captions"),
        rows=at(EMBEDDING, kind="rows"),
    log:
        "logs/{dataset}/{split}/embed/{model}.{side}.{seen}.{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/embed/{model}.{side}.{seen}.{role}.tsv"
    conda:
        CONDA
    # those beyond PyTorch's decode images; their number changes no result
    threads: lambda w: built_from(w)["torch_threads"] + EMBED_WORKERS
    resources:
        mem_mb=growing(4000 + asks.WORKER_MB * EMBED_WORKERS),
        runtime=growing(20, per_gb=ROWS_PER_GB / EMBEDDED / 60, of=["manifest"]),
        gpu=GPUS,
    params:
        **EMBEDDING_PARAMETERS,
        code=code("embed.py"),
    script:
        "../scripts/embed.py"


# a rule of its own, since a parameter of embed would make every public array again that is there
use rule embed as embed_searched_captions with:
    wildcard_constraints:
        model=any_of(SEARCHED_CAPTIONS),
        role="public",
    params:
        **EMBEDDING_PARAMETERS,
        code=code("embed.py"),
        captions=True,


# a text encoder embeds no image
use rule embed as embed_captions with:
    input:
        manifest=asked_manifest("role"),
        samples=folders("samples", "role"),
    output:
        captions=at(EMBEDDING, kind="captions"),
        rows=at(EMBEDDING, kind="rows"),
    log:
        "logs/{dataset}/{split}/embed_captions/{model}.{side}.{seen}.{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/embed_captions/{model}.{side}.{seen}.{role}.tsv"
    wildcard_constraints:
        model=any_of(set(TEXT) - set(TFIDF)),
        side="b",
    threads: 1
    params:
        **PRECISION,
        code=code("embed.py", "embed_captions"),
        source=ENCODER["source"],
        batch_size=CONFIG["measure"]["embed_batch_size"],
        device=CONFIG["device"],


if QUERIES_OF_TEXT:

    rule query_texts:
        """Takes out of the captions of all query roles what models are asked with besides."""
        input:
            manifests=asked_manifests,
            samples=folders("samples", *POPULATIONS),
            objects=folders("objects", *POPULATIONS),
        output:
            TEXTS,
        log:
            "logs/{dataset}/{split}/query_texts.log",
        benchmark:
            "results/{dataset}/{split}/benchmarks/query_texts.tsv"
        conda:
            CONDA
        resources:
            mem_mb=growing(1500, per_gb=10_000, of=["manifests"]),
            runtime=growing(30, per_gb=300, of=["manifests"]),
        params:
            code=code("query_texts.py"),
            measure=measure_part("score_threshold", "synonyms", "caption_words"),
        script:
            "../scripts/query_texts.py"


if OTHER_QUERIES:

    rule embed_queries:
        """Embeds what a model is asked with besides captions, of all query roles."""
        input:
            **{f"manifest_{role}": asked_manifest(role) for role in POPULATIONS},
            weights=weights,
            samples=folders("samples", *POPULATIONS),
            texts=(TEXTS if QUERIES_OF_TEXT else []),
            architecture=architecture_file,
        output:
            **{
                f"{role}_{query}": at(EMBEDDING, role=role, kind=query)
                for role in POPULATIONS
                for query in OTHER_QUERIES
            },
        log:
            "logs/{dataset}/{split}/embed_queries/{model}.{side}.{seen}.log",
        benchmark:
            "results/{dataset}/{split}/benchmarks/embed_queries/{model}.{side}.{seen}.tsv"
        conda:
            CONDA
        threads: lambda w: built_from(w)["torch_threads"]
        resources:
            mem_mb=growing(4000, per_gb=10_000, of=["texts"]),
            # of the manifests: masked captions have no texts of their own
            runtime=growing(
                20,
                per_gb=ROWS_PER_GB * OTHER_TEXTS / TEXTS_PER_SAMPLE / EMBEDDED / 60,
                of=[f"manifest_{role}" for role in POPULATIONS],
            ),
            gpu=GPUS,
        params:
            **EMBEDDING_PARAMETERS,
            code=code("embed_queries.py"),
            queries=OTHER_QUERIES,
            masking=masking,
        script:
            "../scripts/embed_queries.py"
