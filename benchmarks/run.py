"""The command behind `make bench`: run the named measurements, or all, print a table and write results/bench.json."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from pathlib import Path

# Every measurement uses one thread. Numeric libraries read these variables when they are loaded, which happens when the
# first measurement is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

BENCHMARKS = ("scoring", "scoring_memory", "neighbors", "embedding", "training")
RESULTS = Path("results") / "bench.json"


def main(names: list[str]) -> None:
    """Run the named measurements in order, and write the results after each, so that a later failure loses none."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        raise SystemExit(f"no measurement is called {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    results: list[dict] = []
    for name in names or BENCHMARKS:
        measured = importlib.import_module(f"benchmarks.{name}").measure()
        results.extend(dataclasses.asdict(result) for result in measured)
        _write(results)
    print(table(results))


def _write(results: list[dict]) -> None:
    from dejavu.files import write_json

    write_json(RESULTS, results)


def table(results: list[dict]) -> str:
    """Return the results as a table in text; a ratio above 1 means that this project is better."""
    lines = [("benchmark", "ours", "peer", "unit", "ratio", "the peer")]
    lines += [
        (r["name"], f"{r['ours']:,.4g}", f"{r['peer']:,.4g}", r["unit"], f"{r['ratio']:.1f}", r["note"])
        for r in results
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    main(sys.argv[1:])
