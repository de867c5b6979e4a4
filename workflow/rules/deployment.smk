# Needs:  nothing
# Makes:  BASE, the project's folder. Rules and jobs import the library `dejavu` from it, wherever the workflow runs: in
#         the clone, with --directory, as a module of another workflow, or from an installed package.

import sys
from importlib.util import find_spec
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# Where another workflow imports this one as a module, workflow.basedir would be the folder of the other workflow.
BASE = Path(str(workflow.current_basedir)).parents[1]
# An installed package has the workflow's files in a folder of the library, and its Python finds the library by itself.
INSTALLED = BASE.name == "workflow_files" and (BASE.parent / "project.py").is_file()
SOURCES = BASE.parents[1] if INSTALLED else BASE / "src"
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
if not INSTALLED:
    sys.path.insert(0, str(SOURCES))
else:
    found = find_spec("dejavu")
    if found is None or Path(found.origin).resolve().parent != BASE.parent.resolve():
        raise WorkflowError(
            f"The workflow is that of the package in {BASE.parent}, but this Python "
            f"{'has no dejavu' if found is None else f'finds dejavu in {found.origin}'}: run it with the Python that the "
            "package is installed in, and without PYTHONPATH."
        )
    deployment = workflow.deployment_settings
    if deployment and DeploymentMethod.CONDA in deployment.deployment_method:
        raise WorkflowError(
            "Jobs in conda environments cannot import the installed package: leave out --sdm conda, or run the workflow "
            "from a clone of the repository."
        )

from dejavu.plan.jobs import tell_jobs

tell_jobs(None if INSTALLED else SOURCES, on_cluster=workflow.remote_exec)
