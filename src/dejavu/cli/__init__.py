"""The command ``dejavu``: begin a folder, run the workflow in it, check, report, plan."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dejavu import __version__
from dejavu.arguments import Parser
from dejavu.cli.begin import CONFIGURATIONS, begin
from dejavu.errors import InputError, closest, refused_writing

ABOUT = "Measures what a vision-language model remembers about single training images."
AFTER = """\
The first time:  dejavu init audit && cd audit && dejavu run
`dejavu COMMAND --help` has the options of a command; snakemake's own follow after --, as in `dejavu run -- --forceall`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; 1 after a sentence that says what is wrong.

    Args:
        arguments: of the command line, without the name of the program; None takes those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and not given[0].startswith("-") and given[0] not in COMMANDS:
            raise InputError(
                f"dejavu has no command {given[0]!r}{closest(given[0], COMMANDS)}: it has {', '.join(COMMANDS)}."
            )
        if given and given[0] in COMMANDS:
            return COMMANDS[given[0]](given[1:])
        _parser().parse_args(given)
        _parser().print_help()
        return 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    listed = "\n".join(f"  {name:8} {_about(name)}" for name in COMMANDS)
    parser = Parser(
        prog="dejavu",
        usage="dejavu COMMAND ...",
        description=f"{ABOUT}\n\ncommands:\n{listed}",
        epilog=AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vlm-dejavu {__version__}")
    return parser


def _about(command: str) -> str:
    return str(COMMANDS[command].__doc__).partition(".")[0]


def _command(name: str, more: str = "") -> Parser:
    return Parser(prog=f"dejavu {name}", description=f"{_about(name)}. {more}")


def _init(given: Sequence[str]) -> int:
    """Write a folder with a configuration to run."""
    parser = _command("init", "Nothing that is there is overwritten.")
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="is made if missing (default: this folder)")
    which = parser.add_mutually_exclusive_group()
    named = "; ".join(f"{name}: {one.about}" for name, one in CONFIGURATIONS.items())
    which.add_argument("--config", default="tiny", metavar="NAME", help=f"which one (default: tiny). {named}")
    which.add_argument("--demo", action="store_const", const="demo", dest="config", help="short for --config demo")
    options = parser.parse_args(given)
    try:
        print(begin(options.folder, options.config))
    except OSError as error:
        raise refused_writing(error) or InputError(f"{options.folder} cannot be written ({error}).") from None
    return 0


def _workflow(name: str, given: Sequence[str]) -> int:
    """Read the options that run, check and report share, and call snakemake."""
    from dejavu.cli import workflow

    cut = list(given).index("--") if "--" in given else len(given)
    parser = _command(name, "What follows after -- is given to snakemake.")
    parser.hint = "; options of snakemake follow after --"
    parser.add_argument("--cores", metavar="N", help="cores that jobs share (default: those of the profile, all)")
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"the configuration (default: {workflow.DEFAULT})")
    if name == "run":
        parser.add_argument("-n", "--dry-run", action="store_true", help="only list what would run, and why")
    options = parser.parse_args(given[:cut])
    more = [*(["--dry-run"] if vars(options).get("dry_run") else []), *given[cut + 1 :]]
    return getattr(workflow, name)(options.config, options.cores, more)


def _run(given: Sequence[str]) -> int:
    """Run everything that is missing or out of date: snakemake with the workflow of this package."""
    return _workflow("run", given)


def _check(given: Sequence[str]) -> int:
    """Look into all data and models that the configuration names, before anything long."""
    return _workflow("check", given)


def _report(given: Sequence[str]) -> int:
    """Make what is missing of the reports, show the results, and say where the pages are."""
    return _workflow("report", given)


def _plan(given: Sequence[str]) -> int:
    """Say what a configuration will cost in time, memory and disk, before any of it runs."""
    from dejavu.costs.run import main

    return main(given, prog="dejavu plan")


def _upgrade(given: Sequence[str]) -> int:
    """Take finished results as those of this version of the code."""
    from dejavu.upgrade import main

    return main(list(given), prog="dejavu upgrade")


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "init": _init,
    "run": _run,
    "check": _check,
    "report": _report,
    "plan": _plan,
    "upgrade": _upgrade,
}
