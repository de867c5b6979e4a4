"""Further replicates train only themselves, and the split's database and report tell of all of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from dejavu.memorization.metrics import TESTED
from dejavu.report.queries import Queries
from dejavu.report.recipes import recipe_changes
from tests.harness.project import CONFIG, ROOT, Project
from tests.harness.shown_numbers import assert_shown

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODELS = ("baseline", "masked")
QUERIES, SCOPES = ("caption", "masked", "remainder", "rare"), ("all", "unnamed")
# steps that a further replicate has of its own
OF_REPLICATE = {
    "recipe",
    "manifest",
    "replicate_manifest",
    "disjoint",
    "train",
    "query_texts",
    "embed",
    "embed_queries",
    "neighbors",
    "query_neighbors",
    "score",
    "attacks",
}
OF_SPLIT = {"replicates", "database", "figures", "report"}


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished run with a second replicate of two of its models."""
    project = finished.copy(tmp_path_factory.mktemp("replicates") / "project")
    config = copy.deepcopy(CONFIG)
    config["models"] = {name: CONFIG["models"][name] for name in MODELS}
    config["splits"]["default"]["replicates"] = 2
    project.write_config(config)
    planned = project.planned()
    assert {job.split()[0] for job in planned} == OF_REPLICATE | OF_SPLIT
    # once, and not for the split itself again
    assert planned["replicate_manifest role=a"] == planned["manifest role=public"] == 1
    assert all(planned[f"train model={model} side={side}"] == 1 for model in MODELS for side in "ab")
    assert all(planned[f"embed model={model} role=public side=a"] == 1 for model in MODELS)
    project.run()
    return project


def rows(project: Project, query: str) -> list[tuple]:
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def manifest(folder: Path, role: str) -> set[int]:
    return set(pq.read_table(folder / "manifests" / f"{role}.parquet")["row"].to_pylist())


def test_the_training_pool_is_dealt_anew_and_the_other_roles_stay(project: Project) -> None:
    other = project.results.parent / "default.replicate-1"
    assert manifest(other, "a") | manifest(other, "b") == manifest(project.results, "a") | manifest(
        project.results, "b"
    )
    assert not manifest(other, "a") & manifest(other, "b")
    assert manifest(other, "a") != manifest(project.results, "a")
    for role in ("public", "holdout"):
        assert manifest(other, role) == manifest(project.results, role)
    recipes = [
        json.loads((folder / "models" / "baseline" / "recipe.json").read_text()) for folder in (project.results, other)
    ]
    assert "seed" not in recipes[0]["recipe"] and recipes[1]["recipe"].pop("seed")
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    "table",
    ["replicates-table", "recipe-changes-table", "single-samples-table", "power-table of replicates"],
)
def test_every_number_of_a_table_of_replicates_is_that_of_its_query(table: str, project: Project) -> None:
    assert_shown(table, project.results)


def test_the_change_between_recipes_is_the_mean_of_the_differences_by_replicate(project: Project) -> None:
    cell = "query, scope, metric"
    differences = rows(
        project,
        f"SELECT {cell}, avg(masked.value - baseline.value), count(*) FROM replicates AS masked "
        f"JOIN replicates AS baseline USING (replicate, population, k, labels, {cell}) "
        "JOIN reported_cell USING (k, labels) "
        "WHERE masked.model = 'masked' AND baseline.model = 'baseline' AND population = 'symmetric' GROUP BY ALL",
    )
    queries = Queries(project.results / "memorization.duckdb", ROOT / "workflow" / "sql")
    known = {tuple(names): (mean, number) for *names, mean, number in differences}
    shown = [row for row in recipe_changes(queries) if (row["model"], row["compared_with"]) == ("masked", "baseline")]
    assert len(shown) == len(QUERIES) * len(SCOPES) * len(TESTED)
    for row in shown:
        mean, number = known[row["query"], row["scope"], row["metric"]]
        assert row["mean"] == pytest.approx(mean, abs=1e-12) and row["replicates"] == number == 2


def test_replicate_0_is_the_split_and_the_mean_is_over_both(project: Project) -> None:
    cell = "query, k, labels, scope, metric"
    assert rows(
        project,
        f"SELECT count(*), max(abs(one.value - gap.value)) < 1e-12 FROM replicates AS one "
        f"JOIN population_gaps AS gap USING (model, epoch, population, {cell}) WHERE replicate = 0",
    ) == [(len(MODELS) * 2 * 4 * 2 * 4, True)]
    assert rows(
        project,
        f"SELECT count(*), max(abs(mean - value)) < 1e-12, bool_and(low <= mean AND mean <= high), min(replicates) "
        f"FROM recipe_intervals "
        f"JOIN (SELECT model, population, {cell}, avg(value) AS value FROM replicates GROUP BY ALL) "
        f"USING (model, population, {cell})",
    ) == [(len(MODELS) * 2 * 4 * 2 * 4, True, True, 2)]


def test_the_evidence_for_single_samples_rests_on_all_replicates(project: Project) -> None:
    pool = len(manifest(project.results, "a") | manifest(project.results, "b"))
    found = rows(
        project,
        "SELECT model, min(replicates), max(replicates), count(*), count(std_error) FROM sample_memorization "
        "JOIN last_epochs USING (model, epoch) "
        "WHERE statistic = 'pair cosine' GROUP BY model ORDER BY model",
    )
    assert found == [(model, 2, 2, pool, pool) for model in MODELS]
    assert rows(project, "SELECT DISTINCT listing, confirming FROM confirmations") == [(1, 1)]


def test_the_report_shows_recipes_over_trainings_and_nothing_is_left_to_do(project: Project) -> None:
    shown = {"index": ("replicates-table", "recipe-changes-table"), "single_samples": ("single-samples-table",)}
    for page, tables in shown.items():
        text = (project.results / "report" / f"{page}.html").read_text()
        assert all(f'id="{table}"' in text for table in tables)
    assert "baseline: over 2 trainings, mean" in (project.results / "summary.txt").read_text()
    assert not (project.results.parent / "default.replicate-1" / "memorization.duckdb").exists()
    assert project.planned() == {}
