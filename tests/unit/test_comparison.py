"""What it means that two runs gave the same."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.harness.comparison import differing_checkpoints, differing_tables

ROWS = [("ingest", 1.0, None), ("ingest", 1.0, None), ("embed", float("nan"), 2)]


@pytest.fixture
def database(tmp_path: Path):
    def write(name: str, rows: list[tuple], seconds: float, table: str = "stages") -> Path:
        path = tmp_path / name / "memorization.duckdb"
        path.parent.mkdir()
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE {table} (stage TEXT, value DOUBLE, n INTEGER, seconds DOUBLE)")
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", [(*row, seconds) for row in rows])
        return path

    return write


def test_a_difference_of_rows_is_found_and_none_of_their_order(database):
    truth = database("it's", ROWS, 1.0)
    assert differing_tables(truth, database("order", ROWS[::-1], 2.0)) == []
    assert differing_tables(truth, database("value", [*ROWS[:2], ("embed", float("nan"), 3)], 1.0)) == ["stages"]
    assert differing_tables(truth, database("one of two equal rows", ROWS[1:], 1.0)) == ["stages"]
    assert differing_tables(truth, database("a third", [*ROWS, ROWS[0]], 1.0)) == ["stages"]
    assert differing_tables(truth, database("table", ROWS, 1.0, "training")) == ["stages", "training"]


def test_rows_of_some_models_are_compared_as_if_there_were_no_others(tmp_path: Path):
    def write(name: str, model: str, own: int, others: int) -> Path:
        path = tmp_path / f"{name}.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "CREATE TABLE sides AS SELECT 'it' AS model, $own AS x UNION ALL SELECT $model, $others",
                {"own": own, "model": model, "others": others},
            )
            connection.execute("CREATE TABLE stages AS SELECT $others AS x", {"others": others})
            connection.execute("CREATE TABLE samples AS SELECT $own AS x", {"own": own})
        return path

    truth = write("truth", "one", 1, 2)
    assert differing_tables(truth, write("others", "two", 1, 3), ["it"]) == []
    assert differing_tables(truth, write("own", "one", 0, 2), ["it"]) == ["samples", "sides"]


def test_checkpoints_with_other_bytes_or_missing_are_found(tmp_path: Path):
    for name, content in {
        "truth/a/1": b"x",
        "other/a/1": b"x",
        "truth/a/2": b"x",
        "other/a/2": b"y",
        "truth/b/3": b"x",
    }.items():
        top, side, number = name.split("/")
        path = tmp_path / top / side / "checkpoints" / f"{number}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = differing_checkpoints(tmp_path / "truth", tmp_path / "other")
    assert found == ["a/checkpoints/2.pt", "b/checkpoints/3.pt"]
