# Needs:  nothing
# Makes:  BASE, the project's folder. Rules and jobs import the library `dejavu` from it, wherever the workflow runs: in
#         the clone, with --directory, or as a module of another workflow.

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Where another workflow imports this one as a module, workflow.basedir would be the folder of the other workflow.
BASE = Path(str(workflow.current_basedir)).parents[1]
SOURCES = BASE / "src"
if not SOURCES.is_dir():
    raise WorkflowError(
        f"The workflow was imported from {workflow.current_basedir.get_path_or_uri(secret_free=True)}, but Snakemake "
        "fetches only its rules, and not the library in src/: clone the repository, and name the clone's "
        "workflow/Snakefile in the module."
    )
if workflow.modifier.path_modifier.replace_prefix("results/x") != "results/x":
    raise WorkflowError(
        "The workflow was imported with `prefix` or `replace_prefix`, but its files always lie in results/ of the working "
        "directory: remove that line, and give the importing workflow a working directory of its own (--directory)."
    )
sys.path.insert(0, str(SOURCES))

from dejavu.plan.jobs import tell_jobs

tell_jobs(SOURCES, on_cluster=workflow.remote_exec)
