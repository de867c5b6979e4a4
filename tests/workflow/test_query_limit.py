"""A limit of the samples that are asked about, and tables that lie beside the database."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from dejavu.tables import DATABASE
from tests.harness.comparison import differing_tables
from tests.harness.project import CONFIG, ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

LIMIT, LARGER = 40, 45
ROLES = {role: section["limit"] for role, section in CONFIG["splits"]["default"]["roles"].items()}
# what follows from the samples that are asked about
FOLLOWS = {
    "query_manifest",
    "query_texts",
    "embed",
    "embed_queries",
    "neighbors",
    "tfidf_neighbors",
    "query_neighbors",
    "score",
    "population",
    "attacks",
    "utility",
    "database",
    "figures",
    "report",
}
# tables in which last bits of embeddings show, as numbers or as near-equal places exchanged
OF_LAST_BITS = (
    "neighbors",
    "sample_scores",
    "sample_attacks",
    "attacks",
    "membership",
    "membership_curves",
    "sample_memorization",
    "memory_sources",
    "memory_trends",
    "privacy",
)
# and is made of them, with what lets embeddings be used again
MADE = ("queries", "embeddings", "kept", "neighbors", "scores", "populations", "attacks", "utility", "utility_draws")


def limited(number: int, rows: int | None = None) -> dict:
    """The configuration of the finished run with a limit, of fewer models to save time."""
    config = copy.deepcopy(CONFIG)
    config["models"] = {name: CONFIG["models"][name] for name in ("baseline", "one-model")}
    config["measure"] |= {"query_limit": number, "queries": ["caption", "rare"]}
    if rows is not None:
        config["report"] = CONFIG["report"] | {"database_rows": rows}
    return config


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished run with a limit, then with a larger one."""
    project = finished.copy(tmp_path_factory.mktemp("limit") / "project")
    config = copy.deepcopy(CONFIG)
    config["measure"]["query_limit"] = LIMIT
    project.write_config(config)
    planned = project.planned()
    assert {job.split()[0] for job in planned} == FOLLOWS
    assert not [job for job in planned if "role=public" in job]
    for number in (LIMIT, LARGER):
        project.write_config(limited(number))
        (project.folder / "output.txt").write_text(project.run())
    assert project.planned() == {}
    return project


@pytest.fixture(scope="module")
def from_scratch(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with nothing of an earlier limit; large tables lie beside its database."""
    other = project.copy(tmp_path_factory.mktemp("scratch") / "project")
    for name in MADE:
        shutil.rmtree(other.results / name)
    other.write_config(limited(LARGER, rows=100))
    other.run()
    return other


def asked(project: Project, role: str) -> set[int]:
    return set(pq.read_table(project.results / "queries" / f"{role}.parquet")["row"].to_pylist())


def test_only_what_is_new_is_embedded_and_every_array_holds_what_is_asked(project: Project) -> None:
    logs = project.folder / "logs" / "demo" / "default"
    for role in ("a", "b", "holdout"):
        manifest = pq.read_table(project.results / "manifests" / f"{role}.parquet").sort_by("position")
        assert manifest.num_rows == ROLES[role]
        assert asked(project, role) == set(manifest["row"].to_pylist()[:LARGER])
        rows = np.load(project.results / "embeddings" / "baseline" / "a" / "320" / f"{role}.rows.npy")
        assert rows.tolist() == sorted(asked(project, role))
        said = (logs / "embed" / f"baseline.a.320.{role}.log").read_text()
        assert f"{LIMIT} of {LARGER} samples were embedded before" in said
    assert (
        len(np.load(project.results / "embeddings" / "baseline" / "a" / "320" / "public.rows.npy")) == ROLES["public"]
    )
    # the texts of rare words depend on how many captions are asked, and only equal texts are equal queries
    assert "rare: " in (logs / "embed_queries" / "baseline.a.320.log").read_text()


def test_the_results_are_those_of_a_run_that_had_the_limit_at_first(project: Project, from_scratch: Project) -> None:
    # the other run still has arrays of models and queries that it began with
    arrays = [path.relative_to(from_scratch.results) for path in from_scratch.results.glob("embeddings/*/*/*/*.npy")]
    assert len(arrays) >= 2 * (3 * 4 + 3)
    for name in arrays:
        one, other = (np.load(p.results / name) for p in (project, from_scratch))
        # embedded in other batches, which may change last bits
        assert one.shape == other.shape and np.allclose(one, other, rtol=0, atol=1e-5), name
    differing = differing_tables(*(p.results / "memorization.duckdb" for p in (project, from_scratch)))
    # of which the configuration's hash is one
    assert set(differing) <= {"config", "hashes", *OF_LAST_BITS}


def test_tables_and_report_say_how_many_samples_are_asked_about(project: Project) -> None:
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        roles = connection.execute("SELECT role, samples, asked FROM roles").fetchall()
        used = dict(connection.execute("SELECT role, count(*) FROM samples GROUP BY role").fetchall())
        stage = connection.execute(
            "SELECT subject, rows_in, rows_out, dropped FROM stages WHERE stage = 'query_manifest'"
        )
        stages = stage.fetchall()
    assert {role: (samples, number) for role, samples, number in roles} == {
        role: (number, None if role == "public" else LARGER) for role, number in ROLES.items()
    }
    assert used == {role: ROLES[role] if role == "public" else LARGER for role in ROLES}
    assert {s[0]: s[1:] for s in stages} == {
        role: (ROLES[role], LARGER, {"beyond measure.query_limit": ROLES[role] - LARGER}) for role in "ab"
    } | {"holdout": (ROLES["holdout"], LARGER, {"beyond measure.query_limit": ROLES["holdout"] - LARGER})}
    page = (project.results / "report" / "index.html").read_text()
    assert f"{LARGER} of {ROLES['holdout']} samples of role holdout" in page


def test_large_tables_lie_beside_the_database_with_names_columns_and_comments(from_scratch: Project) -> None:
    folder = from_scratch.results
    with duckdb.connect(str(folder / "memorization.duckdb"), read_only=True) as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        views = {
            name for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        }
        assert {"samples", "neighbors", "sample_scores", "bootstrap_draws", "sample_attacks", "utility_draws"} <= views
        for name, (comment, schema) in DATABASE.items():
            described = connection.execute(f'DESCRIBE "{name}"').fetchall()
            assert [column for column, *_ in described] == schema.names, name
            found = connection.execute(
                "SELECT comment FROM duckdb_tables() WHERE table_name = ? UNION ALL "
                "SELECT comment FROM duckdb_views() WHERE view_name = ?",
                [name, name],
            ).fetchall()
            assert found == [(comment,)]
            comments = connection.execute(
                "SELECT comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
            ).fetchall()
            assert [text for (text,) in comments] == [f.metadata[b"comment"].decode() for f in schema]
        for query in sorted((ROOT / "workflow" / "sql").rglob("*.sql")):
            if query.stem in ("gallery_neighbors", "gallery_evidence"):
                rows = "SELECT model, row FROM neighbors LIMIT 1"
                connection.execute(f"CREATE OR REPLACE TEMP TABLE gallery_rows AS {rows}")
            if query.stem == "study_values":
                connection.execute("CREATE TEMP TABLE wanted AS SELECT study, place FROM studies")
            connection.execute(query.read_text()).fetchall()


def test_the_pair_can_be_moved_and_the_database_alone_opens(from_scratch: Project, tmp_path: Path) -> None:
    shutil.copy(from_scratch.results / "memorization.duckdb", tmp_path)
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        with duckdb.connect("memorization.duckdb", read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM population_gaps").fetchall()[0][0] > 0
            with pytest.raises(duckdb.IOException, match=r"memorization.parquet/[0-9a-f]{16}/neighbors"):
                connection.execute("SELECT count(*) FROM neighbors")
            shutil.copytree(from_scratch.results / "memorization.parquet", tmp_path / "memorization.parquet")
            assert connection.execute("SELECT count(*) FROM neighbors").fetchall()[0][0] > 100
    finally:
        os.chdir(here)
