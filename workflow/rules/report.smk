# Needs:  every table of a split
# Makes:  results/<dataset>/<split>/memorization.duckdb, figures/*.svg, report/index.html, summary.txt, result_table.tsv

FIGURES = ["gaps", "recall_curves", "tradeoff", "training"]


def split_benchmarks(wildcards):
    """Benchmark files of everything that a split is made of: what each stage cost."""
    dataset = DATASETS[wildcards.dataset]
    whole = f"results/{wildcards.dataset}/benchmarks"
    own = f"results/{wildcards.dataset}/{wildcards.split}/benchmarks"
    files = [f"{whole}/inventory.tsv", f"{whole}/duplicates.tsv"]
    files += expand(
        whole + "/{stage}/{batch}.tsv",
        stage=["ingest", "annotate", "fingerprint"],
        batch=dataset.batches,
    )
    if "synthetic" in dataset.section:
        files += expand(
            whole + "/synthesize/{index:05d}.tsv", index=range(len(dataset.paths))
        )
    files += expand(own + "/manifest/{role}.tsv", role=ROLES)
    for model, seen in final_checkpoints():
        at = dict(model=model, seen=seen, side=SIDES)
        files += expand(own + "/train/{model}.{side}.tsv", **at)
        files += expand(own + "/embed/{model}.{side}.{seen}.{role}.tsv", **at, role=ROLES)
        files += expand(
            own + "/neighbors/{model}.{side}.{seen}.{population}.tsv",
            **at,
            population=POPULATIONS,
        )
        files += expand(
            own + "/{stage}/{model}.{side}.{seen}.tsv",
            **at,
            stage=["utility", "attacks"],
        )
        files += expand(
            own + "/score/{model}.{seen}.{population}.tsv",
            **at,
            population=POPULATIONS,
        )
        files += expand(own + "/population/{model}.{seen}.tsv", **at)
    return files


rule database:
    """Gathers everything in one DuckDB file."""
    input:
        samples=folders("samples"),
        quarantine=folders("quarantine"),
        objects=folders("objects"),
        fingerprints=folders("fingerprints"),
        groups="results/{dataset}/groups.parquet",
        inventory="results/{dataset}/inventory.json",
        manifests=expand(
            "results/{{dataset}}/{{split}}/manifests/{role}.parquet", role=ROLES
        ),
        training=per_model(
            "results/{dataset}/{split}/models/{model}/{side}/training.parquet",
            side=SIDES,
        ),
        rows=per_model(
            "results/{dataset}/{split}/embeddings/{model}/{side}/{seen}/{role}.rows.npy",
            side=SIDES,
            role=ROLES,
        ),
        neighbors=per_model(
            "results/{dataset}/{split}/neighbors/{model}/{side}/{seen}/{population}.parquet",
            side=SIDES,
            population=POPULATIONS,
        ),
        scores=per_model(
            "results/{dataset}/{split}/scores/{model}/{seen}/{population}.parquet",
            population=POPULATIONS,
        ),
        populations=per_model(
            "results/{dataset}/{split}/populations/{model}/{seen}/{table}.parquet",
            table=["population_gaps", "top_l", "recall_curves"],
        ),
        utility=per_model(
            "results/{dataset}/{split}/utility/{model}/{side}/{seen}.parquet",
            side=SIDES,
        ),
        attacks=per_model(
            "results/{dataset}/{split}/attacks/{model}/{side}/{seen}.parquet",
            side=SIDES,
        ),
        benchmarks=split_benchmarks,
    output:
        "results/{dataset}/{split}/memorization.duckdb",
    params:
        code=code("database.py"),
        batches=lambda w: as_json(list(DATASETS[w.dataset].batches)),
        checkpoints=as_json(final_checkpoints()),
        # the whole configuration: it becomes a table of the database
        config=as_json(CONFIG),
    log:
        "logs/{dataset}/{split}/database.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/database.tsv"
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        CONDA
    script:
        "../scripts/database.py"


rule figures:
    """Draws the figures from the database."""
    input:
        "results/{dataset}/{split}/memorization.duckdb",
    output:
        **{
            name: report(
                "results/{dataset}/{split}/figures/" + f"{name}.svg",
                caption=f"../report/{name}.rst",
                category="Figures",
                labels={"split": "{split}", "figure": name.replace("_", " ")},
            )
            for name in FIGURES
        },
    params:
        code=code("figures.py", "workflow/sql"),
    log:
        "logs/{dataset}/{split}/figures.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/figures.tsv"
    resources:
        mem_mb=1000,
        runtime=30,
    conda:
        CONDA
    script:
        "../scripts/figures.py"


rule report:
    """Builds the static site, the result table and the summary that the terminal shows."""
    input:
        database="results/{dataset}/{split}/memorization.duckdb",
        figures=expand(
            "results/{{dataset}}/{{split}}/figures/{name}.svg", name=FIGURES
        ),
        samples=folders("samples"),
    output:
        site=report(
            directory("results/{dataset}/{split}/report"),
            htmlindex="index.html",
            caption="../report/site.rst",
            category="Memorization report",
            labels={"split": "{split}"},
        ),
        table=report(
            "results/{dataset}/{split}/result_table.tsv",
            caption="../report/result_table.rst",
            category="Tables",
            labels={"split": "{split}"},
        ),
        summary="results/{dataset}/{split}/summary.txt",
    params:
        code=code("report.py", "workflow/sql", "workflow/report/site"),
    log:
        "logs/{dataset}/{split}/report.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/report.tsv"
    resources:
        mem_mb=1000,
        runtime=30,
    conda:
        CONDA
    script:
        "../scripts/report.py"
