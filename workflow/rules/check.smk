# Needs:  the files and models that the configuration names
# Makes:  results/check.html. The page is no output of the rule, because a failed check must leave it as well, and every
#         call of `make check` must run the check.


rule check:
    """Check all files and models that the configuration names, before any long job."""
    log:
        "logs/check.log",
    localrule: True
    conda:
        CONDA
    threads: 8
    params:
        page="results/check.html",
        config_files=", ".join(map(str, workflow.configfiles)),
    script:
        "../scripts/check.py"
