"""``dejavu run``, ``check`` and ``report``: snakemake with the Snakefile of this package."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dejavu.config import load_config
from dejavu.costs.planning import SCHEMA, read_config
from dejavu.errors import InputError
from dejavu.plan.summaries import new_summaries
from dejavu.project import BASE

DEFAULT = Path("config/config.yaml")
PAGE = Path("results/check.html")


def run(config: Path | None, cores: str | None, more: Sequence[str]) -> int:
    """Run the workflow in the working directory, and return snakemake's exit status.

    Args:
        config: the configuration; None takes the one that is in the working directory.
        cores: number of cores, or ``all``; None takes that of the profile.
        more: arguments of snakemake.

    Raises:
        InputError: when there is no configuration, or the number of cores is none.
    """
    return _snakemake([*_options(config, cores, more), *more])


def check(config: Path | None, cores: str | None, more: Sequence[str]) -> int:
    """Run the check of all that a configuration names; see :func:`run`."""
    options = _options(config, cores, more)
    PAGE.unlink(missing_ok=True)
    return _snakemake(["--quiet", "rules", "host", "progress", "reason", *options, *more, "--", "check"])


def report(config: Path | None, cores: str | None, more: Sequence[str]) -> int:
    """Run what is missing, then show the results of every split and study, and where the pages are; see :func:`run`."""
    options, started = _options(config, cores, more), time.time()
    status = _snakemake([*options, *more])
    if status == 0:
        whole = load_config(read_config(config or DEFAULT), SCHEMA, BASE)
        # snakemake has shown what it made
        shown = set(new_summaries(whole, since=started))
        for summary in new_summaries(whole, since=0):
            if summary not in shown:
                print(summary)
    return status


def _options(config: Path | None, cores: str | None, more: Sequence[str]) -> list[str]:
    """Return snakemake's arguments for a configuration and a number of cores."""
    if config is not None and not config.is_file():
        raise InputError(f"there is no configuration {config}: correct --config.")
    if config is None and not DEFAULT.is_file() and not any(part.startswith("--config") for part in more):
        raise InputError(
            f"there is no {DEFAULT} in {Path.cwd()}: write one with `dejavu init`, change into a folder that has one, "
            "or name a configuration with --config."
        )
    if cores is not None and cores != "all" and not (cores.isdecimal() and int(cores)):
        raise InputError(f"--cores is {cores!r}, but it must be a whole number of at least 1, or all.")
    return [
        # snakemake takes every word up to the next option for one more configuration
        *(["--configfile", str(config)] if config is not None else []),
        *("--snakefile", str(BASE / "Snakefile")),
        *(["--cores", cores] if cores is not None else []),
    ]


def _snakemake(arguments: list[str]) -> int:
    """Run snakemake in this process, and return its exit status."""
    try:
        from snakemake.cli import main
    except ImportError as error:
        raise InputError(
            f"snakemake cannot be imported here ({error}): install this package with its dependencies, as in "
            "`pip install vlm-dejavu`."
        ) from None
    # Snakemake and the workflow's messages look at the command line.
    sys.argv = ["snakemake", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
