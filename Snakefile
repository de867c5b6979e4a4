# vlm-dejavu: what does a vision-language model remember about single training images?
#
# Needs:  config/config.yaml, or another file given with --configfile, which then replaces it entirely
# Makes:  results/<dataset>/<split>/report, memorization.duckdb, figures and summary.txt for every split
#         results/<dataset>/studies/<study>/report, figures, tables and summary.txt for every study

import os

from snakemake.utils import min_version

min_version("9.25")


DEFAULT = "config/config.yaml"
if not os.path.isfile(DEFAULT):
    DEFAULT = f"{workflow.current_basedir}/{DEFAULT}"

# the default where nothing is given but single keys on the command line, never beside a configuration of the user's
if not set(config) - set(workflow.config_settings.config or {}):

    configfile: DEFAULT


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
include: "workflow/rules/check.smk"


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
