"""The rehearsal: config/rehearsal.yaml, or a part of it, end to end; then what it took beside what was predicted.

``make rehearsal``, or ``python -m dejavu.costs.rehearsal --pairs 100000``.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from dejavu.costs.measure import measured_rates
from dejavu.costs.memory import PROJECT
from dejavu.costs.planning import plan_of, read_config
from dejavu.costs.predict import Machine, Prediction, predict
from dejavu.costs.tables import aligned
from dejavu.costs.work import STAGES, Planned
from dejavu.errors import InputError
from dejavu.files import write_json, write_text

CONFIG = PROJECT / "config" / "rehearsal.yaml"
MEMORY_LIMIT_MB = 2048
FACTOR = 1.5
# what a stage may be off by in seconds: starts of processes are no work
LEAST_SECONDS = 5.0
# jobs of one thread that work so little of their time have waited for others
WAITED = 2.0
BUSY = (
    "The jobs waited more than they worked: something else kept the processors busy, so the seconds say little. Run it "
    "again on a machine that does nothing else."
)


@dataclass(frozen=True)
class Row:
    """A stage of the rehearsal.

    Attributes:
        stage: its name.
        jobs: of them.
        seconds, cpu_seconds: of all its jobs together: from start to end, and of processors.
        memory: MB of its largest job.
        written: MB that its jobs wrote to disk.
        predicted_seconds, predicted_memory: what the cost model says.
    """

    stage: str
    jobs: int
    seconds: float
    cpu_seconds: float
    memory: float
    written: float
    predicted_seconds: float
    predicted_memory: float

    @property
    def ratio(self) -> float:
        """Predicted seconds over those measured."""
        return self.predicted_seconds / self.seconds if self.seconds else 1.0


def scaled(given: Mapping[str, Any], pairs: int) -> dict[str, Any]:
    """Return the rehearsal's configuration with so many pairs, and all its numbers of samples in proportion.

    Raises:
        InputError: when so few pairs make a training set smaller than a batch.
    """
    config = yaml.safe_load(yaml.safe_dump(dict(given)))
    (dataset,) = config["datasets"].values()
    share = pairs / dataset["synthetic"]["pairs"]
    dataset["synthetic"] |= {"pairs": pairs, "files": max(1, round(dataset["synthetic"]["files"] * share))}
    for split in config["splits"].values():
        for role in split["roles"].values():
            if "limit" in role:
                role["limit"] = round(role["limit"] * share)
    for model in config["models"].values():
        model["samples_seen"] = round(model["samples_seen"] * share)
        if model["samples_seen"] < model["batch_size"]:
            least = round(pairs * model["batch_size"] / model["samples_seen"] + 0.5)
            raise InputError(f"a rehearsal of {pairs:,} pairs fills no training batch: take {least:,} or more.")
    return config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print its table and write it; 1 where it is wrong, does not fit, or takes another time than predicted."""
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args(arguments)
    try:
        return rehearse(options.pairs, options.cores)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def rehearse(pairs: int, cores: int) -> int:
    """Measure this machine, predict, run, and compare; the folder is ``rehearsal/<pairs>``."""
    folder = Path("rehearsal") / str(pairs)
    config = scaled(read_config(CONFIG), pairs)
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    planned = plan_of(config, {})
    rates = measured_rates(planned, folder / "rates")
    prediction = predict(planned, rates, Machine(cores))
    command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(PROJECT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml"), "--cores", str(cores)]
    done = subprocess.run([*command, "--workflow-profile", str(PROJECT / "profiles" / "default")])
    if done.returncode:
        return done.returncode
    return report(planned, prediction, folder)


def report(planned: Planned, prediction: Prediction, folder: Path) -> int:
    """Print and write the table of a finished rehearsal; 1 where a job is too large or a prediction too far off."""
    rows = compare(prediction, folder)
    text = table(rows, planned)
    write_json(folder / "rehearsal.json", {"rows": [asdict(row) for row in rows], "pairs": dict(planned.sizes.pairs)})
    write_text(folder / "rehearsal.txt", text)
    print(text)
    return 1 if faults(rows) else 0


def compare(prediction: Prediction, folder: Path) -> list[Row]:
    """Return what every stage took, from Snakemake's benchmark files, and what was predicted of it."""
    predicted = {stage.stage: stage for stage in prediction.stages}
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path in sorted((folder / "results").rglob("benchmarks/**/*.tsv")):
        below = path.parts[path.parts.index("benchmarks") + 1 :]
        stage = below[0].removesuffix(".tsv")
        with open(path, encoding="utf-8", newline="") as file:
            found[stage] += [_numbers(line) for line in csv.DictReader(file, delimiter="\t")]
    rows = []
    for stage in (stage for stage in STAGES if stage in found):
        jobs = found[stage]
        told = predicted[stage]
        rows.append(
            Row(
                stage,
                len(jobs),
                seconds=sum(job["s"] for job in jobs),
                cpu_seconds=sum(job["cpu_time"] for job in jobs),
                memory=max(job["max_rss"] for job in jobs),
                written=sum(job["io_out"] for job in jobs),
                predicted_seconds=told.hours * 3600,
                predicted_memory=told.memory,
            )
        )
    return rows


def _numbers(line: Mapping[str, str]) -> dict[str, float]:
    """Return the numbers of a benchmark's line; 0 for what could not be seen of a job that was short."""
    wanted = ("s", "max_rss", "io_out", "cpu_time")
    return {key: float(line[key]) if line[key].replace(".", "", 1).isdigit() else 0.0 for key in wanted}


def faults(rows: Sequence[Row]) -> list[str]:
    """Return what is wrong with a rehearsal, a sentence each."""
    large = [
        f"{row.stage} held {row.memory:,.0f} MB, more than {MEMORY_LIMIT_MB:,}."
        for row in rows
        if row.memory > MEMORY_LIMIT_MB
    ]
    measured, told = sum(row.seconds for row in rows), sum(row.predicted_seconds for row in rows)
    if not measured / FACTOR <= told <= measured * FACTOR:
        large.append(f"All jobs took {measured:,.0f} s, and {told:,.0f} s were predicted: off by more than {FACTOR}.")
    return large


def table(rows: Sequence[Row], planned: Planned) -> str:
    """Return the table of a rehearsal as text, with what is wrong below it."""
    head = ["stage", "jobs", "seconds", "of processors", "predicted", "ratio", "MB", "predicted", "MB written"]
    cells = [
        [
            row.stage,
            f"{row.jobs}",
            *(f"{value:,.1f}" for value in (row.seconds, row.cpu_seconds, row.predicted_seconds)),
        ]
        + [f"{row.ratio:.2f}", *(f"{value:,.0f}" for value in (row.memory, row.predicted_memory, row.written))]
        for row in rows
    ]
    sums = [sum(getattr(row, name) for row in rows) for name in ("seconds", "cpu_seconds", "predicted_seconds")]
    ratio = f"{sums[2] / sums[0]:.2f}" if sums[0] else ""
    peaks = [max((getattr(row, name) for row in rows), default=0.0) for name in ("memory", "predicted_memory")]
    written = sum(row.written for row in rows)
    total = ["all", f"{sum(row.jobs for row in rows)}", *(f"{value:,.1f}" for value in sums), ratio]
    total += [*(f"{value:,.0f}" for value in peaks), f"{written:,.0f}"]
    off = [
        f"{row.stage}: predicted {row.ratio:.2f} times what it took."
        for row in rows
        if max(row.seconds, row.predicted_seconds) > LEAST_SECONDS and not 1 / FACTOR <= row.ratio <= FACTOR
    ]
    pairs = ", ".join(f"{name}: {number:,} pairs" for name, number in planned.sizes.pairs.items())
    busy = [BUSY] if sums[1] and sums[0] > WAITED * sums[1] else []
    return "\n".join([pairs, "", *aligned([head, *cells, total]), "", *busy, *off, *faults(rows)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
