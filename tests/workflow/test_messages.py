"""Bad input ends in one sentence that names the place and the remedy, before any long work."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import ARCHITECTURE, CONFIG, Project, encoded_image

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def with_change(*path: str, **values) -> dict:
    config = copy.deepcopy(CONFIG)
    section = config
    for key in path:
        section = section[key]
    section.update(values)
    return config


def raw_config(**more) -> dict:
    config = copy.deepcopy(CONFIG)
    config["datasets"]["demo"] = {"raw": ["data/*.parquet"], **more}
    return config


def write_raw(project: Project, name: str = "one.parquet", pairs: int = 12, **columns) -> Path:
    table = pa.table(
        {
            "image": [encoded_image(number) for number in range(pairs)],
            "caption": [f"a red square {i}" for i in range(pairs)],
            "objects": [["red square"]] * pairs,
            **columns,
        }
    )
    path = project.folder / "data" / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("config", "place", "remedy"),
    [
        (with_change("models", "baseline", text_masc=0.5), "models.baseline.text_masc", "did you mean 'text_mask'?"),
        (raw_config(), "datasets.demo.raw", "correct the pattern"),
    ],
    ids=["a key", "a pattern"],
)
def test_a_wrong_configuration_is_refused_in_one_sentence_before_any_job(
    tmp_path: Path, config: dict, place: str, remedy: str
) -> None:
    """At the door; every sentence about the configuration has a test in tests/unit."""
    project = Project.make(tmp_path / "project", config)
    done = project.snakemake()
    output = done.stdout + done.stderr
    sentence = next(line for line in output.splitlines() if place in line)
    assert done.returncode != 0
    assert remedy in sentence
    assert "Traceback" not in output
    assert not (project.folder / "results").exists()


def test_a_configuration_of_the_users_is_never_filled_up_with_the_default(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    (project.folder / "mine.yaml").write_text(yaml.safe_dump({"models": CONFIG["models"]}))
    done = project.snakemake("--dry-run", "--configfile", "mine.yaml")
    assert done.returncode != 0
    assert "configuration key 'datasets' is missing: add it" in done.stdout + done.stderr
    # single keys on the command line change the default
    assert project.snakemake("--dry-run", "--config", "device=cpu").returncode == 0


def test_the_workflow_can_be_a_module_of_another(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "mine.yaml").write_text(yaml.safe_dump(CONFIG))
    (outer / "Snakefile").write_text(
        f"""
configfile: "mine.yaml"
module dejavu:
    snakefile: "{project.folder / "Snakefile"}"
    config: config
use rule * from dejavu as dejavu_*
rule all:
    default_target: True
    input: "results/demo/inventory.json"
"""
    )
    done = Project(outer).snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((outer / "results" / "demo" / "inventory.json").read_text())


def test_a_checkpoint_that_is_not_in_the_cache_is_named_before_any_job(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    (tmp_path / "members.txt").write_text("one")
    config["splits"]["default"]["roles"]["a"] = {"uids": str(tmp_path / "members.txt")}
    released = {"checkpoint": "laion2b_s34b_b79", "architecture": "ViT-B-32"}
    config["models"] = {"released": {"sides": {"a": released, "b": {"text_encoder": "tfidf"}}}}
    done = Project.make(tmp_path / "project", config).snakemake("--dry-run")
    assert done.returncode != 0
    assert "(did you mean 'laion2b_s34b_b79k'?)" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_truncated_file_is_named_before_anything_is_ingested(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", raw_config())
    path = write_raw(project)
    path.write_bytes(path.read_bytes()[:-100])
    done = project.snakemake()
    assert done.returncode != 0
    assert "data/one.parquet is not a whole parquet file" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (project.folder / "results").exists()


def test_a_missing_column_is_named_with_the_columns_that_are_there(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", raw_config(columns={"caption": "captoin"}))
    write_raw(project)
    done = project.snakemake()
    assert done.returncode != 0
    assert "has no column 'captoin' (did you mean 'caption'?)" in done.stdout + done.stderr


def test_limits_that_the_raw_files_cannot_supply_are_refused_before_ingest(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", raw_config())
    write_raw(project)
    done = project.snakemake()
    assert done.returncode != 0
    said = "splits.default: its roles ask for 240 samples, but the raw files of demo hold 12 "
    assert said in done.stdout + done.stderr


def test_an_empty_role_is_named_before_training(tmp_path: Path) -> None:
    config = raw_config()
    for role in config["splits"]["default"]["roles"].values():
        role["limit"] = None
    config["splits"]["default"]["roles"]["holdout"]["interval"] = [0.999999, 1.0]
    config["measure"]["k"] = [1]
    config["report"]["k"] = 1
    project = Project.make(tmp_path / "project", config)
    write_raw(project, pairs=300)
    done = project.snakemake()
    assert done.returncode != 0
    assert "interval of role holdout" in done.stdout + done.stderr
    assert not list(project.folder.rglob("*.pt"))


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    (project.folder / "results").write_text("a file where the folder should be")
    done = project.snakemake()
    assert done.returncode != 0
    assert "results cannot be written to" in done.stdout + done.stderr


def test_too_many_unusable_rows_stop_the_run_with_an_example(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", raw_config())
    write_raw(project, pairs=300, caption=["   "] * 30 + [f"caption {i}" for i in range(270)])
    done = project.snakemake()
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "30 of 300 raw rows cannot be used (10.0%" in output
    assert "30 x caption is empty (first: data/one.parquet row 0" in output


def test_a_crash_of_ours_shows_its_traceback_on_screen_and_in_the_log(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    module = project.folder / "src" / "dejavu" / "data" / "synthetic.py"
    module.write_text(module.read_text().replace("def make_world(seed: int)", "def make_world(seed: int, _wrong: int)"))
    done = project.snakemake()
    log = next((project.folder / "logs" / "demo" / "synthesize").glob("*.log"))
    assert done.returncode != 0
    assert "TypeError: make_world() missing" in log.read_text()
    told = f"{log.relative_to(project.folder)} ends with: TypeError: make_world() missing"
    assert any(line.startswith(told) for line in (done.stdout + done.stderr).splitlines()[-10:])


def test_a_check_names_every_fault_on_screen_and_on_its_page_and_makes_nothing_else(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", raw_config())
    write_raw(project, pairs=300, objects=[[{"label": "red square", "score": 87.0}]] * 300)
    architecture = ARCHITECTURE | {"text_cfg": {"heads": 0}}
    (project.folder / "config" / "architectures" / "small.json").write_text(json.dumps(architecture))
    done = project.snakemake("check")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    page = (project.folder / "results" / "check.html").read_text()
    assert "2 faults were found" in page
    for fault in ("the score 87.0 is no number from 0 to 1", "OpenCLIP cannot build the architecture"):
        assert any(line.startswith("fault ") and fault in line for line in output.splitlines())
        assert fault in page
    assert "Traceback" not in output
    assert [path.name for path in (project.folder / "results").iterdir()] == ["check.html"]
