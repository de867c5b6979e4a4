# vlm-dejavu: what does a vision-language model remember about single training images?
#
# Needs:  config/config.yaml, or another file given with --configfile, which then replaces it
# Makes:  results/<dataset>/<split>/report, memorization.duckdb, figures and summary.txt for every split
#         results/<dataset>/studies/<study>/report, figures, tables and summary.txt for every study

from snakemake.utils import min_version

min_version("9.25")


if "datasets" not in config:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/annotate.smk"
include: "workflow/rules/splits.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/retrieval.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/utility.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/studies.smk"


rule all:
    default_target: True
    input:
        everything,


onstart:
    require_triggers()
    cancel_leftovers()


onsuccess:
    print_summaries()


onerror:
    FAILURES.print()
