# Needs:  embeddings of the holdout; for benchmarks also the checkpoints and the benchmarks' files
# Makes:  results/<dataset>/evaluation/{train,test,compositional}.parquet, drawn from the world of a synthetic dataset
#         results/<dataset>/<split>/{utility,utility_draws}/<model>/<side>/<seen>.parquet

from dejavu.data.benchmarks import TASKS, drawn_folder, find_benchmarks
from dejavu.paths import EMBEDDING, UTILITY, at

try:
    BENCHMARKS = find_benchmarks(CONFIG["utility"])
except InputError as error:
    raise WorkflowError(str(error)) from None

# Synthetic datasets. Their world, the generator of scenes, also draws evaluation images.
DRAWN = [name for name, dataset in DATASETS.items() if dataset.form.world is not None]


rule evaluation_data:
    """Draw evaluation images from the world of a synthetic dataset; none of them is in the dataset."""
    output:
        train=f"{drawn_folder('{dataset}')}/train.parquet",
        test=f"{drawn_folder('{dataset}')}/test.parquet",
        compositional=f"{drawn_folder('{dataset}')}/compositional.parquet",
    log:
        "logs/{dataset}/evaluation_data.log",
    benchmark:
        "results/{dataset}/benchmarks/evaluation_data.tsv"
    wildcard_constraints:
        dataset=any_of(DRAWN),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        code=code("evaluation_data.py"),
        seed=lambda w: DATASETS[w.dataset].form.world,
        drawn=as_json(CONFIG["utility"]["drawn"]),
    script:
        "../scripts/evaluation_data.py"


rule utility:
    """Measure retrieval on the holdout, which no model has seen, and run the benchmarks."""
    input:
        images=at(EMBEDDING, role="holdout", kind="images"),
        captions=at(EMBEDDING, role="holdout", kind="captions"),
        rows=at(EMBEDDING, role="holdout", kind="rows"),
        manifest=asked_manifest("holdout"),
        weights=weights,
        architecture=architecture_file,
        benchmarks=[file for benchmark in BENCHMARKS for file in benchmark.inputs],
        results=clip_benchmark_results,
    output:
        utility=at(UTILITY, table="utility"),
        draws=at(UTILITY, table="utility_draws"),
    log:
        "logs/{dataset}/{split}/utility/{model}.{side}.{seen}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/utility/{model}.{side}.{seen}.tsv"
    conda:
        CONDA
    threads: lambda w: built_from(w)["torch_threads"]
    resources:
        mem_mb=growing(4000, per_gb=1000, of=["images", "captions"]),
        runtime=growing(60, per_gb=240, of=["images", "captions"]),
        gpu=GPUS if BENCHMARKS else 0,
    params:
        **ENCODER,
        code=code("utility.py"),
        benchmarks=as_json({task: CONFIG["utility"][task] for task in TASKS}),
        torch_threads=lambda w: built_from(w)["torch_threads"],
        batch_size=CONFIG["measure"]["embed_batch_size"],
        bootstrap=CONFIG["measure"]["bootstrap"],
        seed=CONFIG["measure"]["seed"],
        device=CONFIG["device"],
    script:
        "../scripts/utility.py"
