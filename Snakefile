# The file that `snakemake --cores all` finds. The workflow itself is in workflow/Snakefile.

# The statement `include:` would not make the rule `all` the default target; this call does.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
