"""Somebody's own data: from a folder of images and a CSV, and from COCO's JSON, to roles with objects."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dejavu.tables import ROLES
from tests.harness.project import CONFIG, ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

LABELS = ["dog", "cat", "red ball", "tree", "house", "car", "boat", "lamp"]
PAIRS = 240


def pictures(folder: Path) -> list[tuple[str, list[str]]]:
    """Writes small pictures, JPEG and PNG; returns the file name and the objects of each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    found = []
    for number in range(PAIRS):
        name = f"{number:04d}.{'png' if number % 3 else 'jpg'}"
        Image.fromarray(rng.integers(0, 256, size=(40, 36, 3), dtype=np.uint8)).save(folder / name)
        found.append((name, sorted({LABELS[i] for i in rng.integers(0, len(LABELS), size=3)})))
    return found


def config_of(dataset: dict) -> dict:
    config = copy.deepcopy(CONFIG)
    config["datasets"] = {"mine": dataset}
    config["splits"]["default"] |= {
        "dataset": "mine",
        "roles": {
            "a": {"interval": [0.0, 0.2], "limit": 36},
            "b": {"interval": [0.2, 0.4], "limit": 36},
            "public": {"interval": [0.4, 0.7]},
            "holdout": {"interval": [0.7, 1.0]},
        },
    }
    config["models"] = {"baseline": CONFIG["models"]["baseline"]}
    return config


def objects_by_uid(project: Project, dataset: str = "mine", split: str = "default") -> dict[str, list[str]]:
    """The objects of the roles' samples, which all that follows is made of alike."""
    results = project.folder / "results" / dataset
    samples, objects = (pq.read_table(results / table, partitioning=None) for table in ("samples", "objects"))
    uids = dict(zip(samples["row"].to_pylist(), samples["uid"].to_pylist(), strict=True))
    manifests = [pq.read_table(results / split / "manifests" / f"{role}.parquet") for role in ROLES]
    roles = {row for manifest in manifests for row in manifest["row"].to_pylist()}
    return {
        uids[row["row"]]: sorted(one["label"] for one in row["objects"])
        for row in objects.to_pylist()
        if row["row"] in roles
    }


def test_the_steps_of_the_docs_lead_from_a_folder_and_a_csv_to_roles_with_objects(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guides" / "own-data.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    project = Project.make(tmp_path / "project")
    found = pictures(project.folder / "images")
    # Excel saves CSV files in this way in many countries
    with open(project.folder / "pairs.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["file", "caption", "objects"])
        writer.writerows([name, f"a {labels[0]}, number {name}", "+".join(labels)] for name, labels in found)
    subprocess.run([sys.executable, "-c", program], cwd=project.folder, check=True)
    columns = {"image": "image", "caption": "caption", "key": "key", "objects": "objects"}
    config = config_of({"root": "pairs", "raw": ["*.parquet"], "image_root": "images", "columns": columns})
    project.write_config(config)
    truth = dict(found)
    project.run("--until", "annotate", "disjoint")
    measured = objects_by_uid(project)
    assert len(measured) > 150
    assert measured == {uid: truth[uid] for uid in measured}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("file,caption\ncat.jpg,a café\n".encode("cp1252"), "is not UTF-8: save it as 'CSV UTF-8'"),
        (b"image_name| comment\ncat.jpg| A cat .\n", "has the columns image_name, comment: rename two of them"),
        (b"", "has the columns none"),
    ],
)
def test_the_program_of_the_docs_says_what_is_wrong_with_a_csv(tmp_path: Path, content: bytes, told: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guides" / "own-data.md").read_text(), re.DOTALL)
    (tmp_path / "pairs.csv").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert told in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[tuple[str, list[str]]]]:
    """The same pictures in the form of COCO and as WebDataset shards, with a split of each."""
    project = Project.make(tmp_path_factory.mktemp("brought") / "project")
    found = pictures(project.folder / "coco" / "images")
    config = config_of({"coco": write_coco(project, found)})
    config["datasets"]["tars"] = {"root": "shards", "raw": ["*.tar"], "files_per_job": 1}
    config["splits"]["shards"] = copy.deepcopy(config["splits"]["default"]) | {"dataset": "tars"}
    for number in range(3):
        write_shard(project, found[number::3], number)
    project.write_config(config)
    project.run("--until", "annotate", "disjoint")
    return project, found


def write_shard(project: Project, found: list[tuple[str, list[str]]], number: int) -> None:
    path = project.folder / "shards" / f"{number:05d}.tar"
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, labels in found:
            key = name.split(".")[0]
            note = json.dumps({"caption": f"a {labels[0]}, number {key}", "objects": labels})
            for member, data in (
                (f"{key}.json", note.encode()),
                (name, (project.folder / "coco" / "images" / name).read_bytes()),
            ):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def write_coco(project: Project, found: list[tuple[str, list[str]]]) -> dict:
    images = [{"id": i, "file_name": name, "width": 36, "height": 40} for i, (name, _) in enumerate(found)]
    captions = [
        {"id": 10 * i + j, "image_id": i, "caption": f"{text} {labels[0]} in picture {i}"}
        for i, (_, labels) in enumerate(found)
        for j, text in enumerate(("a", "some", "one"))
    ]
    annotations = [
        {"id": 100 * i + j, "image_id": i, "category_id": LABELS.index(label), "bbox": [1, 2, 10, 12], "iscrowd": 0}
        for i, (_, labels) in enumerate(found)
        for j, label in enumerate(labels)
    ]
    categories = [{"id": i, "name": label} for i, label in enumerate(LABELS)]
    folder = project.folder / "coco"
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    instances = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))
    return {
        "captions": "coco/captions.json",
        "instances": "coco/instances.json",
        "images": "coco/images",
        "files": 2,
    }


def test_a_set_in_the_form_of_coco_goes_from_json_to_roles_with_objects(brought) -> None:
    project, found = brought
    measured = objects_by_uid(project)
    assert len(measured) > 150
    assert measured == {uid: found[int(uid)][1] for uid in measured}


def test_shards_alone_go_to_roles_with_objects_and_a_new_one_is_read_alone(brought, tmp_path: Path) -> None:
    project, found = brought
    measured = objects_by_uid(project, "tars", "shards")
    assert len(measured) > 150
    assert measured == {uid: found[int(uid)][1] for uid in measured}
    done = project.copy(tmp_path / "project")
    assert "Nothing to be done" in done.run("results/tars/inventory.json", "--until", "annotate", "disjoint")
    write_shard(done, found[:2], 3)
    planned = done.planned()
    assert {job.split()[0] for job in planned} >= {"shard", "ingest", "inventory"}
    assert sum(count for job, count in planned.items() if job.startswith("shard ")) == 1
    assert sum(count for job, count in planned.items() if job.startswith("ingest ")) == 1
