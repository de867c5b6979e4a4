# Needs:  the databases of the splits that a study's points are measured in
# Makes:  results/<dataset>/studies/<study>/{along,tradeoff}.svg, {points,utility}.tsv, summary.txt, report/index.html

from dejavu.paths import LARGE_TABLES, STUDY, at

STUDY_LABELS = {"dataset": "{dataset}", "study": "{study}"}


rule study:
    """Make the figures, tables and report of a study: gap, control and utility along an axis."""
    input:
        databases=lambda w: list(study_databases(w).values()),
        beside=lambda w: [
            at(LARGE_TABLES, dataset=w.dataset, split=split)
            for split in study_databases(w)
        ],
    output:
        along=report(
            f"{STUDY}/along.svg",
            caption="../report/studies/along.rst",
            category="Studies",
            labels=STUDY_LABELS | {"figure": "along the axis"},
        ),
        tradeoff=report(
            f"{STUDY}/tradeoff.svg",
            caption="../report/studies/tradeoff.rst",
            category="Studies",
            labels=STUDY_LABELS | {"figure": "gap against utility"},
        ),
        points=f"{STUDY}/points.tsv",
        utility=f"{STUDY}/utility.tsv",
        summary=report(
            f"{STUDY}/summary.txt",
            caption="../report/summary.rst",
            category="Studies",
            labels=STUDY_LABELS | {"figure": "summary"},
        ),
        site=report(
            directory(f"{STUDY}/report"),
            htmlindex="index.html",
            caption="../report/study_site.rst",
            category="Studies",
            labels=STUDY_LABELS | {"figure": "all pages"},
        ),
    log:
        "logs/{dataset}/studies/{study}.log",
    benchmark:
        "results/{dataset}/benchmarks/studies/{study}.tsv"
    wildcard_constraints:
        study=any_of(CONFIG["studies"]),
    conda:
        CONDA
    resources:
        # each database takes its part, since all are open at once
        mem_mb=lambda w, input, attempt: growing(
            900 + 100 * len(study_databases(w)), per_gb=500
        )(w, input, attempt),
        runtime=growing(30, per_gb=10),
    params:
        code=code("study.py"),
        splits=lambda w: list(study_databases(w)),
        studies=as_json(CONFIG["studies"]),
    script:
        "../scripts/study.py"
