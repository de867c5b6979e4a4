"""Objects from an import and from a detector, in the workflow: each edit annotates again what it concerns."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dejavu.config import load_config
from dejavu.plan.datasets import Dataset
from tests.harness.detectors import owl
from tests.harness.project import CONFIG, ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

DRAWN = {"synthetic": {"pairs": 10, "files": 2}, "files_per_job": 2}
CONFIGURED = copy.deepcopy(CONFIG)
CONFIGURED["datasets"] |= {
    "imported": {**DRAWN, "annotate": {"from": "import", "files": ["*.json"]}},
    "detected": {**DRAWN, "annotate": {"from": "detector", "model": "owl", "vocabulary": "labels.txt"}},
}


def write_import(project: Project, label: str) -> None:
    # keys of the embedded data are made of seed and number
    images = [{"id": i, "file_name": f"images/0-{i:08d}.jpg"} for i in range(12)]
    found = [{"image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4]} for i in range(9)]
    content = {"images": images, "annotations": found, "categories": [{"id": 1, "name": label}]}
    (project.folder / "instances.json").write_text(json.dumps(content))


def settled() -> dict:
    """The configuration with an architecture that is in the repository too."""
    config = copy.deepcopy(CONFIGURED)
    config["models"]["baseline"]["architecture"] = "config/architectures/tiny.json"
    return config


def targets() -> list[str]:
    config = load_config(settled(), ROOT / "workflow/schemas/config.schema.yaml", ROOT)
    datasets = [Dataset.of(name, config["datasets"][name]) for name in ("imported", "detected")]
    return [folder for dataset in datasets for folder in dataset.folders("objects")]


def planned(project: Project) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\w+):$", project.run("--dry-run", *targets()), re.MULTILINE))


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Project:
    """A project whose objects are made, from both sources."""
    once("annotated")
    project = Project.make(tmp_path_factory.mktemp("annotated") / "project", CONFIGURED)
    write_import(project, "red star")
    (project.folder / "labels.txt").write_text("star\nring\n")
    (project.folder / "owl").mkdir()
    owl(project.folder / "owl", "owlv2")
    project.run(*targets())
    return project


def objects(project: Project, dataset: str) -> list[list[dict]]:
    files = sorted((project.folder / "results" / dataset / "objects").glob("*/*.parquet"))
    return [row["objects"] for file in files for row in pq.read_table(file).to_pylist()]


def test_every_sample_has_the_objects_of_its_dataset_s_source(annotated: Project) -> None:
    imported, detected = objects(annotated, "imported"), objects(annotated, "detected")
    assert sorted(len(found) for found in imported) == [0] + [1] * 9
    assert {f["label"] for found in imported for f in found} == {"red star"}
    assert len(detected) == 10
    assert {f["label"] for found in detected for f in found} == {"star", "ring"}
    assert not list((annotated.folder / "results/detected/state").glob("detector/*"))
    assert planned(annotated) == set()


def test_an_edit_of_a_source_annotates_again_and_ingests_and_detects_nothing_else(
    annotated: Project, tmp_path: Path
) -> None:
    project = annotated.copy(tmp_path / "project")
    labels = project.folder / "labels.txt"
    labels.write_text("# a comment\nstar\nring\n")
    config = copy.deepcopy(CONFIGURED)
    config["measure"]["score_threshold"] = 0.3
    project.write_config(config)
    assert planned(project) == set()
    labels.write_text("star\nring\nmoon\n")
    assert planned(project) == {"detect"}
    labels.write_text("star\nring\n")
    write_import(project, "blue ring")
    assert planned(project) == {"read_imports", "match_import", "import_objects"}
