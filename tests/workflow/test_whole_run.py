"""The main job: from raw parquet to a report, on a small configuration."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pytest

from dejavu.tables import DATABASE
from tests.conftest import ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODELS = ("baseline", "masked", "early", "one-model")
CONTRACT = {
    "sides": "model side kind source search preprocessing preprocessing_known",
    "roles": "role dataset samples listed missing",
    "samples": "row uid role caption objects unnamed group_id",
    "neighbors": "model side epoch population row rank public_row similarity",
    "sample_scores": "model epoch population k labels scope row objects_n precision_a precision_b recall_a recall_b "
    "f1_a f1_b correct_a correct_b nearest_a nearest_b",
    "population_gaps": "model epoch population k labels scope metric value mean std ci_low ci_high p_value n",
    "bootstrap_draws": "model epoch population k labels scope metric draw value",
    "bands": "model epoch population k labels scope metric band_low band_high std_error critical cells detectable",
    "top_l": "model epoch population k labels scope sort unit l precision_gap recall_gap f1_gap mean_f1_gap",
    "recall_curves": "model epoch population k labels scope side recall share_at_least",
    "utility": "model side epoch task metric value ci_low ci_high n",
    "utility_draws": "model side epoch task metric draw value",
    "attacks": "model side epoch attack metric value ci_low ci_high n",
    "sample_attacks": "model side epoch population row csa clipmem",
    "training": "model side epoch step samples_seen loss learning_rate logit_scale gradient_norm samples_per_second "
    "data_wait",
    "studies": "study axis place value model epoch",
    "stages": "stage subject rows_in rows_out dropped seconds peak_memory_mb",
    "duplicates": "dataset group_id size criteria members",
    "config": "key value",
}


# the drawn data holds no duplicates, and this run no study and no list
EMPTY = ("duplicates", "studies")
EMPTY_QUERIES = (
    "checkpoints",
    "duplicate_groups",
    "listed_roles",
    "seed_spread",
    "study",
    "study_draws",
    "study_utility",
    "study_utility_draws",
    "study_values",
)


def test_the_database_has_the_tables_and_columns_of_the_contract(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        empty = {table for table in CONTRACT if not connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()}
    for table, columns in CONTRACT.items():
        assert {column for name, column, _ in found if name == table} == set(columns.split()), table
    assert empty == set(EMPTY)
    assert all(comment for _, _, comment in found), "every column is commented"
    assert set(CONTRACT) == set(DATABASE)


def test_the_database_opens_in_the_first_stable_duckdb(finished: Project) -> None:
    """The file says that DuckDB 1.0 can read it; it was tried with 1.0 to 1.5, all tables and comments."""
    database = finished.results / "memorization.duckdb"
    # after a checksum and a magic word the storage version: 64 until DuckDB 1.1, 65 and above for later ones
    header = database.read_bytes()[8:20]
    assert (header[:4], int.from_bytes(header[4:], "little")) == (b"DUCK", 64)


def test_every_gap_has_its_null_and_its_symmetric_estimate(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        cells = connection.execute(
            "SELECT model, epoch, k, labels, scope, metric, list(population ORDER BY population), "
            "max(value) FILTER (population = 'symmetric') "
            "- (max(value) FILTER (population = 'a') - max(value) FILTER (population = 'b')) / 2 "
            "FROM population_gaps GROUP BY ALL"
        ).fetchall()
    # four models, of which one has two checkpoints
    assert len(cells) == 5 * 2 * 2 * 2 * 4
    for model, *_, populations, difference in cells:
        assert populations == ["a", "b", "holdout", "symmetric", *(["unseen"] if model == "one-model" else [])]
        assert abs(difference) < 1e-12


def test_the_bands_are_those_of_max_t_over_all_that_the_report_shows(finished: Project) -> None:
    place = ("model", "epoch", "population", "k", "labels", "scope", "metric")
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        cells = connection.sql(
            "SELECT bands.*, value FROM bands "
            "JOIN population_gaps USING (model, epoch, population, k, labels, scope, metric) ORDER BY ALL"
        )
        cells = cells.to_arrow_table().to_pylist()
        draws = connection.sql("SELECT * FROM bootstrap_draws ORDER BY draw").to_arrow_table().to_pylist()
    # four models, two scopes, three metrics, each gap with its null
    assert len(cells) == 4 * 2 * 3 * 2
    nulls = {(cell["model"], cell["population"]) for cell in cells} - {(m, "symmetric") for m in MODELS}
    assert nulls == {
        ("one-model", "unseen"),
        *((model, "holdout") for model in MODELS[:3]),
    }
    drawn: dict[tuple, list[float]] = {tuple(cell[name] for name in place): [] for cell in cells}
    for draw in draws:
        if (key := tuple(draw[name] for name in place)) in drawn:
            drawn[key].append(draw["value"])
    columns = [drawn[tuple(cell[name] for name in place)] for cell in cells]
    errors = [np.std(column, ddof=1) for column in columns]
    largest = [
        max(abs(column[i] - cell["value"]) / e for column, cell, e in zip(columns, cells, errors, strict=True) if e)
        for i in range(200)
    ]
    critical = np.quantile(largest, 0.95)
    assert critical > 2
    for cell, error in zip(cells, errors, strict=True):
        assert cell["critical"] == pytest.approx(critical, rel=1e-4)
        assert cell["band_low"] == pytest.approx(cell["value"] - critical * error, abs=1e-4)
        assert cell["band_high"] == pytest.approx(cell["value"] + critical * error, abs=1e-4)


def test_the_models_of_one_split_share_their_resamples(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        (agreement,) = connection.execute(
            "SELECT corr(one.value, other.value) FROM bootstrap_draws AS one JOIN bootstrap_draws AS other "
            "USING (epoch, population, k, labels, scope, metric, draw) WHERE population = 'a' AND metric = 'aucg' "
            "AND k = 10 AND labels = 'all' AND scope = 'all' AND one.model = 'baseline' AND other.model = 'one-model'"
        ).fetchone()
    # side a is the same model in both, so the same resample moves both gaps
    assert agreement > 0.2


QUESTIONS = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "questions.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_the_example_questions_of_the_docs_have_answers(finished: Project, number: int) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        assert connection.execute(QUESTIONS[number]).fetchall()


@pytest.mark.parametrize("query", sorted((ROOT / "workflow" / "sql").glob("*.sql")), ids=lambda path: path.stem)
def test_the_queries_behind_the_report_run_by_hand_on_the_file(finished: Project, query: Path) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        if query.stem == "gallery_neighbors":
            connection.execute("CREATE TEMP TABLE gallery_rows AS SELECT model, row FROM neighbors LIMIT 1")
        if query.stem == "study_values":
            connection.execute("CREATE TEMP TABLE wanted AS SELECT study, place FROM studies")
        assert connection.execute(query.read_text()).fetchall() or query.stem in EMPTY_QUERIES


def test_roles_are_disjoint_and_nothing_vanishes(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        repeated = connection.execute(
            "SELECT count(*) FROM (SELECT group_id FROM samples GROUP BY group_id HAVING count(DISTINCT role) > 1)"
        ).fetchall()
        lost = connection.execute(
            "SELECT * FROM stages WHERE rows_in <> rows_out + coalesce(list_sum(map_values(dropped)), 0)"
        ).fetchall()
        raw = connection.execute("SELECT rows_in, rows_out FROM stages WHERE stage = 'ingest'").fetchall()
    assert repeated == [(0,)]
    assert lost == []
    assert raw == [(400, 400)]


def test_the_terminal_shows_the_result_table_and_where_the_report_is(finished: Project) -> None:
    output = (finished.folder / "output.txt").read_text()
    assert "symmetric" in output and "95 % band" in output and "null on the holdout" in output
    assert str(finished.results / "report" / "index.html") in output


def test_every_log_holds_what_its_job_printed(finished: Project) -> None:
    log = finished.folder / "logs" / "demo" / "default" / "train" / "baseline.a.log"
    assert "320/320 samples (100 %)" in log.read_text()


def test_training_leaves_nothing_behind_but_its_outputs(finished: Project) -> None:
    assert not list(finished.results.glob("state/*/*/*"))
    assert not [path for path in finished.folder.rglob("*.tmp") if ".snakemake" not in path.parts]


def test_the_snakemake_report_holds_the_figures_and_the_site(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.run("--report", "report.zip")
    with zipfile.ZipFile(project.folder / "report.zip") as archive:
        everything = "\n".join(archive.namelist())
        page = b"".join(archive.read(name) for name in archive.namelist() if name.endswith((".html", ".js"))).decode()
    assert "index.html" in everything
    for words in ("Figures", "Memorization report", "Tables", "recall curves"):
        assert words in page


def test_a_second_run_does_nothing(finished: Project) -> None:
    assert "Nothing to be done" in finished.run()


def test_another_clone_with_results_and_records_copied_in_plans_nothing(finished: Project, tmp_path: Path) -> None:
    clone = Project.make(tmp_path / "clone")
    shutil.copytree(finished.folder / "results", clone.folder / "results")
    shutil.copytree(finished.folder / ".snakemake" / "metadata", clone.folder / ".snakemake" / "metadata")
    assert clone.planned() == {}


def test_results_without_records_are_met_with_a_warning(finished: Project, tmp_path: Path) -> None:
    clone = Project.make(tmp_path / "clone")
    shutil.copytree(finished.folder / "results", clone.folder / "results")
    assert "cannot be seen" in clone.run("--dry-run")
