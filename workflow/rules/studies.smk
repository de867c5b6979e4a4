# Needs:  the databases of the splits that a study's points are measured in
# Makes:  results/<dataset>/studies/<study>/{along,tradeoff}.svg, {points,utility}.tsv, summary.txt, report/index.html


rule study:
    """Shows gap, control and utility along one axis, and one against the other."""
    input:
        lambda w: list(study_databases(w).values()),
    output:
        along=report(
            "results/{dataset}/studies/{study}/along.svg",
            caption="../report/studies/along.rst",
            category="Studies",
            labels={"study": "{study}", "figure": "along the axis"},
        ),
        tradeoff=report(
            "results/{dataset}/studies/{study}/tradeoff.svg",
            caption="../report/studies/tradeoff.rst",
            category="Studies",
            labels={"study": "{study}", "figure": "gap against utility"},
        ),
        points="results/{dataset}/studies/{study}/points.tsv",
        utility="results/{dataset}/studies/{study}/utility.tsv",
        summary="results/{dataset}/studies/{study}/summary.txt",
        site=directory("results/{dataset}/studies/{study}/report"),
    log:
        "logs/{dataset}/studies/{study}.log",
    benchmark:
        "results/{dataset}/benchmarks/studies/{study}.tsv"
    wildcard_constraints:
        study=any_of(CONFIG["studies"]),
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=500),
        runtime=growing(30, per_gb=10),
    params:
        code=code("study.py"),
        splits=lambda w: list(study_databases(w)),
        studies=as_json(CONFIG["studies"]),
    script:
        "../scripts/study.py"
