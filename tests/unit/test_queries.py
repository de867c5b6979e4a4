"""Queries of a report take no more memory than their job is given."""

from __future__ import annotations

import ast

import duckdb
import pytest
from tests.harness.databases import write_database

from dejavu.report.queries import Queries

# sorting a million texts takes more than 60 MB
SORTED = "SELECT md5(range::VARCHAR) AS text FROM range(1000000) ORDER BY text"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sorted.sql").write_text(SORTED)
    write_database(tmp_path / "memorization.duckdb", {})
    return tmp_path


def test_a_query_that_needs_more_memory_than_given_spills_and_finds_the_same(folder):
    database = folder / "memorization.duckdb"
    found, wanted = (Queries(database, folder, memory).table("sorted") for memory in (60, None))
    assert found.equals(wanted)
    # which is more than it may hold
    with pytest.raises(duckdb.OutOfMemoryException):
        held = Queries(database, folder, 60)
        held._connection.execute("SET temp_directory = ''")
        held.table("sorted")
    assert sorted(path.name for path in folder.iterdir()) == ["memorization.duckdb", "sorted.sql"]


def test_every_job_says_what_memory_its_queries_may_take(repository):
    files = [*repository.glob("workflow/scripts/*.py"), *repository.glob("src/dejavu/report/*.py")]
    calls = [node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if ast.unparse(call.func).endswith("Queries")]
    # figures, report, study, and two of share
    assert len(made) == 5
    assert all(len(call.args) == 3 for call in made)
