"""Rates of this machine that depend on no data and on no model: a process of its own, in an empty folder.

It reads the configuration's sections `measure` and `report` as JSON from its input, and prints the rates as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dejavu.config import load_config
from dejavu.costs.memory import PROJECT
from dejavu.costs.probe_measures import NAME, NUMBERS, WORKFLOW, Probe
from dejavu.costs.rates import COMMON, Rate
from dejavu.costs.timing import fit, per_unit, seconds_of, size_below
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
from dejavu.tables.fields import POPULATIONS, ROLES

# what a sample costs a database shows only where there are many; few are drawn, the others are copies of them
DRAWN, COPIES = 12_000, 5
PAIRS = DRAWN * COPIES
# a third of them for each query role would be enough; roles take the samples of smallest position, so a few more
INTERVALS = {"a": [0.0, 0.17], "b": [0.17, 0.34], "holdout": [0.34, 0.51], "public": [0.51, 1.0]}
SMALL_IMAGE = 16


def main() -> None:
    """Measure and print."""
    given = json.load(sys.stdin)
    config = probe_config(given["measure"], given["report"])
    rates = data_rates(Dataset.of(NAME, config["datasets"][NAME])) | measure_rates(config)
    print(json.dumps({unit: [rate.seconds, rate.written] for unit, rate in rates.items()}))


def probe_config(measure: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that measures as another does, in two splits of a drawn dataset."""
    splits = {
        split: {
            "dataset": NAME,
            "roles": {
                role: {"interval": interval, "limit": public if role == "public" else asked}
                for role, interval in INTERVALS.items()
            },
        }
        for split, (asked, public) in NUMBERS.items()
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
    columns, progress = Columns.of(dataset.columns), Progress(NAME, DRAWN, "pairs")
    write_table(Path(path), raw_parts(), raw_schema())
    table = table_name(name)
    files = Ingested(folders["samples"] / table, folders["quarantine"] / table)
    ingest_file(RawFile(Path(path), name, columns), files, progress, Ingestion(**dataset.ingestion))  # type: ignore[arg-type]
    annotate_file(Path(path), columns, files.samples, folders["objects"] / table, progress)
    fingerprint_file(files.samples, folders["fingerprints"] / table, progress)
    for file in (Path(path), *(folders[kind] / table for kind in ("samples", "objects", "fingerprints"))):
        copy_samples(file)
    looked = seconds_of(take_inventory, dataset.paths, columns)
    write_json(at(INVENTORY, dataset=NAME), take_inventory(dataset.paths, columns))
    groups, repeated = (Path(at(pattern, dataset=NAME)) for pattern in (GROUPS, DUPLICATES))
    # all images are one
    criteria = Criteria(key=True, image=False, caption=False, near_image=None)
    grouped = seconds_of(group_duplicates, [folders["fingerprints"]], groups, repeated, criteria)
    return {
        "inventory_file": Rate(looked),
        "duplicates_pair": per_unit(grouped, PAIRS, size_below([groups, repeated])),
    }


def copy_samples(path: Path) -> None:
    """Write raw rows, samples, objects or fingerprints several times over, each time as those of other samples."""
    once = pq.read_table(path)

    def parts() -> Iterator[pa.Table]:
        for number in range(COPIES):
            part = once
            for name in {"row", "uid", "copy", "origin", "key"} & set(once.schema.names):
                column = once[name]
                if pa.types.is_string(column.type):
                    changed = pc.binary_join_element_wise(column, str(number), "-")
                else:
                    changed = pc.add(column, pa.scalar(number * DRAWN, column.type))
                part = part.set_column(part.schema.get_field_index(name), once.schema.field(name), changed)
            yield part

    write_table(path, parts(), once.schema)


def raw_parts() -> Iterator[pa.Table]:
    """Yield raw rows of one small image, with captions and objects of their own."""
    world, rng = make_world(0), np.random.default_rng(0)
    (picture,) = make_pairs(world, 0, 1, size=SMALL_IMAGE)
    box = [0.0, 0.0, 4.0, 4.0]
    records = []
    for number in range(DRAWN):
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
    probes = {split: Probe(config, split) for split in NUMBERS}
    measured: dict[str, list[tuple[dict[str, float], Rate]]] = defaultdict(list)
    for split, probe in probes.items():
        for stage, amounts in _amounts(config, *NUMBERS[split]).items():
            if stage == "tfidf" and split == "widest":
                # it grows with the square
                continue
            if stage == "scores" and split == "small":
                # what a process does at its first scores would count as the cost of few queries
                probe.scores()
            measured[stage].append((amounts, getattr(probe, stage)()))
    fitted = {unit: rate for costs in measured.values() for unit, rate in fit(costs).items()}
    manifests = [rate for _, rate in measured["manifests"]]
    rows = sum(3 * asked + public for asked, public in NUMBERS.values())
    # one role looks at all samples; what it writes is of its own
    fitted["manifest_pair"] = Rate(sum(rate.seconds for rate in manifests) / len(manifests) / len(ROLES) / PAIRS)
    fitted["manifest_row"] = Rate(0.0, sum(rate.written for rate in manifests) / rows)
    # looking at all samples counts apart
    looked = len(ROLES) * PAIRS * fitted["text_pair"].seconds
    fitted["database"] = Rate(max(0.0, fitted["database"].seconds - looked), fitted["database"].written)
    probe = probes["large"]
    fitted |= {"figures": probe.figures(), "report": probe.report()}
    return {unit: rate for unit, rate in fitted.items() if unit in COMMON}


def _amounts(config: Mapping[str, Any], asked: int, public: int) -> dict[str, dict[str, float]]:
    """Return stage of a probe, in their order -> unit -> how many of them; what is no unit of COMMON is left out later.

    Args:
        config: of the probe.
        asked: samples of every query role.
        public: samples of role public.
    """
    queries = len(POPULATIONS) * asked
    return {
        "manifests": {"drawn": 1},
        "disjoint": {"disjoint_pair": PAIRS},
        "texts": {"query_text": max(1, len(text_queries(config))) * queries, "text_pair": PAIRS},
        "embeddings": {"embedded": 1},
        "neighbors": {"searched": 1},
        "tfidf": {"tfidf_text": 2 * public, "tfidf_product": public**2},
        "scores": {
            "score_query": queries,
            "score_public": len(POPULATIONS) * public,
            "object_pair": len(POPULATIONS) * PAIRS,
        },
        "population": {"population": 1, "population_query": queries},
        "attacks": {"attacks": 1, "attacks_query": queries},
        "utility": {"retrieval": 1, "retrieval_product": asked**2},
        "database": {"database": 1, "database_query": queries, "database_pair": queries + public},
    }


if __name__ == "__main__":
    main()
