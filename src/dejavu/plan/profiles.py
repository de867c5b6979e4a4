"""What is said about a Snakemake profile that is not one of ours, or that was not found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dejavu.errors import InputError

# rerun trigger -> what a run does not see without it
NEEDED = {
    "mtime": "changed input files",
    "params": "changes of the configuration and of the code",
    "input": "files that were added to a job's input or removed from it",
}
REMEDY = (
    "Copy the line `rerun-triggers` of profiles/default/profile.yaml to your profile, or add --rerun-triggers mtime "
    "params input software-env."
)


def rerun_warnings(triggers: Iterable[str]) -> list[str]:
    """Return what follows from rerun triggers that differ from those of our profiles, a sentence each.

    Args:
        triggers: those that are on, as ``--rerun-triggers`` takes them.
    """
    triggers = set(triggers)
    off = [name for name in NEEDED if name not in triggers]
    warnings = []
    if off:
        unseen = ", nor ".join(NEEDED[name] for name in off)
        warnings.append(
            f"Rerun triggers are off: {', '.join(off)}. A run does not see {unseen}, and takes results that are out of "
            f"date for new ones. {REMEDY}"
        )
    if "code" in triggers:
        warnings.append(
            "The rerun trigger `code` is on, so jobs run again, trainings too, where a script is only newer than their "
            f"output, as after a git checkout; the parameter `code` shows changes of code without it. {REMEDY}"
        )
    return warnings


def require_profile(arguments: Sequence[str], snakefile: Path) -> None:
    """Refuse a workflow profile that is not there, which Snakemake passes over in silence.

    Args:
        arguments: of the command ``snakemake``.
        snakefile: that runs; profiles are looked for beside it as well.

    Raises:
        InputError: naming the profile.
    """
    name = _workflow_profile(arguments)
    if name is None or name == "none":
        return
    below = Path("profiles") / name
    if not any(place.exists() for place in (Path(name), below, snakefile.parent / below)):
        raise InputError(
            f"--workflow-profile {name}: the profile was not found, and Snakemake would run without it: correct its "
            "name, or give its whole path."
        )


def _workflow_profile(arguments: Sequence[str]) -> str | None:
    option = "--workflow-profile"
    name = None
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            name = arguments[place + 1]
        elif argument.startswith(f"{option}="):
            name = argument.removeprefix(f"{option}=")
    return name
