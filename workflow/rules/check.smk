# Needs:  what the configuration names
# Makes:  results/check.html, which is no output: what is wrong is shown there too, and a check is made anew every time


rule check:
    """Looks into everything that the configuration names before anything long is run."""
    log:
        "logs/check.log",
    localrule: True
    conda:
        CONDA
    threads: 8
    params:
        page="results/check.html",
        given=", ".join(map(str, workflow.configfiles)),
    script:
        "../scripts/check.py"
