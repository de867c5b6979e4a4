# vlm-dejavu, as people run it: `snakemake --cores all`. The workflow itself is in workflow/Snakefile.

# as `include:` does, but the rule `all` stays the target of a run that names none
workflow.include("workflow/Snakefile", overwrite_default_target=True)
