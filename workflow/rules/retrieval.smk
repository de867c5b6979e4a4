# Needs:  a checkpoint, the manifests, samples
# Makes:  results/<dataset>/<split>/embeddings/<model>/<side>/<seen>/<role>.{images,captions,rows}.npy
#         results/<dataset>/<split>/neighbors/<model>/<side>/<seen>/<population>.parquet


rule embed:
    """Embeds images and captions of one role; row i of either array is the sample that the row array names."""
    input:
        checkpoints="results/{dataset}/{split}/models/{model}/{side}/checkpoints",
        manifest="results/{dataset}/{split}/manifests/{role}.parquet",
        samples=folders("samples"),
        architecture=architecture_file,
    output:
        images="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.images.npy",
        captions="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.captions.npy",
        rows="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.rows.npy",
    log:
        "logs/{dataset}/{split}/embed/{model}.{side}.{seen}.{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/embed/{model}.{side}.{seen}.{role}.tsv"
    conda:
        CONDA
    threads: lambda w: CONFIG["models"][w.model]["torch_threads"]
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPUS,
    params:
        code=code("embed.py"),
        architecture=lambda w: CONFIG["models"][w.model]["architecture"],
        torch_threads=lambda w: CONFIG["models"][w.model]["torch_threads"],
        batch_size=CONFIG["measure"]["embed_batch_size"],
        device=CONFIG["device"],
    script:
        "../scripts/embed.py"


rule neighbors:
    """Finds the public images nearest to every caption of a population, exactly."""
    input:
        captions="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{population}.captions.npy",
        caption_rows="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{population}.rows.npy",
        images="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/public.images.npy",
        image_rows="results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/public.rows.npy",
    output:
        "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.parquet",
    log:
        "logs/{dataset}/{split}/neighbors/{model}.{side}.{seen}.{population}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/neighbors/{model}.{side}.{seen}.{population}.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=code("neighbors.py"),
        # more than are measured, so that another k is scored without searching again
        k=max(100, *CONFIG["measure"]["k"]),
    script:
        "../scripts/neighbors.py"
