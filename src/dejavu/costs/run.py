"""The command behind ``make plan``: say what a configuration will cost, before anything of it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dejavu.arguments import Parser
from dejavu.costs.measure import measured_rates
from dejavu.costs.planning import plan_of, read_config
from dejavu.costs.predict import Machine, predict
from dejavu.costs.rates import Rates, read_rates
from dejavu.costs.tables import shown
from dejavu.costs.work import Planned
from dejavu.errors import InputError, closest
from dejavu.files import write_json

FOLDER = Path("results") / "plan"
# rates that come with this package: name -> file
GIVEN = {"h100": Path(__file__).with_name("h100.json")}


def main(arguments: Sequence[str] | None = None, prog: str = "make plan") -> int:
    """Print the table and write it as JSON; 1 after a sentence about what is wrong."""
    try:
        options = _parser(prog).parse_args(arguments)
        planned = plan_of(read_config(Path(options.config)), dict(map(pairs_of, options.pairs)))
        rates = rates_for(options, planned)
        prediction = predict(planned, rates, machine_of(options, planned))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(options.json, prediction.as_json())
    print(shown(prediction) + f"Written to {options.json}.")
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(prog=prog, description=__doc__)
    add_arguments(parser)
    parser.add_argument("--json", type=Path, default=FOLDER / "plan.json", help="file that the prediction goes to")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says whose cost is asked, and on what machine."""
    parser.add_argument("--config", default="config/config.yaml", help="the configuration")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores that jobs share")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs that jobs share, where device is cuda")
    parser.add_argument("--rates", help=f"file of rates, or one of {', '.join(GIVEN)}; left out: measure this machine")
    parser.add_argument("--measure", action="store_true", help="measure this machine again")
    parser.add_argument(
        "--pairs", action="append", default=[], metavar="DATASET=NUMBER", help="pairs of a dataset that is not here yet"
    )


def pairs_of(text: str) -> tuple[str, int]:
    """Return dataset and number of pairs of an argument ``--pairs``."""
    name, _, number = text.partition("=")
    digits = number.replace(",", "").replace("_", "")
    if not name or not digits.isdecimal() or not int(digits):
        raise InputError(f"--pairs is {text!r}, but it must be a dataset and its number of pairs, as laion=30000000.")
    return name, int(digits)


def machine_of(options: argparse.Namespace, planned: Planned) -> Machine:
    """Return the machine that the arguments name."""
    for name in ("cores", "gpus"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}, but jobs need at least one: raise it.")
    return Machine(options.cores, options.gpus if planned.config["device"] == "cuda" else 0)


def rates_for(options: argparse.Namespace, planned: Planned) -> Rates:
    """Return the rates that the arguments name, or those of this machine, measured if need be."""
    if options.rates is None:
        return measured_rates(planned, FOLDER, options.measure)
    path = GIVEN.get(options.rates, Path(options.rates))
    if options.rates not in GIVEN and not path.suffix:
        raise InputError(
            f"--rates names {options.rates!r}{closest(options.rates, GIVEN)}: name a file, or {' or '.join(GIVEN)}."
        )
    rates = read_rates(path)
    if rates.device != planned.config["device"]:
        raise InputError(
            f"the rates of {path} are of {rates.device}, but the configuration has device: {planned.config['device']}: "
            "take other rates, or change device."
        )
    return rates


if __name__ == "__main__":
    sys.exit(main())
