"""What the database and the report repeat stands in one place: metrics, the control's rule, figures and captions."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from tests.harness.databases import write_database
from tests.harness.project import ROOT

from dejavu.errors import InputError
from dejavu.memorization.metrics import KEYS, METRICS, TESTED
from dejavu.report.captions import captions, is_blank
from dejavu.report.figures import draw_figures
from dejavu.report.queries import Queries
from dejavu.sides import KINDS
from dejavu.tables import VIEWS

SQL, PACKAGE = ROOT / "workflow" / "sql", ROOT / "src" / "dejavu"
FIGURES = captions(ROOT / "workflow" / "report" / "figures")


def queries() -> dict[Path, str]:
    """The queries without their comments."""
    return {path: re.sub("--.*", "", path.read_text()) for path in SQL.rglob("*.sql")}


def test_the_rule_of_the_control_stands_once() -> None:
    assert [path.stem for path, text in queries().items() if "'unseen'" in text] == ["reference_sides"]


def test_what_a_one_model_test_is_stands_once() -> None:
    modules = {
        path: path.read_text() for name in ("database", "report") for path in PACKAGE.joinpath(name).rglob("*.py")
    }
    kinds = [kind for kind in KINDS if not KINDS[kind].has_images]
    quoted = [quote + kind + quote for kind in kinds for quote in "'\""]
    assert not [path for path, text in (queries() | modules).items() if any(kind in text for kind in quoted)]


def test_no_query_lists_the_metrics() -> None:
    # tradeoff.sql names the one that a mitigation is judged by
    others = [key for key in KEYS if key != "ppg"]
    assert not [path for path, text in queries().items() if any(f"'{key}'" in text for key in others)]


def cell(population: str, value: float, **changes: object) -> dict:
    place = {"model": "m", "epoch": 9, "query": "caption", "k": 10, "labels": "all", "scope": "all", "metric": "ppg"}
    return {**place, "population": population, "value": value, "n": 100, **changes}


@pytest.mark.parametrize(
    ("kind", "control"), [("trained", "holdout"), ("checkpoint", "holdout"), ("text_encoder", "unseen")]
)
def test_the_control_is_of_two_unseen_roles_where_side_b_reads_captions_only(tmp_path, kind, control) -> None:
    gaps = [
        cell(population, value, **place)
        for population, value in (("symmetric", 0.3), ("holdout", 0.1), ("unseen", 0.2))
        for place in ({}, {"epoch": 4}, {"k": 1}, {"metric": "aucg_binned"})
    ]
    sides = [{"model": "m", "side": side, "kind": of} for side, of in (("a", "trained"), ("b", kind))]
    bands = [cell("symmetric", 0, band_low=0.2, band_high=0.4), cell(control, 0, band_low=0.0, band_high=0.2)]
    bands = [{name: value for name, value in band.items() if name not in ("value", "n")} for band in bands]
    path = write_database(tmp_path / "d.duckdb", {"sides": sides, "population_gaps": gaps, "bands": bands})
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            "SELECT epoch, k, value, control_population, control_value, band_low, control_band_high, is_reported, "
            "is_last FROM gaps_with_controls ORDER BY epoch, k"
        ).fetchall()
    value = {"holdout": 0.1, "unseen": 0.2}[control]
    assert found == [
        (4, 10, 0.3, control, value, None, None, True, False),
        (9, 1, 0.3, control, value, None, None, False, True),
        (9, 10, 0.3, control, value, 0.2, 0.2, True, True),
    ]


def test_the_table_of_metrics_is_the_list_that_the_library_computes(tmp_path) -> None:
    with duckdb.connect(str(write_database(tmp_path / "d.duckdb", {})), read_only=True) as connection:
        found = connection.execute("SELECT metric, name, meaning, source FROM metrics ORDER BY place").fetchall()
        tested = connection.execute("SELECT metric FROM metrics WHERE is_tested ORDER BY place").fetchall()
        views = connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()
    assert found == [(metric.key, metric.name, metric.meaning, metric.source) for metric in METRICS]
    assert [key for (key,) in tested] == list(TESTED)
    assert dict(views) == {name: comment for name, (comment, _) in VIEWS.items()}


def test_a_database_of_an_earlier_version_is_refused_with_a_sentence(tmp_path) -> None:
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE population_gaps (model VARCHAR, epoch INTEGER)")
    with pytest.raises(InputError, match="old.duckdb lacks a table or view that points.sql asks for"):
        Queries(path, SQL).rows("points")


def test_every_figure_has_a_module_and_a_caption(tmp_path) -> None:
    modules = {path.stem for path in (ROOT / "src" / "dejavu" / "report" / "figures").glob("*.py")} - {"__init__"}
    assert set(FIGURES) == modules
    assert all(text.endswith(".") and len(text) > 40 for text in FIGURES.values())


def test_a_figure_with_nothing_to_show_says_so_and_is_known_to(tmp_path) -> None:
    paths = {name: tmp_path / f"{name}.svg" for name in FIGURES}
    draw_figures(Queries(write_database(tmp_path / "d.duckdb", {}), SQL), paths)
    assert all(is_blank(path) and "nothing to show" in path.read_text() for path in paths.values())
