# Needs:  the database of a split
# Makes:  results/<dataset>/<split>/share/, which may leave the house: no image, caption, uid, path or single sample

from dejavu.paths import DATABASE, LARGE_TABLES, SHARE, at


rule share_split:
    """Write database, report, figures and audit that may leave the house, from finished results."""
    input:
        database=DATABASE,
        beside=LARGE_TABLES,
    output:
        directory(SHARE),
    log:
        "logs/{dataset}/{split}/share.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/share.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(2000, per_gb=1000),
        runtime=growing(30, per_gb=20),
    params:
        code=code("share.py"),
    script:
        "../scripts/share.py"


rule share:
    """Write what may leave the house, of every split; asked for by name, since nobody shares by accident."""
    input:
        [
            at(SHARE, dataset=section["dataset"], split=split)
            for split, section in CONFIG["splits"].items()
            if split not in REPLICATES
        ],
    localrule: True
