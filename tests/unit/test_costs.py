"""What a configuration will cost: sums add up, growth is that of the work, and wrong input gets a sentence."""

from __future__ import annotations

import copy
import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dejavu.costs.paper import PAGE, page_with, paper_predictions, tables
from dejavu.costs.planning import plan_of
from dejavu.costs.predict import GROUPS, JobCost, Machine, Prediction, predict, wall_seconds
from dejavu.costs.rates import COMMON, OF_DATASET, OF_MODEL, Rate, Rates, read_rates
from dejavu.costs.rehearsal import compare, faults, scaled
from dejavu.costs.run import GIVEN, main
from dejavu.costs.tables import shown
from dejavu.costs.timing import fit
from dejavu.costs.work import STAGES, work_of
from dejavu.errors import InputError
from dejavu.plan.job_list import Job, all_jobs, split_jobs

ROOT = Path(__file__).resolve().parents[2]


def rates(**changed: Rate) -> Rates:
    """Rates of a second and 1,000 bytes a unit, but for those that are given."""
    units = {unit: Rate(1.0, 1000.0) for unit in (*COMMON, *OF_DATASET, *OF_MODEL)} | changed
    return Rates(
        "a machine of this test",
        "cpu",
        "made up",
        {"light": 100, "search": 200, "torch": 500},
        {unit: units[unit] for unit in COMMON},
        {"*": {unit: units[unit] for unit in OF_DATASET}},
        {"*": {unit: units[unit] for unit in OF_MODEL}},
    )


def only(unit: str) -> Rates:
    """Rates in which nothing but one unit takes time."""
    none = {name: Rate(0.0) for name in (*COMMON, *OF_DATASET, *OF_MODEL)}
    return rates(**(none | {unit: Rate(3600.0)}))


@pytest.fixture
def given() -> dict:
    """The configuration that a test may change."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def hours(given: dict, which: Rates, stage: str) -> float:
    prediction = predict(plan_of(given, {}), which, Machine(2))
    return sum(cost.hours for cost in prediction.stages if cost.stage == stage)


def with_roles(given: dict, **limits: int) -> dict:
    changed = copy.deepcopy(given)
    for role, limit in limits.items():
        changed["splits"]["default"]["roles"][role]["limit"] = limit
    return changed


def test_a_search_grows_with_queries_times_public_and_with_nothing_else(given):
    del given["models"]["one-model"]
    # two models of two sides, asked about 1,000 + 1,000 + 2,400 samples, in 4,000 public ones
    assert hours(given, only("search_product"), "neighbors") == pytest.approx(4 * 4_400 * 4_000)
    assert hours(with_roles(given, public=2_000), only("search_product"), "neighbors") == pytest.approx(
        4 * 4_400 * 2_000
    )
    assert hours(with_roles(given, holdout=200), only("search_product"), "neighbors") == pytest.approx(
        4 * 2_200 * 4_000
    )
    # masked, remainder and rare
    assert hours(given, only("search_product"), "query_neighbors") == pytest.approx(3 * 4 * 4_400 * 4_000)


def test_public_embeddings_are_prepared_once_for_many_queries(given):
    del given["models"]["one-model"]
    # two models of two sides, three populations
    assert hours(given, only("search_public"), "neighbors") == pytest.approx(4 * 3 * 4_000)
    # three queries of together 4,400 samples, and then 40,000 more than one pass takes
    assert hours(given, only("search_public"), "query_neighbors") == pytest.approx(4 * 4_000)
    given["measure"]["query_limit"] = 40_000
    given["datasets"]["demo"]["synthetic"]["pairs"] = 200_000
    given["splits"]["default"]["roles"]["a"]["limit"] = 20_000
    assert hours(given, only("search_public"), "query_neighbors") == pytest.approx(4 * 3 * 4_000)


def test_a_training_grows_with_the_samples_that_it_sees_and_not_with_its_role(given):
    of = only("train_pair")
    assert hours(given, of, "train") == 4 * 48_000
    assert hours(with_roles(given, a=500), of, "train") == 4 * 48_000
    given["models"]["baseline"]["samples_seen"] = 24_000
    assert hours(given, of, "train") == 4 * 24_000


def test_data_stages_grow_with_pairs_and_retrieval_with_the_square_of_the_holdout(given):
    assert hours(given, only("ingest_pair"), "ingest") == 10_000
    assert hours(given, only("retrieval_product"), "utility") == pytest.approx(4 * 2_400**2)
    given["datasets"]["demo"]["synthetic"]["pairs"] = 20_000
    assert hours(given, only("ingest_pair"), "ingest") == 20_000
    assert hours(given, only("raw_pair"), "synthesize") == 20_000


def test_the_stages_add_up_to_the_total_and_every_job_is_in_one(given):
    planned = plan_of(given, {})
    prediction = predict(planned, rates(), Machine(2))
    jobs = all_jobs(planned.config, planned.datasets, lambda split, model, letter: split)
    assert Counter(job.stage for job in jobs) == {stage.stage: stage.jobs for stage in prediction.stages}
    work = sum(sum(work_of(job, planned).values()) for job in jobs)
    assert prediction.total("hours") == pytest.approx(work / 3600)
    assert prediction.total("gigabytes") == pytest.approx(work * 1000 / 1e9)
    assert prediction.total("memory") == max(stage.memory for stage in prediction.stages)
    told = prediction.as_json()
    assert told["total"]["hours"] == pytest.approx(sum(stage["hours"] for stage in told["stages"]))
    trained = sum(stage.core_hours for stage in prediction.stages if stage.stage == "train")
    assert told["training_share"] == pytest.approx(trained / prediction.total("core_hours"))


def test_every_stage_has_its_place_among_those_that_run_one_after_the_other():
    assert sorted(stage for group in GROUPS for stage in group) == sorted(STAGES)


def test_a_training_that_splits_and_studies_share_is_counted_once(given):
    second = copy.deepcopy(given["splits"]["default"])
    second["roles"]["public"]["limit"] = 2_000
    given["splits"]["smaller"] = second
    of = only("train_pair")
    assert hours(given, of, "train") == 4 * 48_000
    given["studies"] = {
        # 0 is the baseline, 0.6 is masked-60
        "masking": {"model": "baseline", "axis": "text_mask", "values": [0, 0.3, 0.6], "split": "default"},
        # checkpoints of a training that is there
        "epochs": {"model": "baseline", "axis": "checkpoint", "values": [24_000, 48_000], "split": "default"},
        "size": {"model": "baseline", "axis": "training_set_size", "values": [500, 1_000], "split": "default"},
    }
    # besides the four: both sides of the mask 0.3, and of the smaller sets
    assert hours(given, of, "train") == 8 * 48_000


def test_a_job_is_told_by_its_benchmark_file_and_studies_come_last(given):
    given["studies"] = {"epochs": {"model": "baseline", "axis": "checkpoint", "values": [24_000, 48_000]}}
    planned = plan_of(given, {})
    jobs = all_jobs(planned.config, planned.datasets, lambda split, model, letter: split)
    files = [job.benchmark for job in jobs]
    assert len(set(files)) == len(files)
    assert files[-1] == "results/demo/benchmarks/studies/epochs.tsv"
    listed = [job.benchmark for job in split_jobs(planned.config, planned.datasets, "default", lambda s, m, one: s)]
    assert listed[:2] == [f"results/demo/benchmarks/synthesize/0000{index}.tsv" for index in (0, 1)]
    assert "results/demo/default/benchmarks/train/baseline.a.tsv" in listed
    assert "results/demo/default/benchmarks/embed/baseline.b.24000.public.tsv" in listed
    assert set(listed) < set(files)


def job(seconds: float, cores: int = 1, gpus: int = 0) -> JobCost:
    return JobCost(Job("train", "demo"), seconds, 0, 0, cores, gpus)


@pytest.mark.parametrize(
    ("jobs", "machine", "seconds"),
    [
        ([job(5), job(3), job(2)], Machine(2), 5),
        ([job(5), job(3), job(2)], Machine(1), 10),
        ([job(4, cores=2), job(3), job(3)], Machine(2), 7),
        # more cores than there are
        ([job(4, cores=8)], Machine(2), 4),
        ([job(6, gpus=1), job(6, gpus=1)], Machine(8, gpus=1), 12),
        ([job(6, gpus=1), job(6, gpus=1)], Machine(8, gpus=2), 6),
        ([], Machine(1), 0),
    ],
)
def test_jobs_share_cores_and_gpus(jobs, machine, seconds):
    assert wall_seconds(jobs, machine) == seconds


def test_work_without_a_rate_is_named_and_not_counted(given):
    known = rates()
    without = Rates(**{**vars(known), "models": {"*": {"train_pair": Rate(1.0)}}})
    prediction = predict(plan_of(given, {}), without, Machine(2))
    unknown = {stage.stage: stage.unknown for stage in prediction.stages if stage.unknown}
    assert unknown["train"] == ["checkpoint"] and unknown["embed"] == ["embed_caption", "embed_image"]
    assert "NOT COUNTED" in shown(prediction) and "NOT COUNTED" not in shown(
        predict(plan_of(given, {}), known, Machine(2))
    )


def test_rates_of_an_architecture_or_a_model_come_before_those_of_any(given):
    of = Rates(**{**vars(rates()), "models": {"*": {"train_pair": Rate(5.0)}, "masked-60": {"train_pair": Rate(1.0)}}})
    assert of.of("train_pair", ["masked-60", "config/architectures/tiny.json"]) == Rate(1.0)
    assert of.of("train_pair", ["baseline", "config/architectures/tiny.json"]) == Rate(5.0)


def test_rates_are_read_as_they_were_written(tmp_path):
    rates().write(tmp_path / "rates.json")
    assert read_rates(tmp_path / "rates.json") == rates()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"comon": {}}, "comon is no key of a file of rates (did you mean 'common'?)"),
        ({"common": {"strat": [1, 0]}}, "common.strat is no key of a file of rates (did you mean 'start'?)"),
        ({"models": {"ViT-B-32": {"train": [1, 0]}}}, "models.ViT-B-32.train is no key"),
        ({"common": {"start": 1}}, "common.start is 1, but a rate is [seconds, bytes]"),
        ({"common": {"start": [-1, 0]}}, "common.start is [-1, 0]"),
        ({"device": "tpu"}, "device is 'tpu', but it is cpu or cuda"),
        ({"memory": {"light": 1, "torch": 1}}, "the key memory.search is missing"),
    ],
)
def test_a_file_of_rates_with_another_key_or_value_is_refused(tmp_path, change, told):
    rates().write(tmp_path / "rates.json")
    content = json.loads((tmp_path / "rates.json").read_text()) | change
    (tmp_path / "rates.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_rates(tmp_path / "rates.json")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["--rates", "h200"], "--rates names 'h200' (did you mean 'h100'?)"),
        (["--rates", "nowhere.json"], "there is no file of rates nowhere.json"),
        (["--rates", "h100"], "are of cuda, but the configuration has device: cpu"),
        (["--pairs", "demo"], "--pairs is 'demo'"),
        (["--pairs", "demos=5"], "--pairs names 'demos', which is no dataset (did you mean 'demo'?)"),
        (["--cores", "0"], "--cores is 0"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    rates().write(tmp_path / "rates.json")
    config = ["--config", str(ROOT / "config" / "config.yaml")]
    assert main([*config, "--rates", "rates.json", *arguments]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_plan_is_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rates().write(tmp_path / "rates.json")
    assert main(["--config", str(ROOT / "config" / "config.yaml"), "--rates", "rates.json", "--cores", "2"]) == 0
    assert "Training is " in capsys.readouterr().out
    told = json.loads((tmp_path / "results" / "plan" / "plan.json").read_text())
    assert told["pairs"] == {"demo": 10_000} and told["total"]["jobs"] == 96


def test_rows_of_own_data_are_counted_by_footers_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, rows in enumerate((300, 700)):
        table = pa.table({"image": [b"x"] * rows, "caption": ["a"] * rows, "objects": [["b"]] * rows})
        pq.write_table(table, f"{number}.parquet")
    given = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    given["datasets"] = {"demo": {"raw": ["*.parquet"], "columns": {"objects": "objects"}}}
    intervals = {"a": [0, 0.25], "b": [0.25, 0.5], "public": [0.5, 0.9], "holdout": [0.9, 1]}
    given["splits"]["default"]["roles"] = {role: {"interval": interval} for role, interval in intervals.items()}
    sizes = plan_of(given, {}).sizes
    assert sizes.pairs == {"demo": 1_000}
    assert sizes.roles["default"] == {"a": 250, "b": 250, "public": 400, "holdout": 100}
    for path in Path().glob("*.parquet"):
        path.unlink()
    with pytest.raises(InputError, match=r"add --pairs demo=NUMBER\.$"):
        plan_of(given, {})
    planned = plan_of(given, {"demo": 1_000_000})
    assert planned.sizes.pairs == {"demo": 1_000_000} and sum(planned.sizes.batches["demo"].values()) == 1_000_000


def test_the_tables_of_the_papers_setting_are_those_of_the_cost_model():
    text = PAGE.read_text()
    assert text == page_with(text, tables(paper_predictions())), "run make reference"


def test_the_rates_that_come_with_the_package_can_be_read():
    assert {name: read_rates(path).device for name, path in GIVEN.items()} == {"h100": "cuda"}


def test_a_rehearsal_of_fewer_pairs_has_all_numbers_in_proportion():
    whole = yaml.safe_load((ROOT / "config" / "rehearsal.yaml").read_text())
    tenth = scaled(whole, 100_000)
    planned, small = plan_of(whole, {}), plan_of(tenth, {})
    assert planned.sizes.pairs == {"drawn": 1_000_000}
    roles = planned.sizes.roles["rehearsal"]
    assert roles["a"] + roles["b"] == 200_000 and roles["public"] == 500_000
    assert small.sizes.roles["rehearsal"] == {role: size // 10 for role, size in roles.items()}
    assert small.config["models"]["tiny"]["samples_seen"] * 10 == planned.config["models"]["tiny"]["samples_seen"]
    with pytest.raises(InputError, match="fills no training batch: take 5,0"):
        scaled(whole, 1_000)


def test_what_a_rehearsal_took_is_set_beside_what_was_predicted(tmp_path):
    folder = tmp_path / "results" / "drawn" / "benchmarks"
    (folder / "ingest").mkdir(parents=True)
    for name, seconds, memory in (("ingest/one", 40, 300), ("ingest/two", 60, 3000), ("inventory", 1, 100)):
        with open(folder / f"{name}.tsv", "w") as file:
            writer = csv.DictWriter(file, ["s", "max_rss", "io_out", "cpu_time"], delimiter="\t")
            writer.writeheader()
            writer.writerow({"s": seconds, "max_rss": memory, "io_out": 5, "cpu_time": "NA"})
    planned = plan_of(yaml.safe_load((ROOT / "config" / "rehearsal.yaml").read_text()), {})
    prediction: Prediction = predict(planned, only("start"), Machine(2))
    rows = {row.stage: row for row in compare(prediction, tmp_path)}
    assert list(rows) == ["inventory", "ingest"]
    ingest = rows["ingest"]
    assert (ingest.jobs, ingest.seconds, ingest.memory, ingest.written, ingest.cpu_seconds) == (2, 100, 3000, 10, 0)
    assert rows["inventory"].predicted_seconds == 3600
    assert [fault.split(" ")[0] for fault in faults(list(rows.values()))] == ["ingest", "All"]


def test_the_rates_of_several_units_are_found_from_amounts_in_which_they_differ():
    rate = {"fixed": 3.0, "query": 0.01, "public": 0.002}
    amounts = [
        {"fixed": 1, "query": queries, "public": public} for queries, public in ((100, 100), (400, 100), (100, 900))
    ]
    measured = [
        (one, Rate(sum(rate[unit] * number for unit, number in one.items()), 7.0 * one["query"])) for one in amounts
    ]
    found = fit(measured)
    assert {unit: found[unit].seconds for unit in rate} == pytest.approx(rate)
    assert found["query"].written == pytest.approx(7.0)
    assert found["public"].written == pytest.approx(0.0, abs=1e-9)


def test_no_unit_costs_less_than_nothing_where_more_of_it_took_no_longer():
    found = fit([({"fixed": 1, "query": 10}, Rate(2.0)), ({"fixed": 1, "query": 1000}, Rate(1.9))])
    assert found["query"].seconds == 0
    assert found["fixed"].seconds == pytest.approx(1.95, abs=0.06)


def test_a_public_set_costs_scores_and_database_what_its_samples_do(given):
    del given["models"]["one-model"]
    smaller = with_roles(given, public=2_000)
    # two models, three populations
    assert hours(given, only("score_public"), "score") - hours(smaller, only("score_public"), "score") == 6 * 2_000
    assert hours(given, only("database_pair"), "database") - hours(smaller, only("database_pair"), "database") == 2_000
    assert hours(given, only("text_pair"), "query_texts") == 10_000
    # all pairs of the dataset are looked at, for every population and for every role
    assert hours(given, only("object_pair"), "score") == 6 * 10_000
    assert hours(given, only("text_pair"), "database") == 4 * 10_000
