"""The sections ``report`` and ``utility``: the cell that the report shows, and the benchmarks of the utility tasks."""

from __future__ import annotations

from dejavu.data.forms.registry import form_of
from dejavu.errors import InputError, closest


def check_report(config: dict) -> None:
    """Refuse a report that shows a cell which is not measured."""
    report, measure = config["report"], config["measure"]
    for key in ("k", "labels"):
        if report[key] not in measure[key]:
            raise InputError(
                f"report.{key} is {report[key]!r}, which measure.{key} {measure[key]} does not contain: add it there, "
                f"or set report.{key} to one of them."
            )


# utility task -> the keys that name its files; a benchmark has either these keys or the key synthetic
BENCHMARK_FILES = {"zero_shot": ("data",), "linear_probe": ("train", "test"), "compositional": ("data",)}


def check_utility(config: dict) -> None:
    """Refuse a benchmark that has both files and a synthetic dataset, or that has neither completely."""
    drawn = [name for name, dataset in config["datasets"].items() if form_of(name, dataset).world is not None]
    for task, keys in BENCHMARK_FILES.items():
        for name, benchmark in config["utility"][task].items():
            where = f"utility.{task}.{name}"
            present = [key for key in keys if benchmark[key] is not None]
            if benchmark["synthetic"] is not None and present:
                raise InputError(f"{where} has both synthetic and {present[0]}: remove one of them.")
            if benchmark["synthetic"] is None and len(present) < len(keys):
                missing = next(key for key in keys if key not in present)
                raise InputError(
                    f"configuration key '{where}.{missing}' is missing: add it, or set synthetic to an embedded "
                    "dataset."
                )
            if benchmark["synthetic"] is not None and benchmark["synthetic"] not in drawn:
                raise InputError(
                    f"{where}.synthetic names {benchmark['synthetic']!r}, which is no synthetic dataset"
                    f"{closest(benchmark['synthetic'], drawn)}: "
                    f"the synthetic datasets are {', '.join(drawn) or 'none'}."
                )
