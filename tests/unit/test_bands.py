"""The band of a model is that of its own gaps and controls, whatever else a database holds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from tests.harness.databases import write_database

from dejavu.memorization.gaps import max_t

DRAWS = 200
CELL = {"epoch": 3, "k": 10, "labels": "all"}
PLACES = [
    {"population": population, "query": query, "scope": scope, "metric": metric}
    for population in ("symmetric", "holdout")
    for query in ("caption", "rare")
    for scope in ("all", "unnamed")
    for metric in ("ppg", "prg", "aucg")
]


def drawn(model: str) -> np.ndarray:
    """float32 (draws, cells): what resampling made of a model's cells; the last never varies."""
    rng = np.random.default_rng(len(model))
    found = 0.1 + 0.05 * rng.normal(size=(DRAWS, len(PLACES))) + 0.02 * rng.normal(size=(DRAWS, 1))
    found[:, -1] = 0.1
    return found.astype(np.float32)


def bands(path: Path, repository: Path, models: tuple[str, ...]) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {"sides": [], "population_gaps": [], "bootstrap_draws": []}
    for model in models:
        rows["sides"] += [{"model": model, "side": side, "kind": "trained"} for side in "ab"]
        for place, column in zip(PLACES, drawn(model).T, strict=True):
            this = {"model": model, **CELL, **place}
            rows["population_gaps"].append({**this, "value": 0.1})
            rows["bootstrap_draws"] += [{**this, "draw": i, "value": value} for i, value in enumerate(column.tolist())]
    query = (repository / "workflow" / "sql" / "bands.sql").read_text()
    with duckdb.connect(str(write_database(path, rows)), read_only=True) as connection:
        found = connection.sql(query).to_arrow_table().to_pylist()
    return {model: [row for row in found if row["model"] == model] for model in models}


def test_another_model_in_the_configuration_changes_no_band(tmp_path, repository):
    alone = bands(tmp_path / "alone.duckdb", repository, ("one",))["one"]
    beside = bands(tmp_path / "beside.duckdb", repository, ("one", "another"))["one"]
    assert alone == beside
    assert {row["cells"] for row in alone} == {len(PLACES)}


def test_the_band_is_that_of_max_t_over_all_cells_and_what_never_varies_has_none(tmp_path, repository):
    found = bands(tmp_path / "one.duckdb", repository, ("one",))["one"]
    errors, critical = max_t(drawn("one").astype(float), np.full(len(PLACES), 0.1))
    wanted = {tuple(place.values()): error for place, error in zip(PLACES, errors, strict=True)}
    for row in found:
        place = tuple(row[key] for key in ("population", "query", "scope", "metric"))
        assert row["critical"] == pytest.approx(critical, rel=1e-6)
        if place == tuple(PLACES[-1].values()):
            assert (row["band_low"], row["band_high"], row["detectable"]) == (None, None, None)
        else:
            assert row["band_high"] == pytest.approx(0.1 + critical * wanted[place], rel=1e-5)
