"""Rates of this machine that depend on no data and on no model: a process of its own, in an empty folder.

It reads the configuration's sections `measure` and `report` as JSON from its input, and prints the rates as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.config import load_config
from dejavu.costs.memory import PROJECT
from dejavu.costs.probe_measures import NAME, NUMBERS, WORKFLOW, Probe
from dejavu.costs.rates import Rate
from dejavu.costs.timing import line, per_unit, seconds_of, size_below
from dejavu.data.annotate import annotate_file
from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.fingerprints import fingerprint_file
from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_file
from dejavu.data.raw import Columns, table_name, take_inventory
from dejavu.data.scenes import LABELS, SCENES
from dejavu.data.synthetic import make_pairs, make_world, raw_schema
from dejavu.files import write_json, write_table
from dejavu.paths import DUPLICATES, GROUPS, INVENTORY, at
from dejavu.plan.datasets import Dataset
from dejavu.plan.parameters import text_queries
from dejavu.progress import Progress

# roles take the samples of smallest position, so a few more than they need
PAIRS = 5 * max(NUMBERS.values())
SMALL_IMAGE = 16


def main() -> None:
    """Measure and print."""
    given = json.load(sys.stdin)
    config = probe_config(given["measure"], given["report"])
    rates = data_rates(Dataset.of(NAME, config["datasets"][NAME])) | measure_rates(config)
    print(json.dumps({unit: [rate.seconds, rate.written] for unit, rate in rates.items()}))


def probe_config(measure: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that measures as another does, in two splits of a drawn dataset."""
    roles = ("a", "b", "public", "holdout")
    intervals = {role: [place / 4, (place + 1) / 4] for place, role in enumerate(roles)}
    splits = {
        split: {
            "dataset": NAME,
            "roles": {role: {"interval": interval, "limit": number} for role, interval in intervals.items()},
        }
        for split, number in NUMBERS.items()
    }
    recipe = {"architecture": "config/architectures/tiny.json", "samples_seen": 128, "batch_size": 128}
    given = {
        "datasets": {NAME: {"synthetic": {"pairs": PAIRS, "files": 1}}},
        "splits": splits,
        "models": {NAME: recipe},
        "measure": measure,
        "report": report,
    }
    return load_config(given, WORKFLOW / "schemas" / "config.schema.yaml", PROJECT)


def data_rates(dataset: Dataset) -> dict[str, Rate]:
    """Make the samples that the other stages read, and return the rates of grouping them."""
    ((name, path),) = dataset.paths.items()
    (batch,) = dataset.batches
    folders = {kind: Path(dataset.folders(kind)[0]) for kind in ("samples", "quarantine", "objects", "fingerprints")}
    columns, progress = Columns.of(dataset.columns), Progress(NAME, PAIRS, "pairs")
    write_table(Path(path), raw_parts(), raw_schema())
    table = table_name(name)
    looked = seconds_of(take_inventory, dataset.paths, columns)
    write_json(at(INVENTORY, dataset=NAME), take_inventory(dataset.paths, columns))
    files = Ingested(folders["samples"] / table, folders["quarantine"] / table)
    ingest_file(RawFile(Path(path), name, columns), files, progress, Ingestion(**dataset.ingestion))  # type: ignore[arg-type]
    annotate_file(Path(path), columns, files.samples, folders["objects"] / table, progress)
    fingerprint_file(files.samples, folders["fingerprints"] / table, progress)
    groups, repeated = (Path(at(pattern, dataset=NAME)) for pattern in (GROUPS, DUPLICATES))
    # all images are one
    criteria = Criteria(key=True, image=False, caption=False, near_image=None)
    grouped = seconds_of(group_duplicates, [folders["fingerprints"]], groups, repeated, criteria)
    return {
        "inventory_file": Rate(looked),
        "duplicates_pair": per_unit(grouped, PAIRS, size_below([groups, repeated])),
    }


def raw_parts() -> Iterator[pa.Table]:
    """Yield raw rows of one small image, with captions and objects of their own."""
    world, rng = make_world(0), np.random.default_rng(0)
    (picture,) = make_pairs(world, 0, 1, size=SMALL_IMAGE)
    box = [0.0, 0.0, 4.0, 4.0]
    records = []
    for number in range(PAIRS):
        labels = [LABELS[place] for place in rng.choice(len(LABELS), size=5, replace=False)]
        words = " ".join(world.words[place] for place in rng.choice(len(world.words), size=3, replace=False))
        scene = list(SCENES)[number % len(SCENES)]
        records.append(
            {
                "key": f"{number:08d}",
                "image": picture["image"],
                "caption": f"a {labels[0]} and a {labels[1]} in the {scene}, {words}",
                "objects": [{"label": label, "score": 1.0, "box": box} for label in labels],
            }
        )
    yield pa.Table.from_pylist(records, schema=raw_schema())


def measure_rates(config: Mapping[str, Any]) -> dict[str, Rate]:
    """Return the rates of the stages from manifests to report."""
    found: dict[str, dict[str, tuple[float, Rate]]] = {}
    for split, number in NUMBERS.items():
        probe = Probe(config, split)
        asked = 3 * number
        stages = {"manifests": PAIRS, "disjoint": PAIRS, "texts": asked}
        costs = {stage: (float(units), getattr(probe, stage)()) for stage, units in stages.items()}
        probe.embeddings()
        probe.neighbors()
        for stage, units in {"tfidf": number**2, "scores": asked, "population": asked, "attacks": asked}.items():
            costs[stage] = (float(units), getattr(probe, stage)())
        costs["utility"] = (float(number**2), probe.utility())
        costs["database"] = (float(asked), probe.database())
        found[split] = costs
    small, large = found.values()
    lines = {stage: line(small[stage], large[stage]) for stage in small if small[stage][0] != large[stage][0]}
    texts = max(1, len(text_queries(config)))
    most = NUMBERS["large"]
    # one role looks at all samples; what it writes is of its own
    manifest = large["manifests"][1]
    # a text is turned into a vector once, and compared with all others
    fixed, product = lines["tfidf"]
    return {
        "manifest_pair": Rate(manifest.seconds / 4 / PAIRS),
        "manifest_row": Rate(0.0, manifest.written / 4 / most),
        "disjoint_pair": per_unit(large["disjoint"][1].seconds, PAIRS),
        "query_text": Rate(lines["texts"][1].seconds / texts, lines["texts"][1].written / texts),
        "tfidf_text": Rate(fixed.seconds / (2 * NUMBERS["small"]), large["tfidf"][1].written / (2 * most)),
        "tfidf_product": Rate(product.seconds),
        "score_query": lines["scores"][1],
        "population": lines["population"][0],
        "population_query": lines["population"][1],
        "attacks": lines["attacks"][0],
        "attacks_query": lines["attacks"][1],
        "retrieval": lines["utility"][0],
        "retrieval_product": Rate(lines["utility"][1].seconds),
        "database": lines["database"][0],
        "database_pair": Rate(0.0),
        "database_query": lines["database"][1],
        "figures": probe.figures(),
        "report": probe.report(),
    }


if __name__ == "__main__":
    main()
