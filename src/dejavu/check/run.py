"""``make check``: a check of everything that a configuration names, before a long run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.check.excerpt import Excerpt, chosen_pairs, take_excerpt, take_objects, write_names
from dejavu.check.findings import FAULT, LOOK, OK, Findings
from dejavu.check.models import look_at_models
from dejavu.check.roles import look_at_roles
from dejavu.data.benchmarks import TASKS, Benchmark, find_benchmarks, read_images, read_values
from dejavu.data.detector import load_detector
from dejavu.data.vocabulary import read_vocabulary
from dejavu.plan.datasets import Dataset
from dejavu.utility.probe import label_numbers
from dejavu.utility.zero_shot import true_classes


def check(config: Mapping[str, Any], base: Path) -> Findings:
    """Check the data, lists, models and benchmarks that a configuration names, and return the findings.

    Open every raw file, ingest and annotate some rows of each dataset, look up listed samples, load every model, run it
    on some pairs, and read the benchmarks.

    Args:
        config: the checked and complete configuration.
        base: the workflow's folder, which is searched for files of architectures.
    """
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        excerpts: dict[str, Excerpt] = {}
        names: dict[str, Path | None] = {}
        for name, section in config["datasets"].items():
            with findings.about(f"datasets.{name}"):
                excerpt = take_excerpt(Dataset.of(name, section), Path(folder) / name)
                _tell_rows(findings, excerpt)
                names[name] = write_names(excerpt)
                excerpts[name] = excerpt
                findings.pairs[name] = chosen_pairs(excerpt)
                _look_at_objects(findings, excerpt, names[name], config)
        for name in config["splits"]:
            with findings.about(f"splits.{name}"):
                look_at_roles(findings, name, config, excerpts, names)
        look_at_models(findings, config, base)
    _look_at_benchmarks(findings, config["utility"])
    return findings


def _tell_rows(findings: Findings, excerpt: Excerpt) -> None:
    dataset, about = excerpt.dataset, f"datasets.{excerpt.dataset.name}"
    usable = len(excerpt.records("samples", ["row"]))
    refused = excerpt.refused()
    findings.add(
        about,
        OK if usable else FAULT,
        f"{excerpt.raw.pairs:,} pairs (raw files: {len(dataset.paths):,}); of {usable + len(refused):,} that were read "
        f"{usable:,} can be used",
    )
    if len(refused):
        first = refused.to_pylist()[0]
        findings.add(
            about,
            LOOK if usable else FAULT,
            f"{len(refused):,} cannot be used, {len(refused) / (usable + len(refused)):.1%} where max_quarantined "
            f"allows {dataset.section['max_quarantined']:.1%}; the first is {first['source']} row "
            f"{first['source_row']}: {first['reason']} ({first['detail']})",
        )


def _look_at_objects(findings: Findings, excerpt: Excerpt, names: Path | None, config: Mapping[str, Any]) -> None:
    dataset, section = excerpt.dataset, excerpt.dataset.section["annotate"]
    about = f"datasets.{dataset.name}.annotate"
    with findings.about(about):
        detector = None
        if section["from"] == "detector":
            vocabulary = read_vocabulary(section["vocabulary"], f"{about}.vocabulary")
            detector = load_detector(
                section["model"], vocabulary, device=config["device"], min_score=section["min_score"]
            )
        records = take_objects(excerpt, names, detector)
        of_row = {record["row"]: record["objects"] for record in records}
        for pair in findings.pairs[dataset.name]:
            pair["objects"] = of_row.get(pair["row"], [])
        _tell_objects(findings, about, records, config["measure"]["score_threshold"])


def _tell_objects(findings: Findings, about: str, records: list[dict], threshold: float) -> None:
    of_image = [
        [labelled for labelled in record["objects"] if labelled is not None and labelled["label"]] for record in records
    ]
    if not records:
        return  # Another finding says that no sample can be used.
    counted = [sum(labelled["score"] >= threshold for labelled in objects) for objects in of_image]
    scored = sum(number > 0 for number in counted)
    findings.add(
        about,
        OK if 2 * scored >= len(records) else LOOK,
        f"{sum(map(len, of_image)):,} objects in {len(records):,} images; {sum(counted):,} of them reach "
        f"measure.score_threshold {threshold:g}, and {scored:,} images have one that does; the others are not scored",
    )


def _look_at_benchmarks(findings: Findings, section: Mapping[str, Any]) -> None:
    named = [(task, name) for task in TASKS for name in section[task]]
    for task, name in named:
        about = f"utility.{task}.{name}"
        with findings.about(about):
            alone = {entry: {name: section[task][name]} if entry == task else {} for entry in TASKS}
            (benchmark,) = find_benchmarks(alone)
            # The files of a synthetic benchmark do not exist before the run.
            if section[task][name]["synthetic"] is None:
                _look_at_benchmark(findings, about, benchmark)


def _look_at_benchmark(findings: Findings, about: str, benchmark: Benchmark) -> None:
    for part in benchmark.files:
        images = next(iter(read_images(benchmark, part, 8)), [])
        usable = sum(image is not None for image in images)
        state = OK if usable else FAULT
        findings.add(about, state, f"{usable} of the first {len(images)} images of {part} can be used")
        for use in set(benchmark.columns) - {"image"}:
            read_values(benchmark, part, use)
    if benchmark.task == "zero_shot":
        true_classes(benchmark)
    elif benchmark.task == "linear_probe":
        label_numbers(benchmark)
