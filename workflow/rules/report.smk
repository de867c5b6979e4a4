# Needs:  every table of a split
# Makes:  results/<dataset>/<split>/memorization.duckdb, and memorization.parquet with the tables too large for it
#         figures/*.svg, report/index.html, summary.txt, result_table.tsv

from dejavu.paths import (
    ATTACKS,
    DATABASE,
    DISJOINT,
    DUPLICATES,
    EMBEDDING,
    GROUPS,
    INVENTORY,
    LARGE_TABLES,
    NEIGHBORS,
    POPULATION_TABLE,
    REPORT,
    SCORES,
    SPLIT,
    SUMMARY,
    UTILITY,
    at,
)
from dejavu.report.captions import captions
from dejavu.tables.membership import ATTACK_TABLES

# every figure that has a caption, in the order of the report
FIGURES = list(captions(BASE / "workflow" / "report" / "figures"))

# of every file in the report of Snakemake
LABELS = {"dataset": "{dataset}", "split": "{split}"}

# the tables of the database that grow with queries times everything else
DATABASE_OF = ["neighbors", "other_neighbors", "scores", "populations"]


rule database:
    """Gathers everything in one DuckDB file, and in Parquet beside it the tables that are too large for it."""
    input:
        samples=folders("samples"),
        quarantine=folders("quarantine"),
        objects=folders("objects"),
        fingerprints=folders("fingerprints"),
        groups=lambda w: [at(GROUPS, dataset=one.name) for one in split_datasets(w)],
        duplicates=lambda w: [
            at(DUPLICATES, dataset=one.name) for one in split_datasets(w)
        ],
        inventory=lambda w: [
            at(INVENTORY, dataset=one.name) for one in split_datasets(w)
        ],
        manifests=manifest_files,
        training_sets=joined_training_sets,
        asked=asked_manifests,
        disjoint=DISJOINT,
        training=training_tables,
        checkpoints=described_checkpoints,
        rows=per_side(
            at(EMBEDDING, kind="rows"),
            role=ROLES,
        ),
        neighbors=per_model(
            NEIGHBORS,
            side=SIDES,
            population=POPULATIONS,
        ),
        other_neighbors=other_neighbors,
        scores=per_model(
            SCORES,
            population=POPULATIONS,
        ),
        populations=per_model(
            POPULATION_TABLE,
            table=POPULATION_TABLES,
        ),
        utility=per_weights(
            UTILITY,
            table=["utility", "utility_draws"],
        ),
        attacks=per_side(
            ATTACKS,
            table=ATTACK_TABLES,
        ),
        replicates=replicate_tables,
        benchmarks=split_benchmarks,
    output:
        database=DATABASE,
        beside=directory(LARGE_TABLES),
    log:
        "logs/{dataset}/{split}/database.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/database.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(4000, per_gb=2000, of=DATABASE_OF),
        runtime=growing(30, per_gb=60, of=DATABASE_OF),
    params:
        code=code("database.py"),
        batches=lambda w: as_json(
            {one.name: list(one.batches) for one in split_datasets(w)}
        ),
        # the whole configuration becomes a table of the database, which the script takes from snakemake.config
        config=as_json(CONFIG | {"models": MODELS | RECIPES}),
    script:
        "../scripts/database.py"


rule figures:
    """Draws the figures from the database."""
    input:
        database=DATABASE,
        beside=LARGE_TABLES,
    output:
        **{
            name: report(
                f"{SPLIT}/figures/{name}.svg",
                caption=f"../report/figures/{name}.rst",
                category="Figures",
                labels=LABELS | {"figure": name.replace("_", " ")},
            )
            for name in FIGURES
        },
    log:
        "logs/{dataset}/{split}/figures.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/figures.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=500),
        runtime=growing(30, per_gb=10),
    params:
        code=code("figures.py"),
    script:
        "../scripts/figures.py"


rule report:
    """Builds the static site, the result table and the summary that the terminal shows."""
    input:
        database=DATABASE,
        beside=LARGE_TABLES,
        figures=[f"{SPLIT}/figures/{name}.svg" for name in FIGURES],
        samples=folders("samples"),
        # their boxes
        objects=folders("objects"),
    output:
        site=report(
            directory(REPORT),
            htmlindex="index.html",
            caption="../report/site.rst",
            category="Memorization report",
            labels=LABELS,
        ),
        table=report(
            f"{SPLIT}/result_table.tsv",
            caption="../report/result_table.rst",
            category="Tables",
            labels=LABELS,
        ),
        summary=report(
            SUMMARY,
            caption="../report/summary.rst",
            category="Tables",
            labels=LABELS,
        ),
    log:
        "logs/{dataset}/{split}/report.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/report.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=500, of=["database"]),
        runtime=growing(30, per_gb=10, of=["database"]),
    params:
        code=code("report.py"),
    script:
        "../scripts/report.py"
