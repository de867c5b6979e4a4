"""Every number in every table of the report is that of its query, in its row and its column."""

from __future__ import annotations

import pytest

from dejavu.report.queries import Queries
from tests.harness.project import ROOT, Project
from tests.harness.shown_numbers import NUMBER, TABLES, Charts, assert_charts_shown, assert_shown, shown_tables, shows

pytestmark = pytest.mark.workflow

# what has no numbers of a query in columns: the first is asked below, the second is a script's, the last are texts
OTHERS = {"forest-table", "evidence-table", "config-table"}
# what only some runs have; their tests look at these
OF_SOME = {
    *("blind-baseline-table", "replicates-table", "recipe-changes-table", "confirmations-table"),
    *("duplicates-table", "power-table of replicates"),
}


@pytest.mark.parametrize("table", sorted(TABLES.keys() - OF_SOME))
def test_every_number_of_a_table_is_that_of_its_query(table: str, finished: Project) -> None:
    assert_shown(table, finished.results)


def test_no_table_of_the_report_is_left_out_here(finished: Project) -> None:
    assert shown_tables(finished.results / "report").keys() == (TABLES.keys() - OF_SOME) | OTHERS


def test_the_first_figure_shows_the_largest_ppg_of_every_model_in_captions_of_100(finished: Project) -> None:
    _, *lines = shown_tables(finished.results / "report")["forest-table"]
    queries = Queries(finished.results / "memorization.duckdb", ROOT / "workflow" / "sql")
    shown = [row for row in queries.rows("result_table") if (row["metric"], row["scope"]) == ("ppg", "all")]
    by_model = {row["model"]: row for row in sorted(shown, key=lambda row: row["value"])}
    assert [cells[0] for cells in lines] == sorted(by_model)
    for model, _, gap, control, missed in lines:
        row = by_model[model]
        factor = 200 if row["control_population"] == "unseen" else 100
        for cell, names in (
            (gap, ("value", "band_low", "band_high")),
            (control, ("control_value", "control_band_low", "control_band_high")),
            (missed, ("detectable",)),
        ):
            assert shows(cell, [factor * row[name] for name in names]), (model, cell)
    ((_, titles),) = Charts(finished.results / "report" / "index.html").panels["forest"]
    assert len(titles) > len(by_model)
    for title in titles:
        model, told = title.split(": ", 1)
        row = by_model[model]
        factor = 200 if row["control_population"] == "unseen" else 100
        values = [factor * value for value in row.values() if isinstance(value, float)]
        assert all(any(shows(text, [value]) for value in values) for text in NUMBER.findall(told)), title


def test_every_number_that_a_figure_tells_is_in_its_data_and_its_data_in_its_query(finished: Project) -> None:
    assert assert_charts_shown(finished.results) >= {
        *("by-query", "cells", "epochs", "recall-by-object"),
        *("recall-differences", "sample-gaps", "tradeoff"),
    }
