"""Studies train what they must and nothing else, and every checkpoint that is kept is measured."""

from __future__ import annotations

import copy
import csv
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.harness.project import CONFIG, ROOT, Project, jobs_in
from tests.harness.shown_numbers import assert_study_shown

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def with_studies(**studies: dict) -> dict:
    return copy.deepcopy(CONFIG) | {"studies": studies}


def test_a_study_of_models_that_are_there_makes_a_page_and_no_model(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.write_config(with_studies(masking={"model": "baseline", "axis": "text_mask", "values": [0, 0.5]}))
    assert set(project.planned()) == {"database", "figures", "report", "study study=masking"}


def test_a_study_of_sizes_trains_both_sides_of_every_size_that_is_not_there(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    values = [35, 40, 50]
    masking = {"model": "baseline", "axis": "text_mask", "values": [0, 0.5]}
    size = {"model": "baseline", "axis": "training_set_size", "values": values}
    project.write_config(with_studies(masking=masking, size=size))
    output = project.run("--dry-run")
    planned = jobs_in(output)
    assert {job: number for job, number in planned.items() if job.startswith("train")} == {
        "train model=baseline side=a": 2,
        "train model=baseline side=b": 2,
    }
    assert not any(job.split()[0] in ("ingest", "annotate", "fingerprint", "duplicates") for job in planned)
    # the study of sizes opens three databases, the other one
    found = re.findall(r"^    wildcards: .*\bstudy=(\w+)\n    resources: .*?\bmem_mb=(\d+)", output, re.MULTILINE)
    memory = {study: int(amount) for study, amount in found}
    assert memory["size"] > memory["masking"]


def test_a_checkpoint_more_embeds_it_and_trains_its_model_again(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    config = copy.deepcopy(CONFIG)
    config["models"]["baseline"]["checkpoints"] = [160]
    project.write_config(config)
    planned = project.planned()
    embedded = {
        f"embed model=baseline role={role} side={side}": 2
        for role in CONFIG["splits"]["default"]["roles"]
        for side in "ab"
    }
    trained = {job: number for job, number in planned.items() if job.startswith(("train", "embed"))}
    assert trained.items() >= (embedded | {f"train model=baseline side={side}": 1 for side in "ab"}).items()


def test_kept_checkpoints_are_measured_and_early_stopping_is_one_of_them(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.write_config(with_studies(epochs={"model": "masked", "axis": "checkpoint", "values": [160, 320]}))
    assert set(project.planned()) == {"database", "figures", "report", "study study=epochs"}
    project.run()
    checkpoints = project.results / "models" / "masked" / "a" / "checkpoints"
    assert sorted(path.name for path in checkpoints.glob("*.pt")) == ["160.pt", "320.pt"]
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        # role a has 50 samples
        epochs = connection.execute("SELECT DISTINCT model, epoch FROM sample_scores ORDER BY ALL").fetchall()
        assert epochs == [("baseline", 7), ("early", 4), ("masked", 4), ("masked", 7), ("one-model", 7)]
        scores = "SELECT * EXCLUDE (model, epoch) FROM sample_scores WHERE model = ? AND epoch = ? ORDER BY ALL"
        at_4, early, at_7 = (
            connection.execute(scores, [m, e]).fetchall() for m, e in (("masked", 4), ("early", 4), ("masked", 7))
        )
        assert at_4 == early != at_7
        gaps = connection.execute(
            "SELECT query, epoch, value FROM population_gaps WHERE model = 'masked' AND population = 'symmetric' "
            "AND k = 10 AND labels = 'all' AND scope = 'all' AND metric = 'ppg' ORDER BY ALL"
        ).fetchall()
    study = project.folder / "results" / "demo" / "studies" / "epochs"
    with open(study / "points.tsv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (row["scope"], row["metric"]) == ("all", "ppg")]
    assert len(gaps) == 4 * 2
    assert sorted((row["query"], int(row["epoch"]), float(row["gap"])) for row in rows) == gaps
    assert all(row["control_value"] and row["ci_low"] for row in rows)
    assert_study_shown(study)
    assert "figures/along.svg" in (study / "report" / "index.html").read_text(encoding="utf-8")
    page = (project.results / "report" / "index.html").read_text(encoding="utf-8")
    assert 'id="figure-epochs"' in page and (project.results / "report" / "data" / "epochs.csv").is_file()
    assert project.planned() == {}


def test_the_ready_configuration_at_the_paper_s_scale_can_be_planned(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "config" / "laion-10m.yaml").read_text(encoding="utf-8"))
    project = Project.make(tmp_path / "project", config)
    raw = project.folder / "laion"
    detector = project.folder / config["datasets"]["laion"]["annotate"]["model"]
    for folder in (raw, detector):
        folder.mkdir(parents=True)
    (detector / "config.json").write_text("{}")
    # as many rows as the roles need, with the columns that planning reads
    rows = sum(role["limit"] for role in config["splits"]["ten-million"]["roles"].values())
    column = pa.array(["x"]).dictionary_encode().take(pa.array([0] * 1_000_000))
    for number in range(-(-rows // 1_000_000)):
        pq.write_table(pa.table({"caption": column, "key": column}), raw / f"{number:05d}.parquet")
        (raw / f"{number:05d}.tar").touch()
    planned = project.planned()
    models = {job.split()[1] for job in planned if job.startswith("recipe")}
    # two models are the first value of all their axes, except the axis of sizes
    assert len(models) == 2 + 3 + 3 + 3 + 2
    assert sum(number for job, number in planned.items() if job.startswith("study")) == len(config["studies"])
