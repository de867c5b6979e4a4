"""Several splits and several datasets in one configuration."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.harness.project import CONFIG, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def with_another_public_set(project: Project) -> dict:
    """A public set of images and objects alone, as ImageNet is in the paper."""
    drawn = pq.read_table(project.folder / "results" / "demo" / "raw" / "part-00000.parquet")
    images = drawn.select(["image", "objects"]).append_column("key", pa.array([f"i{i}" for i in range(len(drawn))]))
    # other pictures, so that no role shares a picture with this set
    turned = [turned_over(image) for image in images["image"].to_pylist()]
    (project.folder / "images").mkdir()
    for number in (0, 1):
        part = images.set_column(0, "image", pa.array(turned)).slice(number * 100, 100)
        pq.write_table(part, project.folder / "images" / f"{number}.parquet")
    config = copy.deepcopy(CONFIG)
    columns = {"image": "image", "caption": None, "key": "key", "objects": "objects"}
    config["datasets"]["elsewhere"] = {"raw": ["images/*.parquet"], "columns": columns, "files_per_job": 1}
    # this name sorts before that of the split that has trained already
    config["splits"]["again"] = copy.deepcopy(config["splits"]["default"])
    config["splits"]["again"]["roles"]["public"] = {"dataset": "elsewhere", "interval": [0.0, 1.0], "limit": 80}
    return config


def turned_over(image: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_second_split_searches_images_without_captions_and_trains_nothing(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    config = with_another_public_set(project)
    project.write_config(config)
    refused = project.snakemake("--dry-run")
    assert "models.one-model.sides.b searches captions, but the public set" in refused.stdout + refused.stderr
    config["splits"]["again"]["models"] = ["baseline", "masked", "early"]
    project.write_config(config)
    assert not any(job.split()[0] in ("train", "recipe") for job in project.planned())
    config["splits"]["again"]["models"] = ["baseline"]
    config["measure"]["queries"] = ["caption"]
    project.write_config(config)
    project.run("results/demo/again/report")
    results = project.folder / "results" / "demo"
    with duckdb.connect(str(results / "again" / "memorization.duckdb"), read_only=True) as connection:
        public = connection.execute("SELECT row FROM samples WHERE role = 'public'").fetchall()
        found = connection.execute("SELECT DISTINCT public_row FROM neighbors").fetchall()
        ingested = connection.execute("SELECT subject, rows_out FROM stages WHERE stage = 'ingest'").fetchall()
        trained = connection.execute("SELECT model, side, max(samples_seen) FROM training GROUP BY ALL").fetchall()
        costs = connection.execute("SELECT subject, seconds > 0 FROM stages WHERE stage = 'train'").fetchall()
    elsewhere = {
        row
        for file in (project.folder / "results" / "elsewhere" / "samples").glob("*/*.parquet")
        for row in pq.read_table(file)["row"].to_pylist()
    }
    assert {row for (row,) in public} <= elsewhere and len(public) == 80
    assert {row for (row,) in found} <= elsewhere
    assert sorted(ingested) == [("demo", 400), ("elsewhere", 200)]
    assert sorted(trained) == [("baseline", side, CONFIG["models"]["baseline"]["samples_seen"]) for side in "ab"]
    assert sorted(costs) == [("baseline.a", True), ("baseline.b", True)]
    assert (results / "again" / "report" / "index.html").is_file()
    # caption is the only query
    assert not (results / "again" / "queries").exists()
    assert not list(results.glob("again/embeddings/*/*/*/*.masked.npy"))
    assert not (results / "again" / "models").exists()


def test_a_second_split_shares_the_data_and_leaves_the_first_alone(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    config = copy.deepcopy(CONFIG)
    config["splits"]["smaller"] = copy.deepcopy(config["splits"]["default"])
    config["splits"]["smaller"]["roles"]["a"]["limit"] = 40
    project.write_config(config)
    planned = project.planned()
    assert not any(
        job.split()[0] in ("synthesize", "ingest", "annotate", "fingerprint", "duplicates") for job in planned
    )
    # the database of the first split holds the whole configuration, so it is written again; nothing is trained for it
    assert planned["train model=baseline side=a"] == 1
    project.run("results/demo/smaller/manifests/a.parquet")
    manifests = [
        set(pq.read_table(project.folder / "results" / "demo" / split / "manifests" / "a.parquet")["row"].to_pylist())
        for split in ("smaller", "default")
    ]
    assert manifests[0] < manifests[1] and len(manifests[0]) == 40


def test_five_thousand_files_and_six_models_are_planned_in_under_ten_thousand_jobs(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["datasets"]["demo"] = {"raw": ["data/*.parquet"]}
    config["models"] = {"m0": CONFIG["models"]["baseline"]}
    config["models"] |= {f"m{i}": {"like": "m0", "text_mask": i / 10} for i in range(1, 6)}
    project = Project.make(tmp_path / "project", config)
    first = project.folder / "data" / "00000.parquet"
    first.parent.mkdir()
    pq.write_table(pa.table({"image": [b"x"], "caption": ["c"], "objects": [["o"]]}), first)
    for i in range(1, 5000):
        (first.parent / f"{i:05d}.parquet").hardlink_to(first)
    planned = project.planned()
    assert 100 < planned.total() < 10_000
    assert sum(count for job, count in planned.items() if job.startswith("train")) == 12
