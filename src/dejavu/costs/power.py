"""The command behind ``make power``: what would show a gap of a wanted size, by what a finished run has measured."""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dejavu.arguments import Parser
from dejavu.costs.memory import PROJECT
from dejavu.costs.planning import plan_of, read_config
from dejavu.costs.predict import predict
from dejavu.costs.run import add_arguments, machine_of, pairs_of, rates_for
from dejavu.costs.tables import aligned
from dejavu.errors import InputError, closest
from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.memorization.power import MOST_REPLICATES
from dejavu.paths import DATABASE, at
from dejavu.report.power import power
from dejavu.report.queries import Queries
from dejavu.report.summary import number

HEAD = ["model", "gap of", "here", "groups", "detected from", "wanted", "groups needed", "replicates needed"]
HEAD += ["by the upper limit", "further hours"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 after a sentence about what is wrong."""
    try:
        options = _parser().parse_args(arguments)
        given, pairs = read_config(Path(options.config)), dict(map(pairs_of, options.pairs))
        config = plan_of(given, pairs).config
        split = _split(config, options.split)
        database = Path(at(DATABASE, dataset=config["splits"][split]["dataset"], split=split))
        rows = _rows(database, _gaps(options.gap))
        hours, told = (None, "") if options.without_cost else _hours_of_a_pair(given, split, pairs, options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join([*aligned([HEAD, *(_cells(row, hours) for row in rows)]), "", *_explained(rows), told]).rstrip())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="make power", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--split", help="the split whose finished run is the pilot; may be left out where there is one")
    parser.add_argument("--gap", default="0.02", help="the wanted gap, or several, as 0.01,0.02")
    parser.add_argument("--without-cost", action="store_true", help="do not ask the cost model what replicates take")
    return parser


def _split(config: Mapping[str, Any], name: str | None) -> str:
    known = [split for split, section in config["splits"].items() if "replicate" not in section]
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        told = "is not given" if name is None else f"is {name!r}, which is no split{closest(name, known)}"
        raise InputError(f"--split {told}: take one of {', '.join(known)} (SPLIT=... with make).")
    return name


def _gaps(text: str) -> list[float]:
    try:
        gaps = [float(part) for part in text.split(",")]
    except ValueError:
        gaps = []
    if not gaps or not all(0 < gap <= 1 for gap in gaps):
        raise InputError(
            f"--gap is {text!r}, but gaps are numbers above 0 and up to 1, as 0.02 or 0.01,0.05: correct it."
        )
    return gaps


def _rows(database: Path, gaps: Sequence[float]) -> list[dict[str, Any]]:
    if not database.is_file():
        raise InputError(f"there is no {database}: run the workflow with this configuration first, as a pilot.")
    rows: list[dict[str, Any]] = power(Queries(database, PROJECT / "workflow" / "sql"), gaps)["power"]
    if not rows:
        raise InputError(
            f"{database} has no gap with a joint test, whose noise could be planned with: no two query roles could be "
            "compared."
        )
    return rows


def _hours_of_a_pair(
    given: Mapping[str, Any], split: str, pairs: Mapping[str, int], options: argparse.Namespace
) -> tuple[float | None, str]:
    """Return the hours of one further replicate, of GPUs where the configuration has one, and a sentence on them."""

    if split not in given["splits"]:
        return None, f"The cost of replicates is not asked for {split}, which a study makes of another split."

    def with_replicates(replicates: int) -> tuple[dict[str, float], str]:
        changed = copy.deepcopy(given)
        changed["splits"][split]["replicates"] = replicates
        planned = plan_of(changed, pairs)
        prediction = predict(planned, rates_for(options, planned), machine_of(options, planned))
        return {name: prediction.total(name) for name in ("core_hours", "gpu_hours")}, prediction.rates["machine"]

    try:
        (two, machine), (three, _) = with_replicates(2), with_replicates(3)
    except InputError as error:
        return None, f"The cost of replicates is not known: {error}"
    spent = {name: three[name] - two[name] for name in two}
    kind = "gpu_hours" if spent["gpu_hours"] else "core_hours"
    shown = ", ".join(f"{hours:.3g} {name.replace('_', ' ')}" for name, hours in spent.items() if hours)
    unit = "GPU" if kind == "gpu_hours" else "core"
    return spent[kind], (
        f"One further replicate of all models of {split} takes {shown} ({machine}). Further hours: {unit} hours of "
        "those replicates that the pilot does not have yet."
    )


def _cells(row: Mapping[str, Any], hours: float | None) -> list[str]:
    is_known = row["between"] is not None
    needed = [_replicates(row[name], is_known) for name in ("replicates_needed", "replicates_upper")]
    further = "–"
    if hours is not None and row["replicates_needed"] is not None:
        further = f"{hours * max(0, row['replicates_needed'] - row['pairs']):.3g}"
    return [
        row["model"],
        f"{METRIC_NAMES[row['metric']]}, {row['scope']}",
        number(row["value"]),
        f"{row['groups']:,}",
        f"{row['detectable']:.3f}",
        f"{row['gap']:g}",
        f"{row['groups_needed']:,}",
        *needed,
        further,
    ]


def _replicates(needed: int | None, is_known: bool) -> str:
    if not is_known:
        return "–"
    return f"> {MOST_REPLICATES:,}" if needed is None else f"{needed:,}"


def _explained(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "Groups needed: duplicate groups of a and b together, of like sizes, with which one pair of models shows the "
        "gap in 80 % of runs (joint test). That is noise of the queries alone."
    ]
    if all(row["between"] is None for row in rows):
        return [
            *lines,
            "Replicates needed: not known. One pair of models says nothing of the noise of training: set replicates: 2 "
            "or more for a split, and run it.",
        ]
    lines = [
        *lines,
        "Replicates needed: with the groups of this run, so many put the 95 % interval of the recipe above 0 in 80 % "
        "of studies; by the deviation between trainings that the pilot measured, and by its upper 80 % limit.",
    ]
    if any(row["between"] is not None and None in (row["replicates_needed"], row["replicates_upper"]) for row in rows):
        lines.append(
            f"Where it says > {MOST_REPLICATES:,}, the noise of the queries that replicates share is too large: ask "
            "more groups."
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
