"""Bad input ends in one sentence that names the place and the remedy, before any long work."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.harness.project import ARCHITECTURE, CONFIG, Project, write_raw

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
    # single keys on the command line change the default, also those within sections
    done = project.snakemake("--dry-run", "--config", "device=cpu", "report={gallery: 2}", "measure={labels: [1, all]}")
    assert done.returncode == 0, done.stdout + done.stderr
    done = project.snakemake("--dry-run", "--config", "report={gallery: few}")
    assert "configuration key 'report.gallery' is \"few\", but it must be a whole number" in done.stdout + done.stderr


def deploy(folder: Path, snakefile: str) -> Project:
    """Another workflow in a folder of its own, with a configuration for this one."""
    for path, text in {"config/config.yaml": yaml.safe_dump(CONFIG), "workflow/Snakefile": snakefile}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    architecture = folder / "config" / "architectures" / "small.json"
    architecture.parent.mkdir()
    architecture.write_text(json.dumps(ARCHITECTURE))
    return Project(folder)


def test_a_workflow_of_three_lines_that_imports_this_one_runs_its_jobs(tmp_path: Path) -> None:
    inner = Project.make(tmp_path / "project").folder / "workflow" / "Snakefile"
    outer = deploy(tmp_path / "outer", f'module dejavu:\n    snakefile: "{inner}"\nuse rule * from dejavu\n')
    output = outer.run("results/demo/inventory.json")
    assert json.loads((outer.folder / "results" / "demo" / "inventory.json").read_text())
    # it has no profile of ours
    assert output.count("The rerun trigger `code` is on, so jobs run again") == 1


DEPLOYED = """
configfile: "config/config.yaml"
module dejavu:
    snakefile: "{inner}"
    config: config
    {more}
use rule * from dejavu as dejavu_*
rule own:
    default_target: True
    input: rules.dejavu_all.input, config=f"{{config['models']['masked']['like']}}.txt"
rule text:
    output: "baseline.txt"
    shell: "touch {{output}}"
"""


def test_a_deployed_copy_plans_everything_beside_another_configuration(tmp_path: Path) -> None:
    inner = Project.make(tmp_path / "project").folder / "Snakefile"
    outer = deploy(tmp_path / "outer", DEPLOYED.format(inner=inner, more=""))
    planned = outer.planned()
    assert planned["dejavu_report"] == planned["dejavu_database"] == planned["own"] == planned["text"] == 1
    assert sum(jobs for name, jobs in planned.items() if name.startswith("dejavu_train ")) == 4


def test_a_prefix_for_the_paths_of_the_workflow_is_refused(tmp_path: Path) -> None:
    inner = Project.make(tmp_path / "project").folder / "workflow" / "Snakefile"
    outer = deploy(tmp_path / "outer", DEPLOYED.format(inner=inner, more='prefix: "elsewhere"'))
    done = outer.snakemake("--dry-run")
    assert done.returncode != 0
    assert "was imported with `prefix` or `replace_prefix`, but its files always lie in results/" in (
        done.stdout + done.stderr
    )


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
