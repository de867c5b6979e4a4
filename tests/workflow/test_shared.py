"""A split whose sides are also trained on shared samples, from the manifests to the report."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.harness.project import CONFIG, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

OWN, SHARED = CONFIG["splits"]["default"]["roles"]["a"]["limit"], 30
ROLES = ("a", "b", "public", "holdout", "shared")


def with_shared() -> dict:
    """The configuration of the finished run, with shared samples from the end of the holdout's interval."""
    config = copy.deepcopy(CONFIG)
    config["splits"]["default"]["roles"]["holdout"]["interval"] = [0.7, 0.88]
    config["splits"]["default"]["roles"]["shared"] = {"interval": [0.88, 1.0], "limit": SHARED}
    return config


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished run with shared samples; one model is run to the end, to save time."""
    project = finished.copy(tmp_path_factory.mktemp("shared") / "project")
    config = with_shared()
    # the others are not looked at
    config["models"] = {"baseline": CONFIG["models"]["baseline"] | {"checkpoints": [160]}}
    config["measure"]["queries"] = ["caption"]
    project.write_config(config)
    project.run()
    return project


def test_a_shared_role_draws_no_other_role_again_and_trains_both_sides(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.write_config(with_shared())
    planned = project.planned()
    drawn = {job for job in planned if job.split()[0] in ("manifest", "training_set", "disjoint", "train", "recipe")}
    # the holdout's interval ends earlier
    assert {job for job in drawn if job.startswith("manifest")} == {"manifest role=holdout", "manifest role=shared"}
    assert {job for job in drawn if job.startswith("training_set")} == {"training_set side=a", "training_set side=b"}
    trained = {f"train model={model} side={side}" for model in ("baseline", "masked") for side in "ab"}
    assert {job for job in drawn if job.startswith("train ")} == trained
    assert "disjoint" in drawn and "recipe" not in {job.split()[0] for job in drawn}
    assert not [job for job in planned if job.startswith("embed") and "role=shared" in job]


def rows_of(path: Path) -> set[int]:
    return set(pq.read_table(path)["row"].to_pylist())


def test_each_side_is_trained_on_its_own_role_and_on_what_is_shared(finished: Project, project: Project) -> None:
    roles = {role: rows_of(project.results / "manifests" / f"{role}.parquet") for role in ROLES}
    assert sum(map(len, roles.values())) == len(set.union(*roles.values())) and len(roles["shared"]) == SHARED
    for side in "ab":
        assert rows_of(project.results / "training_sets" / f"{side}.parquet") == roles[side] | roles["shared"]
        assert roles[side] == rows_of(finished.results / "manifests" / f"{side}.parquet")
        ours, before = (p.results / "models/baseline" / side / "checkpoints" / "320.pt" for p in (project, finished))
        assert ours.read_bytes() != before.read_bytes()
    assert not list(project.results.glob("embeddings/*/*/*/shared.*"))


def test_tables_and_report_tell_of_shared_samples_and_epochs_count_them(project: Project) -> None:
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        (role,) = connection.execute("SELECT samples, asked, listed FROM roles WHERE role = 'shared'").fetchall()
        (samples,) = connection.execute(
            "SELECT count(*), count(caption), count(objects), count(unnamed) FROM samples WHERE role = 'shared'"
        ).fetchall()
        epochs = connection.execute("SELECT DISTINCT epoch FROM population_gaps ORDER BY epoch").fetchall()
        stages = connection.execute(
            "SELECT stage, subject, rows_in, rows_out, seconds > 0 FROM stages "
            "WHERE stage IN ('training_set', 'train') ORDER BY ALL"
        ).fetchall()
    assert role == (SHARED, None, None) and samples == (SHARED, SHARED, 0, 0)
    # 160 and 320 samples seen, of training sets of 80
    assert [epoch for (epoch,) in epochs] == [160 // (OWN + SHARED), 320 // (OWN + SHARED)]
    both = OWN + SHARED
    assert stages == [("train", f"baseline.{side}", both, both, True) for side in "ab"] + [
        ("training_set", side, both, both, True) for side in "ab"
    ]
    page = re.sub(r"\s+", " ", (project.results / "report" / "index.html").read_text())
    assert f"Side a was trained on {both} samples: {OWN} of role a and {SHARED} of role shared." in page
    assert project.planned() == {}
