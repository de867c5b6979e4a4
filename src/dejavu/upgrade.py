"""``make upgrade``: list the steps whose code has changed, and accept their results as those of the present code.

Snakemake records, for every output, the code hash of the step that made it (:mod:`dejavu.code_hash`). If the step has
another hash today, the next run makes the output again. A user may know, from the changelog or from having made the
change, that the new code computes the same. Then this command writes today's hash into the records. It changes nothing
else in a record, so an edit of the configuration or of the data still runs its steps again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dejavu.arguments import Parser
from dejavu.code_hash import step_code
from dejavu.data.forms.registry import all_steps
from dejavu.errors import InputError, closest
from dejavu.files import write_text
from dejavu.plan.results import recorded_outputs
from dejavu.project import BASE

# A code hash as it stands among the recorded parameters of a job.
NOTED = re.compile(r"'(?P<script>\w+\.py) [0-9a-f]{16}'")


@dataclass
class Step:
    """A rule that has outputs of earlier code.

    Attributes:
        scripts: the scripts whose code hash differs from today's.
        records: record file of an output -> the record with today's hashes.
    """

    scripts: set[str] = field(default_factory=set)
    records: dict[Path, dict] = field(default_factory=dict)


def differing_steps(records: Path, base: Path = BASE) -> dict[str, Step]:
    """Return rule -> its step, for the rules with outputs that earlier code made.

    Args:
        records: Snakemake's folder, ``.snakemake``.
        base: the project's folder.

    Raises:
        InputError: when there are no records, or a run has locked the folder.
    """
    if not (records / "metadata").is_dir():
        raise InputError(f"{records.resolve()} has no records of results: run this in the folder that has results/.")
    if any((records / "locks").glob("*")):
        raise InputError(
            f"{records.resolve().parent} is locked by a run: wait for its end, or, if it was killed, run "
            "`snakemake --unlock` first."
        )
    scripts = {path.name for path in (base / "workflow" / "scripts").glob("*.py")}
    # Some steps share a script. As in the rules, their code hashes are recorded under the names of the steps.
    shared: dict[str, tuple[str, str | None]] = {"embed_captions.py": ("embed.py", None)}
    shared |= {f"{step.name}.py": ("raw.py", form.__module__) for form, step in all_steps()}

    @cache
    def today(name: str) -> str | None:
        if name in shared:
            script, module = shared[name]
            return repr(step_code(script, base, module, name.removesuffix(".py")))
        return repr(step_code(name, base)) if name in scripts else None

    steps: dict[str, Step] = {}
    for output, path in recorded_outputs(records):
        try:
            record = json.loads(path.read_bytes())
            noted = {match["script"]: match[0] for match in map(NOTED.fullmatch, record["params"]) if match}
        except (ValueError, KeyError, TypeError):
            continue  # Snakemake ignores a damaged record, too.
        changed = {old: new for script, old in noted.items() if (new := today(script)) not in (None, old)}
        if changed and Path(records.parent, output).exists():
            step = steps.setdefault(record["rule"], Step())
            step.scripts |= {old.split()[0].strip("'") for old in changed}
            step.records[path] = record | {"params": sorted(changed.get(entry, entry) for entry in record["params"])}
    return steps


def describe(steps: Mapping[str, Step]) -> str:
    """Return a text for the user with one line per step."""
    if not steps:
        return "The code of every step is that which made these results."
    width = max(map(len, steps))
    lines = [
        f"The code of {len(steps)} step{'' if len(steps) == 1 else 's'} differs from that which made these results:"
    ]
    for rule, step in sorted(steps.items()):
        files = f"{len(step.records):,} output{'' if len(step.records) == 1 else 's'}"
        lines.append(f"  {rule:{width}}  {files:>14}  ({', '.join(sorted(step.scripts))})")
    return "\n".join(lines)


def take(steps: Mapping[str, Step]) -> None:
    """Write today's hashes into the records of the steps' outputs."""
    for step in steps.values():
        for path, record in step.records.items():
            write_text(path, json.dumps(record))


def main(arguments: list[str], prog: str = "make upgrade") -> int:
    """List the steps whose code differs and accept their results, or only list them."""
    parser = Parser(prog=prog, description=str(__doc__).split("\n\n")[0])
    parser.add_argument("steps", nargs="*", help="take the results of these steps only (default: of all)")
    parser.add_argument("--list", action="store_true", help="list what differs, and take nothing")
    parser.add_argument("--directory", type=Path, default=Path(), help="folder that has results/ (default: this one)")
    try:
        options = parser.parse_args(arguments)
        steps = differing_steps(options.directory / ".snakemake")
        print(describe(steps))
        for name in options.steps:
            if name not in steps:
                raise InputError(f"{name} is none of these steps{closest(name, steps)}: name steps of the list.")
        if steps and not options.list:
            taken = {name: step for name, step in steps.items() if name in options.steps or not options.steps}
            take(taken)
            print(f"Taken as results of the code as it is now, and not made again: {', '.join(sorted(taken))}.")
        elif steps:
            print(f"The next run makes them again. `{prog}` without --list takes them as they are.")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
