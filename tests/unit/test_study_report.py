"""What a study says: every gap beside its null, changes with intervals, utility, and the noise of training if known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from dejavu.report.figures import front
from dejavu.report.queries import Queries
from dejavu.report.study import draw_study, gather, sentences, write_points, write_study, write_summary
from dejavu.report.summary import p_value
from dejavu.tables import DATABASE

DRAWS = 400
STUDIES = {
    "masking": {
        "axis": "text_mask",
        "model": "base",
        "split": "default",
        "values": [0, 0.4, 0.8],
        "points": [{"split": "default"}] * 3,
    },
    "size": {
        "axis": "training_set_size",
        "model": "base",
        "split": "default",
        "values": [100, 400],
        "points": [{"split": "small"}, {"split": "default"}],
    },
}
SEEDS = {"axis": "seed", "model": "base", "split": "default", "values": [0, 1, 2], "points": [{"split": "default"}] * 3}
# model -> its PPG on `symmetric` and on the holdout
GAPS = {
    "base": (0.40, 0.01),
    "masked-4": (0.25, -0.02),
    "masked-8": (0.02, 0.03),
    "seed-1": (0.46, 0.05),
    "seed-2": (0.37, 0.0),
}


def draws_of(model: str) -> np.ndarray:
    """What resampling made of a model: a part that all models of a split share, and one of its own."""
    rng = np.random.default_rng(sum(model.encode()))
    shared = np.random.default_rng(1).normal(0, 0.05, DRAWS)
    return GAPS[model][0] + shared + rng.normal(0, 0.01, DRAWS)


def write(path: Path, points: list[tuple[str, str, int, object, str]], models: list[str]) -> None:
    """A database with these points of studies (study, axis, place, value, model) and these models."""
    cell = {"epoch": 9, "k": 10, "labels": "all"}
    rows: dict[str, list[dict]] = {"studies": [], "population_gaps": [], "bootstrap_draws": [], "utility": []}
    for study, axis, place, value, model in points:
        point = {"study": study, "axis": axis, "place": place, "value": json.dumps(value), "model": model, "epoch": 9}
        rows["studies"].append(point)
    for model in models:
        for scope in ("all", "unnamed"):
            for metric in ("ppg", "prg", "aucg"):
                for population, gap in zip(("symmetric", "holdout"), GAPS[model], strict=True):
                    this = {**cell, "model": model, "scope": scope, "metric": metric, "population": population}
                    more = {"value": gap, "ci_low": gap - 0.1, "ci_high": gap + 0.1, "p_value": 0.01, "n": 100}
                    rows["population_gaps"].append({**this, **more})
                    if population == "symmetric" and scope == "all":
                        drawn = enumerate(draws_of(model))
                        rows["bootstrap_draws"] += [{**this, "draw": i, "value": value} for i, value in drawn]
        for side, recall in (("a", 0.05), ("b", 0.07)):
            found = {"model": model, "side": side, "epoch": 9, "task": "retrieval", "n": 10}
            rows["utility"].append({**found, "metric": "caption_to_image_recall@10", "value": recall})
    config = {"report.k": "10", "report.labels": '"all"', "measure.bootstrap": "99"}
    rows["config"] = [{"key": key, "value": value} for key, value in config.items()]
    with duckdb.connect(str(path)) as connection:
        for name, (_, schema) in DATABASE.items():
            part = pa.Table.from_pylist(rows.get(name, []), schema=schema)
            connection.register("part", part)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM part')
            connection.unregister("part")


@pytest.fixture
def databases(tmp_path, repository) -> dict[str, Queries]:
    masking = [
        ("masking", "text_mask", i, v, m) for i, (v, m) in enumerate(zip([0, 0.4, 0.8], list(GAPS)[:3], strict=True))
    ]
    seeds = [("seeds", "seed", i, i, m) for i, m in enumerate(["base", "seed-1", "seed-2"])]
    size = ("training_set_size",)
    write(tmp_path / "default.duckdb", [*masking, *seeds, ("size", *size, 1, 400, "base")], list(GAPS))
    write(tmp_path / "small.duckdb", [("size", *size, 0, 100, "base")], ["base"])
    sql = repository / "workflow" / "sql"
    return {name: Queries(tmp_path / f"{name}.duckdb", sql) for name in ("default", "small")}


def test_every_point_has_its_gap_its_null_and_the_change_since_the_first(databases):
    study = gather("masking", STUDIES, {"default": databases["default"]})
    rows = study.of("ppg")
    assert [(json.loads(r["value"]), r["model"]) for r in rows] == [(0, "base"), (0.4, "masked-4"), (0.8, "masked-8")]
    assert [(r["gap"], r["control_value"]) for r in rows] == list(GAPS.values())[:3]
    assert rows[0]["change"] is None
    assert [r["change"] for r in rows[1:]] == pytest.approx([-0.15, -0.38])


def test_a_change_within_a_split_is_resampled_draw_by_draw(databases):
    change = gather("masking", STUDIES, {"default": databases["default"]}).of("ppg")[2]
    wanted = np.quantile(draws_of("masked-8").astype(np.float32) - draws_of("base").astype(np.float32), [0.025, 0.975])
    assert [change["change_low"], change["change_high"]] == pytest.approx(wanted, abs=1e-5)


def test_a_change_between_splits_is_resampled_as_if_they_were_independent(databases):
    change = gather("size", STUDIES, databases).of("ppg")[1]
    assert change["change"] == 0
    # the two have equal draws here; taken in pairs their difference would be 0 in all of them
    spread = np.std(draws_of("base"))
    assert change["change_high"] == pytest.approx(1.96 * np.sqrt(2) * spread, rel=0.2)
    assert change["change_low"] == pytest.approx(-1.96 * np.sqrt(2) * spread, rel=0.2)


def test_the_noise_of_training_stands_in_every_study_of_the_model_where_seeds_were_run(databases):
    here = {"default": databases["default"]}
    wanted = np.std([GAPS[m][0] for m in ("base", "seed-1", "seed-2")], ddof=1)
    without = sentences(gather("masking", STUDIES, here))
    assert "was not measured" in without[-1]
    study = gather("masking", STUDIES | {"seeds": SEEDS}, here)
    assert study.noise["all", "ppg"]["spread"] == pytest.approx(wanted)
    assert f"standard deviation of {wanted:.3f}" in sentences(study)[-1]
    other_model = {**SEEDS, "model": "another"}
    assert not gather("masking", STUDIES | {"seeds": other_model}, here).noise


def test_the_sentences_say_falls_only_where_the_interval_of_the_change_does(databases):
    told = sentences(gather("masking", STUDIES, {"default": databases["default"]}))
    assert told[0].startswith("PPG falls from +0.400 at text_mask 0 to +0.020 at 0.8: a change of -0.380")
    assert "the null goes from +0.010 to +0.030" in told[0]
    assert "PPG does not change beyond its interval" in sentences(gather("size", STUDIES, databases))[0]


def test_tables_and_page_hold_every_point_with_its_null_and_its_utility(databases, repository, tmp_path):
    study = gather("masking", STUDIES | {"seeds": SEEDS}, {"default": databases["default"]})
    along, tradeoff = tmp_path / "along.svg", tmp_path / "tradeoff.svg"
    draw_study(study, along, tradeoff)
    write_points(study, tmp_path / "points.tsv", tmp_path / "utility.tsv")
    write_summary(study, tmp_path / "summary.txt")
    site = tmp_path / "site"
    write_study(study, [along, tradeoff], repository / "workflow/report/site", site, title="<masking>")
    with open(tmp_path / "points.tsv", newline="") as file:
        points = list(csv.DictReader(file, delimiter="\t"))
    assert len(points) == 3 * 2 * 3
    assert all(row["control_value"] and row["gap"] for row in points)
    with open(tmp_path / "utility.tsv", newline="") as file:
        useful = [float(row["utility"]) for row in csv.DictReader(file, delimiter="\t")]
    assert useful == pytest.approx([0.06] * 3)
    page = (site / "index.html").read_text()
    assert "&lt;masking&gt;" in page and "<masking>" not in page
    for name in ("along", "tradeoff"):
        assert (site / "figures" / f"{name}.svg").stat().st_size > 1000 and f"figures/{name}.svg" in page
    for sentence in sentences(study):
        assert sentence in (tmp_path / "summary.txt").read_text()


def test_the_front_holds_the_points_that_no_other_beats_in_both():
    points = [(5.0, 0.4), (6.0, 0.5), (4.0, 0.1), (3.0, 0.2), (6.0, 0.45), (5.0, 0.4)]
    beaten = {p for p in points for q in points if q != p and q[0] >= p[0] and q[1] <= p[1]}
    assert front(points) == sorted(set(points) - beaten) == [(4.0, 0.1), (5.0, 0.4), (6.0, 0.45)]


def test_the_smallest_p_value_that_draws_can_give_is_a_bound():
    assert [p_value(p, 999) for p in (None, 0.001, 0.0011, 0.25, 1.0)] == ["–", "≤ 0.001", "0.0011", "0.25", "1"]
    assert [p_value(1 / 10, 9), p_value(2 / 10, 9)] == ["≤ 0.1", "0.2"]
