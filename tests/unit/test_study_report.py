"""What a study says: gaps beside their controls, differences with intervals, claims about a recipe from seeds alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy import stats
from tests.harness.databases import write_database

from dejavu.memorization.metrics import TESTED
from dejavu.report.direction import direction
from dejavu.report.paired import paired_change
from dejavu.report.queries import Queries
from dejavu.report.study import gather
from dejavu.report.study_figures import draw_study
from dejavu.report.study_files import write_points, write_study, write_summary
from dejavu.report.study_texts import sentences
from dejavu.report.summary import p_value

DRAWS = 400
# model -> its PPG on `symmetric` and on the holdout
GAPS = {
    "base": (0.40, 0.01),
    "masked-4": (0.25, -0.02),
    "masked-8": (0.02, 0.03),
    "seed-1": (0.46, 0.05),
    "seed-2": (0.37, 0.0),
    "masked-8.seed-1": (0.05, 0.0),
    "masked-8.seed-2": (0.07, 0.0),
}
RECALLS = dict(zip(GAPS, (0.06, 0.055, 0.05, 0.058, 0.061, 0.052, 0.049), strict=True))


def study(axis: str, model: str, points: list[tuple[object, str, str]]) -> dict:
    """A study of the configuration, expanded, with points (value, split, model)."""
    return {
        "axis": axis,
        "model": model,
        "split": "default",
        "values": [value for value, _, _ in points],
        "points": [{"value": v, "split": s, "model": m, "samples_seen": 900} for v, s, m in points],
    }


STUDIES = {
    "masking": study(
        "text_mask", "base", [(v, "default", m) for v, m in zip([0, 0.4, 0.8], list(GAPS)[:3], strict=True)]
    ),
    "size": study("training_set_size", "base", [(100, "small", "base"), (400, "default", "base")]),
}
SEEDS = study("seed", "base", [(i, "default", m) for i, m in enumerate(["base", "seed-1", "seed-2"])])
OF_MASKED = study(
    "seed", "masked-8", [(i, "default", m) for i, m in enumerate(["masked-8", "masked-8.seed-1", "masked-8.seed-2"])]
)
ALL = STUDIES | {"seeds": SEEDS, "seeds-masked": OF_MASKED}


def draws_of(model: str, middle: float) -> np.ndarray:
    """What resampling made of a model: a part that all models of a split share, and one of its own."""
    rng = np.random.default_rng(sum(model.encode()))
    shared = np.random.default_rng(1).normal(0, 1, DRAWS)
    return (middle * (1 + 0.1 * shared + rng.normal(0, 0.02, DRAWS))).astype(np.float32)


def queries_of(split: str, role: str) -> list[tuple[int, str, float, float]]:
    """(row, group, recall under a, under b) of the queries of a role: the small split's lie in the other's."""
    rng = np.random.default_rng(17 if role == "a" else 18)
    found = []
    for row in range(400):
        luck, more = rng.random(), rng.random()
        recall = {"default": min(1.0, luck + 0.1 * more), "small": luck}[split]
        found.append((row + (0 if role == "a" else 1000), f"{role}{row // 2}", recall, 0.5))
    return found[:100] if split == "small" else found


def write(path: Path, split: str, models: list[str], holdout: int = 20, replicated: tuple[str, ...] = ()) -> Path:
    """A database with the points of all studies that were measured in a split, and these models."""
    cell = {"epoch": 9, "query": "caption", "k": 10, "labels": "all"}
    rows: dict[str, list[dict]] = {name: [] for name in ("studies", "population_gaps", "bootstrap_draws", "utility")}
    rows |= {name: [] for name in ("utility_draws", "samples", "sample_scores")}
    rows["sides"] = [{"model": model, "side": side, "kind": "trained"} for model in models for side in "ab"]
    for name, section in ALL.items():
        for place, point in enumerate(section["points"]):
            if point["split"] == split:
                row = {"study": name, "axis": section["axis"], "place": place, "model": point["model"], "epoch": 9}
                rows["studies"].append({**row, "value": json.dumps(point["value"])})
    asked = {role: queries_of(split, role) for role in "ab"}
    aucg = {role: np.mean([a - b for _, _, a, b in queries]) for role, queries in asked.items()}
    for model in models:
        for scope in ("all", "unnamed"):
            for metric in TESTED:
                for population, gap in zip(("symmetric", "holdout"), GAPS[model], strict=True):
                    value = (aucg["a"] - aucg["b"]) / 2 if metric == "aucg" and population == "symmetric" else gap
                    this = {**cell, "model": model, "scope": scope, "metric": metric, "population": population}
                    more = {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "p_value": 0.01, "n": 100}
                    rows["population_gaps"].append({**this, **more})
                    if population == "symmetric" and scope == "all":
                        drawn = enumerate(draws_of(model, gap))
                        rows["bootstrap_draws"] += [{**this, "draw": i, "value": value} for i, value in drawn]
        if model == "masked-8":  # another query shows its memory, and the caption does not
            this = {**cell, "query": "remainder", "model": model, "scope": "all", "metric": "ppg"}
            more = {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "p_value": 0.01, "n": 100}
            rows["population_gaps"] += [{**this, **more, "population": "symmetric"}]
            rows["population_gaps"] += [{**this, **more, "population": "holdout", "value": 0.0}]
            drawn = enumerate(draws_of(model, 0.2))
            rows["bootstrap_draws"] += [{**this, "population": "symmetric", "draw": i, "value": v} for i, v in drawn]
        for side, off in (("a", -0.01), ("b", 0.01)):
            found = {"model": model, "side": side, "epoch": 9, "task": "retrieval", "n": 10}
            found["metric"] = "caption_to_image_recall@10"
            recall = RECALLS[model] + off
            rows["utility"].append({**found, "value": recall, "ci_low": 0.0, "ci_high": 0.1})
            drawn = enumerate(draws_of(model, recall))
            rows["utility_draws"] += [{**found, "draw": i, "value": value} for i, value in drawn]
    for role, queries in asked.items():
        for row, group, a, b in queries:
            rows["samples"].append({"row": row, "uid": str(row), "role": role, "group_id": group})
            score = {**cell, "model": "base", "population": role, "scope": "all", "row": row}
            rows["sample_scores"].append({**score, "precision_a": a, "precision_b": b, "recall_a": a, "recall_b": b})
    for row in range(holdout):
        rows["samples"].append({"row": 9000 + row, "uid": "h", "role": "holdout", "group_id": str(row)})
    return write_database(path, rows | replicate_rows(replicated))


REPLICATES = 4
# drift of every replicate's gap, and what model "masked-8" of it has besides
LUCK = np.array([0.06, -0.05, 0.02, -0.03])
OWN = np.array([0.00, 0.01, -0.01, 0.02])


def replicate_rows(models: tuple[str, ...]) -> dict[str, list[dict]]:
    """The tables of replicates of some models."""
    cell = {"epoch": 9, "query": "caption", "k": 10, "labels": "all", "scope": "all", "metric": "ppg"}
    rows: dict[str, list[dict]] = {"replicates": [], "replicate_draws": []}
    for model in models:
        for number in range(REPLICATES):
            value = GAPS[model][0] + LUCK[number] + (OWN[number] if model == "masked-8" else 0)
            this = {**cell, "model": model, "replicate": number}
            rows["replicates"].append({**this, "population": "symmetric", "value": value})
            drawn = enumerate(draws_of(f"{model} {number}", value))
            rows["replicate_draws"] += [{**this, "draw": i, "value": value} for i, value in drawn]
    return rows


@pytest.fixture
def databases(tmp_path, repository) -> dict[str, Queries]:
    sql = repository / "workflow" / "sql"
    return {
        "default": Queries(write(tmp_path / "default.duckdb", "default", list(GAPS)), sql),
        "small": Queries(write(tmp_path / "small.duckdb", "small", ["base"]), sql),
    }


@pytest.fixture
def here(databases) -> dict[str, Queries]:
    return {"default": databases["default"]}


def test_every_point_has_its_gap_its_control_and_the_change_since_the_first(here):
    rows = gather("masking", STUDIES, here).of("ppg")
    assert [(json.loads(r["value"]), r["model"]) for r in rows] == [(0, "base"), (0.4, "masked-4"), (0.8, "masked-8")]
    assert [(r["gap"], r["control_value"]) for r in rows] == list(GAPS.values())[:3]
    assert rows[0]["change"] is None
    assert [r["change"] for r in rows[1:]] == pytest.approx([-0.15, -0.38])


def test_a_change_within_a_split_is_resampled_draw_by_draw(here):
    found = gather("masking", STUDIES, here)
    change = found.of("ppg")[2]
    wanted = np.quantile(draws_of("masked-8", 0.02).astype(float) - draws_of("base", 0.4), [0.025, 0.975])
    assert [change["change_low"], change["change_high"]] == pytest.approx(wanted, abs=1e-6)
    useful = found.useful(2)
    sides = {m: np.mean([draws_of(m, RECALLS[m] + off).astype(float) for off in (-0.01, 0.01)], axis=0) for m in GAPS}
    low, high = np.quantile(sides["masked-8"] - sides["base"], [0.025, 0.975])
    assert useful["change"] == pytest.approx(-0.01)
    assert (useful["change_low"], useful["change_high"]) == pytest.approx((low, high), abs=1e-6)
    assert (useful["ci_low"], useful["ci_high"]) == pytest.approx(np.quantile(sides["masked-8"], [0.025, 0.975]))


def test_a_change_between_splits_is_paired_by_the_groups_that_both_ask(databases):
    change = gather("size", STUDIES, databases).of("aucg")[1]
    asked = {split: {role: queries_of(split, role) for role in "ab"} for split in databases}

    def symmetric(split: str, taken: dict[str, np.ndarray]) -> float:
        """The gap of a split where each group of a role is taken so often."""
        gaps = []
        for role in "ab":
            weights = np.array([taken[role][int(group[1:])] for _, group, _, _ in asked[split][role]])
            gaps.append(np.average([a - b for _, _, a, b in asked[split][role]], weights=weights))
        return (gaps[0] - gaps[1]) / 2

    every = {role: np.ones(200) for role in "ab"}
    assert change["change"] == pytest.approx(symmetric("default", every) - symmetric("small", every))
    # the groups of both splits are resampled together; the groups of the small split are among those of the large one
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(1500):
        taken = {role: rng.multinomial(200, np.full(200, 1 / 200)) for role in "ab"}
        drawn.append(symmetric("default", taken) - symmetric("small", taken))
    reach = (change["change_high"] - change["change_low"]) / 2
    assert reach == pytest.approx(1.96 * np.std(drawn), rel=0.1)
    assert change["pairing"] == "by duplicate group: both splits ask 100% of the groups of the smaller one"
    told = sentences(gather("size", STUDIES, databases))
    assert any("both splits ask 100%" in sentence for sentence in told)


def test_queries_that_no_two_splits_share_are_told_to_be_independent(databases, tmp_path, repository):
    apart = write(tmp_path / "apart.duckdb", "small", ["base"], holdout=19)
    with duckdb.connect(str(apart)) as connection:
        connection.execute("UPDATE samples SET group_id = 'other' || group_id")
    apart_queries = Queries(apart, repository / "workflow" / "sql")
    found = gather("size", STUDIES, {"default": databases["default"], "small": apart_queries})
    change = found.of("aucg")[1]
    assert change["pairing"].startswith("as if independent")
    errors = []
    for split in ("default", "small"):
        asked = {role: np.array([a - b for _, _, a, b in queries_of(split, role)]) for role in "ab"}
        pairs = {role: values.reshape(-1, 2).mean(axis=1) for role, values in asked.items()}
        errors.append(sum(values.var() / len(values) for values in pairs.values()) / 4)
    reach = (change["change_high"] - change["change_low"]) / 2
    assert reach == pytest.approx(1.96 * np.sqrt(sum(errors)), rel=0.001)
    # one holdout gives equal draws of recall@10, so nothing tells the splits apart; `found` has two holdouts
    together = gather("size", STUDIES, databases).useful(1)
    assert (together["change"], together["change_low"]) == (0, None)
    assert found.useful(1)["change_low"] < 0 < found.useful(1)["change_high"]


def test_a_point_is_judged_by_the_query_that_shows_most_of_its_memory(here):
    rows = gather("masking", STUDIES, here).strongest()
    assert [(row["query"], row["gap"]) for row in rows] == [("caption", 0.4), ("caption", 0.25), ("remainder", 0.2)]


# the noise of training


def test_the_noise_of_training_stands_in_every_study_of_a_model_with_seeds(here):
    wanted = np.std([GAPS[m][0] for m in ("base", "seed-1", "seed-2")], ddof=1)
    without = sentences(gather("masking", STUDIES, here))
    assert "not known: neither replicates nor further seeds were trained at both ends" in without[-1]
    found = gather("masking", STUDIES | {"seeds": SEEDS}, here)
    assert found.noise["caption", "all", "ppg"]["spread"] == pytest.approx(wanted)
    assert f"standard deviation of {wanted:.3f}" in sentences(found)[-1]
    assert not gather("masking", STUDIES | {"seeds": {**SEEDS, "model": "another"}}, here).noise


def test_nothing_is_said_to_fall_or_rise_where_seeds_were_not_run_at_both_ends(here):
    for studies in (STUDIES, STUDIES | {"seeds": SEEDS}):
        told = " ".join(sentences(gather("masking", studies, here)))
        assert "falls" not in told and "rises" not in told
        assert "between these trainings a difference of -0.380" in told and "is not known" in told


def test_with_seeds_at_both_ends_the_claim_holds_their_noise_and_that_of_the_queries(here):
    found = gather("masking", ALL, here)
    assert {place for place, *_ in found.directions} == {2}, "none were run in the middle"
    change = found.directions[2, "caption", "ppg"]
    models = [("base", "masked-8"), ("seed-1", "masked-8.seed-1"), ("seed-2", "masked-8.seed-2")]
    differences = [GAPS[end][0] - GAPS[start][0] for start, end in models]
    drawn = np.mean(
        [draws_of(end, GAPS[end][0]).astype(float) - draws_of(start, GAPS[start][0]) for start, end in models], axis=0
    )
    error = np.sqrt(stats.sem(differences) ** 2 + np.std(drawn, ddof=1) ** 2)
    reach = stats.t(2).ppf(0.975) * error
    assert (change.change, change.low, change.high) == pytest.approx(
        (np.mean(differences), np.mean(differences) - reach, np.mean(differences) + reach), abs=1e-5
    )
    told = sentences(found)
    assert any(
        s.startswith("Over the same 3 seeds of training at both ends, PPG falls from text_mask 0 to 0.8") for s in told
    )
    assert any("holdout retrieval recall@10 is not shown to fall or rise" in s for s in told)
    assert not any("is not known" in s for s in told)


def test_where_replicates_were_run_they_alone_say_that_a_gap_falls(tmp_path, repository):
    path = write(tmp_path / "d.duckdb", "default", list(GAPS), replicated=("base", "masked-8"))
    study = gather("masking", ALL, {"default": Queries(path, repository / "workflow" / "sql")})
    change = study.directions[2, "caption", "ppg"]
    differences = GAPS["masked-8"][0] - GAPS["base"][0] + OWN
    assert (change.change, change.trainings) == (pytest.approx(differences.mean()), (REPLICATES, REPLICATES))
    drawn = np.array(
        [
            draws_of(f"masked-8 {i}", GAPS["masked-8"][0] + LUCK[i] + OWN[i]).astype(float)
            - draws_of(f"base {i}", GAPS["base"][0] + LUCK[i])
            for i in range(REPLICATES)
        ]
    )
    around = drawn - drawn.mean(axis=1, keepdims=True)
    shared = around.mean(axis=0).var(ddof=1) - around.var(axis=0, ddof=1).mean() / REPLICATES
    of_mean = differences.var(ddof=1) / REPLICATES
    normal, student = stats.norm.ppf(0.975), stats.t.ppf(0.975, REPLICATES - 1)
    critical = normal + (student - normal) * (of_mean / (of_mean + shared)) ** 1.25
    reach = critical * (of_mean + shared) ** 0.5
    assert (change.low, change.high) == pytest.approx((change.change - reach, change.change + reach))
    told = sentences(study)
    assert any(s.startswith("Over the same 4 replicates at both ends, PPG falls from text_mask 0 to 0.8") for s in told)
    # retrieval is not measured in replicates, and rests on the seeds that were run at both ends
    assert not study.directions[2, None, "recall@10"].of_replicates
    write_points(study, tmp_path / "points.tsv", tmp_path / "utility.tsv")
    with (tmp_path / "points.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["recipe_over"]]
    assert {row["recipe_over"] for row in rows if row["metric"] == "ppg"} == {"the same 4 replicates"}
    assert float(rows[-1]["recipe_low"]) < float(rows[-1]["recipe_change"]) < float(rows[-1]["recipe_high"])


def test_between_splits_replicates_are_paired_and_their_queries_are_independent():
    rng = np.random.default_rng(4)
    both = rng.normal(0, 0.01, DRAWS)
    start = {number: (0.3 + LUCK[number], 0.3 + both) for number in range(REPLICATES)}
    end = {number: (0.1 + LUCK[number] + OWN[number], 0.1 + both) for number in range(REPLICATES)}
    alike, number = paired_change(start, end)
    assert (alike.mean, number) == (pytest.approx(-0.2 + OWN.mean()), REPLICATES)
    assert alike.within == pytest.approx(0, abs=1e-9) and alike.between == pytest.approx(OWN.std(ddof=1))
    apart, _ = paired_change(start, end, together=False)
    assert apart.within == pytest.approx(both.std(ddof=1) * 2**0.5, rel=0.1)
    assert apart.between == pytest.approx(alike.between)
    assert paired_change(start, {0: end[0]}) is None


def test_replicates_at_one_end_alone_carry_no_claim_whatever_seeds_there_are(tmp_path, repository):
    path = write(tmp_path / "d.duckdb", "default", list(GAPS), replicated=("base",))
    study = gather("masking", ALL, {"default": Queries(path, repository / "workflow" / "sql")})
    assert (2, "caption", "ppg") not in study.directions
    # of the other metrics no replicate is known here
    assert (2, "caption", "aucg") in study.directions


@pytest.mark.parametrize(
    ("start", "end", "freedom", "error"),
    [
        ({0: 0.4, 1: 0.5, 2: 0.45}, {0: 0.1, 1: 0.25, 2: 0.1}, 2, stats.sem([-0.3, -0.25, -0.35])),
        # other seeds at the two ends: Welch's interval
        ({0: 0.4, 1: 0.5, 2: 0.45}, {7: 0.1, 8: 0.25}, None, None),
        # where both ends share two seeds, further seeds of one end do not count
        ({0: 0.4, 1: 0.5, 2: 9.0}, {0: 0.1, 1: 0.1}, 1, stats.sem([-0.3, -0.4])),
    ],
    ids=["paired", "welch", "common"],
)
def test_a_direction_is_student_s_over_the_seeds(start, end, freedom, error):
    found = direction(start, end)
    if freedom is None:
        wanted = stats.ttest_ind(list(end.values()), list(start.values()), equal_var=False).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    else:
        reach = stats.t(freedom).ppf(0.975) * error
        assert (found.low, found.high) == pytest.approx((found.change - reach, found.change + reach))


def test_two_seeds_with_noise_never_carry_a_fall_and_one_none_at_all():
    rng = np.random.default_rng(3)
    said = 0
    for _ in range(400):
        start, end = ({seed: rng.normal(0.4, 0.05) for seed in range(2)} for _ in range(2))
        said += direction(start, end).word != "is not shown to fall or rise"
    assert said / 400 == pytest.approx(0.05, abs=0.03)
    # a difference of ten standard deviations of training, but one degree of freedom
    assert direction({0: 0.40, 1: 0.44}, {0: 0.02, 1: 0.0}).word == "falls"
    assert direction({0: 0.40, 1: 0.50}, {0: 0.12, 1: 0.0}).word == "is not shown to fall or rise"
    assert direction({0: 0.40}, {0: 0.0}) is None and direction({0: 0.4, 1: 0.4}, {0: 0.0}) is None


# tables, figures and the page


def test_tables_and_page_hold_every_point_with_control_and_utility(here, repository, tmp_path):
    found = gather("masking", ALL, here)
    along, tradeoff = tmp_path / "along.svg", tmp_path / "tradeoff.svg"
    draw_study(found, along, tradeoff)
    write_points(found, tmp_path / "points.tsv", tmp_path / "utility.tsv")
    write_summary(found, tmp_path / "summary.txt")
    site = tmp_path / "site"
    write_study(found, [along, tradeoff], repository / "workflow/report/site", site, title="<masking>")
    with open(tmp_path / "points.tsv", newline="") as file:
        points = list(csv.DictReader(file, delimiter="\t"))
    assert len(points) == 3 * 2 * len(TESTED) + 1
    assert all(row["control_value"] and row["gap"] for row in points)
    with open(tmp_path / "utility.tsv", newline="") as file:
        useful = [row for row in csv.DictReader(file, delimiter="\t") if row["metric"] == "recall@10"]
    assert [float(row["utility"]) for row in useful] == pytest.approx([0.06, 0.055, 0.05])
    # in nearly all draws, every point is better than each other point in one of the two measures
    assert min(float(row["front_share"]) for row in useful) > 0.9
    page = (site / "index.html").read_text()
    assert "&lt;masking&gt;" in page and "<masking>" not in page
    assert page.count("tradeoff-table") == 1
    for name in ("along", "tradeoff"):
        assert (site / "figures" / f"{name}.svg").stat().st_size > 1000 and f"figures/{name}.svg" in page
    for sentence in sentences(found):
        assert sentence in (tmp_path / "summary.txt").read_text()
    seeds = gather("seeds", ALL, here)
    draw_study(seeds, along, tradeoff)
    assert not seeds.fronts and not seeds.directions


def test_the_smallest_p_value_that_draws_can_give_is_a_bound():
    assert [p_value(p, 999) for p in (None, 0.001, 0.0011, 0.25, 1.0)] == ["–", "≤ 0.001", "0.0011", "0.25", "1"]
    assert [p_value(1 / 10, 9), p_value(2 / 10, 9)] == ["≤ 0.1", "0.2"]
