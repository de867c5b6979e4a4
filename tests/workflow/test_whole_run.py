"""The main job: from raw parquet to a report, on a small configuration."""

from __future__ import annotations

import html
import re
import shutil
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from dejavu.costs.planning import plan_of, read_config
from dejavu.memorization.metrics import KEYS, TESTED
from dejavu.plan.job_list import all_jobs
from dejavu.report.queries import Queries
from dejavu.roles import trained_in
from dejavu.tables import DATABASE, VIEWS
from tests.harness.project import ROOT, Project
from tests.harness.snakemake_reports import assert_opens_with_answer

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODELS = ("baseline", "masked", "early", "one-model")
QUERIES = ("caption", "masked", "remainder", "rare")
CONTRACT = {
    "sides": "model side kind has_images source search search_engine preprocessing preprocessing_known",
    "roles": "role dataset samples asked listed missing",
    "samples": "row uid role caption objects unnamed group_id",
    "neighbors": "model side epoch population query row rank public_row similarity",
    "sample_scores": "model epoch population query k labels scope row objects_n precision_a precision_b recall_a "
    "recall_b f1_a f1_b correct_a correct_b nearest_a nearest_b",
    "population_gaps": "model epoch population query k labels scope metric value mean std ci_low ci_high p_value n "
    "groups effective_groups p_joint expected detectable",
    "bootstrap_draws": "model epoch population query k labels scope metric draw value",
    "bands": "model epoch population query k labels scope metric band_low band_high std_error critical cells "
    "detectable",
    "top_l": "model epoch population query k labels scope sort unit l precision_gap recall_gap f1_gap mean_f1_gap "
    "recall_gap_low recall_gap_high",
    "recall_curves": "model epoch population query k labels scope side recall share_at_least",
    "utility": "model side epoch task metric value ci_low ci_high n",
    "utility_draws": "model side epoch task metric draw value",
    "attacks": "model side epoch attack metric value ci_low ci_high n p_value",
    "sample_attacks": "model side epoch population row csa clipmem",
    "membership": "model side epoch attack contrast members others replicates n_members n_others auc auc_low auc_high "
    "tpr_at_1_percent tpr_at_1_percent_low tpr_at_1_percent_high fpr_at_1_percent fpr_at_1_percent_low "
    "fpr_at_1_percent_high tpr_at_0_1_percent tpr_at_0_1_percent_low tpr_at_0_1_percent_high fpr_at_0_1_percent "
    "fpr_at_0_1_percent_low fpr_at_0_1_percent_high",
    "membership_curves": "model side epoch attack contrast fpr tpr",
    "verdicts": "model epoch about verdict sides query k labels scope metric attack value ci_low ci_high p_value "
    "detectable effective_groups recall_at_10 chance_at_10 skill sentence",
    "training": "model side epoch step samples_seen loss learning_rate logit_scale gradient_norm samples_per_second "
    "data_wait",
    "studies": "study axis place value model epoch",
    "stages": "stage subject rows_in rows_out dropped seconds peak_memory_mb",
    "duplicates": "dataset group_id size criteria members",
    "blind_baseline": "role other auc std_error captions is_apart",
    "sample_memorization": "model epoch statistic query population row replicates advantage std_error p_value q_value",
    "remembered_shares": "model epoch statistic query replicates samples control rate listed listed_placebo share_low",
    "confirmations": "model epoch statistic query listing confirming rate listed advantage std_error "
    "unlisted_advantage confirmed",
    "replicates": "model epoch replicate population query k labels scope metric value",
    "replicate_draws": "model epoch replicate query k labels scope metric draw value",
    "recipe_intervals": "model epoch population query k labels scope metric replicates mean low high next_low "
    "next_high between within",
    "memory_sources": "model epoch statistic source bin low high n groups value ci_low ci_high value_a value_b control "
    "control_low control_high control_n control_groups",
    "memory_trends": "model epoch statistic source trend ci_low ci_high p_value p_joint placebo placebo_p_value n "
    "groups",
    "privacy": "model epoch side epsilon_low delta confidence canaries guesses right_guesses",
    "metrics": "metric name meaning source place is_tested",
    "config": "key value",
    "hashes": "of model side epoch replicate name sha256 bytes",
    "provenance": "key value",
}


# the drawn data holds no duplicates, and this run no study and no list
EMPTY = (
    "blind_baseline",
    "confirmations",
    "duplicates",
    "recipe_intervals",
    "replicate_draws",
    "replicates",
    "studies",
)
EMPTY_QUERIES = (
    "asked_roles",
    "blind_baseline",
    "checkpoints",
    "compared_with",
    "confirmations",
    "duplicate_groups",
    "listed_roles",
    "recipe_intervals",
    "replicate_values",
    "seed_spread",
    "study",
    "study_draws",
    "study_replicates",
    "study_utility",
    "study_utility_draws",
    "study_values",
    "training_sets",
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
    assert {name for name, _, _ in found} == set(DATABASE) | set(VIEWS)


def test_the_database_opens_in_the_first_stable_duckdb(finished: Project) -> None:
    """The file says that DuckDB 1.0 can read it; it was tried with 1.0 to 1.5, all tables and comments."""
    database = finished.results / "memorization.duckdb"
    # after a checksum and a magic word the storage version: 64 until DuckDB 1.1, 65 and above for later ones
    header = database.read_bytes()[8:20]
    assert (header[:4], int.from_bytes(header[4:], "little")) == (b"DUCK", 64)


def test_every_gap_has_its_control_its_placebo_and_its_symmetric_estimate(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        cells = connection.execute(
            "WITH cells AS (SELECT model, epoch, query, k, labels, scope, metric, "
            "list(population ORDER BY population) AS populations, map_from_entries(list((population, value))) AS of "
            "FROM population_gaps GROUP BY ALL) "
            "SELECT model, query, populations, of['symmetric'] - (of['a'] - of['b']) / 2, "
            "of['memory_a'] - (of['a'] - of['holdout']), of['memory_b'] - (of['holdout'] - of['b']), "
            "of['unseen'] - (of['b'] - of['holdout']) / 2 FROM cells"
        ).fetchall()
    # four models, of which one has two checkpoints, and four queries
    assert len(cells) == 5 * 4 * 2 * 2 * 2 * len(KEYS)
    assert {query for _, query, *_ in cells} == set(QUERIES)
    everywhere = {"a", "b", "holdout", "symmetric", "memory_a", "placebo"}
    for model, _, populations, *differences in cells:
        # side b of a one-model test remembers nothing; its control compares the roles that side a has not seen
        assert populations == sorted(everywhere | ({"unseen"} if model == "one-model" else {"memory_b"}))
        found = [difference for difference in differences if difference is not None]
        assert len(found) == 3 and max(map(abs, found)) < 1e-12


def test_the_bands_are_those_of_max_t_over_all_that_the_report_shows_of_a_model(finished: Project) -> None:
    place = ("model", "epoch", "population", "query", "k", "labels", "scope", "metric")
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        every = connection.sql(
            "SELECT bands.*, value FROM bands "
            "JOIN population_gaps USING (model, epoch, population, query, k, labels, scope, metric) ORDER BY ALL"
        )
        every = every.to_arrow_table().to_pylist()
        draws = connection.sql("SELECT * FROM bootstrap_draws ORDER BY draw").to_arrow_table().to_pylist()
    drawn: dict[tuple, list[float]] = {tuple(cell[name] for name in place): [] for cell in every}
    for draw in draws:
        if (key := tuple(draw[name] for name in place)) in drawn:
            drawn[key].append(draw["value"])
    for model in MODELS:
        cells = [cell for cell in every if cell["model"] == model]
        # four queries, two scopes, the metrics, each gap with its control
        number = 4 * 2 * len(TESTED) * 2
        assert [cell["cells"] for cell in cells] == [number] * number
        control = "unseen" if model == "one-model" else "holdout"
        assert {cell["population"] for cell in cells} == {"symmetric", control}
        columns = [drawn[tuple(cell[name] for name in place)] for cell in cells]
        errors = [np.std(column, ddof=1) for column in columns]
        assert min(errors) > 1e-6
        largest = [
            max(abs(column[i] - cell["value"]) / e for column, cell, e in zip(columns, cells, errors, strict=True))
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
            "USING (epoch, population, query, k, labels, scope, metric, draw) WHERE population = 'holdout' "
            "AND query = 'caption' AND metric = 'aucg' AND k = 10 AND labels = 'all' AND scope = 'all' "
            "AND one.model = 'baseline' AND other.model = 'one-model'"
        ).fetchone()
    # side a is the same model in both, so the same resample moves both gaps
    assert agreement > 0.2


def test_every_model_has_two_verdicts_in_the_same_words_everywhere(
    finished: Project,
) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        measured = connection.execute("SELECT DISTINCT model, epoch FROM population_gaps ORDER BY ALL").fetchall()
        found = connection.execute("SELECT model, epoch, about, sentence FROM verdicts ORDER BY ALL").fetchall()
    assert len(measured) == 5
    places = [(model, epoch, about) for model, epoch, about, _ in found]
    assert places == [(*place, about) for place in measured for about in ("membership", "objects")]
    last = {model: max(epoch for name, epoch in measured if name == model) for model in MODELS}
    said = [(model, sentence) for model, epoch, _, sentence in found if epoch == last[model]]
    lines = (finished.results / "summary.txt").read_text().splitlines()
    page = html.unescape((finished.results / "report" / "index.html").read_text())
    assert len(said) == 2 * len(MODELS)
    for model, sentence in said:
        assert f"{model}: {sentence}" in lines
        assert f">{sentence}</p>" in re.sub("</?b[^>]*>", "", page)


def test_an_early_stopped_model_has_utility_of_its_own_and_its_cost_is_told(finished: Project) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        measured = connection.execute("SELECT DISTINCT model, side FROM utility ORDER BY ALL").fetchall()
        early, masked = (
            connection.execute(
                "SELECT side, task, metric, value FROM utility WHERE model = ? AND epoch = ? ORDER BY ALL", [model, 4]
            ).fetchall()
            for model in ("early", "masked")
        )
    # the text encoder of the one-model test has no images
    assert measured == [(model, side) for model in sorted(MODELS) for side in "ab"][:-1]
    assert early and early == masked
    lines = (finished.results / "summary.txt").read_text().splitlines()
    told = [line.split(":")[0] for line in lines if ": holdout retrieval recall@10" in line]
    assert told == sorted(MODELS)


def test_a_ranking_by_chance_scores_alike_under_both_sides(finished: Project) -> None:
    scored = ("precision", "recall", "f1", "correct")
    differ = " OR ".join(f"{name}_a IS DISTINCT FROM {name}_b" for name in scored)
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        by_chance = connection.execute(
            f"SELECT model, epoch, population, count(DISTINCT row), count(*) FILTER ({differ}), "
            "round(avg(recall_a), 9) FROM sample_scores WHERE query = 'random' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        asked = connection.execute(
            "SELECT model, epoch, count(DISTINCT row) FROM sample_scores "
            "WHERE query = 'caption' AND population = 'holdout' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        derived = connection.execute("SELECT count(*) FROM population_gaps WHERE query = 'random'").fetchone()
    assert [(model, epoch, rows) for model, epoch, _, rows, _, _ in by_chance] == asked
    assert {(population, unequal) for _, _, population, _, unequal, _ in by_chance} == {("holdout", 0)}
    # no model plays a part in it
    assert len({recall for *_, recall in by_chance}) == 1 and by_chance[0][-1] > 0
    assert derived == (0,)


def test_recall_by_object_adds_up_to_the_recall_of_all_objects(finished: Project) -> None:
    queries = Queries(finished.results / "memorization.duckdb", ROOT / "workflow" / "sql")
    found = {model: [0.0, 0.0, 0] for model in MODELS}
    for row in queries.rows("recall_by_object"):
        for place, value in enumerate((row["own"] * row["number"], row["other"] * row["number"], row["number"])):
            found[row["model"]][place] += value
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        scored = connection.execute(
            "SELECT model, population, sum(correct_a), sum(correct_b), sum(objects_n) FROM sample_scores "
            "JOIN last_epochs USING (model, epoch) WHERE population IN ('a', 'b') AND query = 'caption' AND k = 10 "
            "AND labels = 'all' AND scope = 'all' GROUP BY ALL"
        ).fetchall()
    wanted = {model: [0, 0, 0] for model in MODELS}
    for model, population, by_a, by_b, objects in scored:
        if (model, population) != ("one-model", "b"):
            own, other = (by_a, by_b) if population == "a" else (by_b, by_a)
            wanted[model] = [total + part for total, part in zip(wanted[model], (own, other, objects), strict=True)]
    assert {model: pytest.approx(values) for model, values in found.items()} == wanted


def test_other_queries_are_embedded_in_the_order_of_the_rows(finished: Project) -> None:
    folders = sorted((finished.results / "embeddings").glob("*/*/*"))
    # two trained models with two sides, one of them with two checkpoints
    assert len(folders) == 6
    for folder in folders:
        # no side searches them
        assert np.load(folder / "public.captions.npy").shape == (0, 16)
        for role in ("a", "b", "holdout"):
            rows, captions = np.load(folder / f"{role}.rows.npy"), np.load(folder / f"{role}.captions.npy")
            for query in QUERIES[1:]:
                found = np.load(folder / f"{role}.{query}.npy")
                assert found.dtype == np.float32 and found.shape == captions.shape == (len(rows), 16)
                assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
                # a part of a caption is nearer to its own caption than to others, as a whole
                nearness = found @ captions.T
                assert np.diag(nearness).mean() > nearness.mean()
        found = pq.read_table(finished.results / "neighbors" / folder.relative_to(folder.parents[2]) / "a.rare.parquet")
        assert set(found["row"].to_pylist()) == set(np.load(folder / "a.rows.npy").tolist())


QUESTIONS = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "guides" / "questions.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_the_example_questions_of_the_docs_have_answers(finished: Project, number: int) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        assert connection.execute(QUESTIONS[number]).fetchall()


@pytest.mark.parametrize("query", sorted((ROOT / "workflow" / "sql").rglob("*.sql")), ids=lambda path: path.stem)
def test_the_queries_behind_the_report_run_by_hand_on_the_file(finished: Project, query: Path) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        if query.stem in ("gallery_neighbors", "gallery_evidence"):
            # a training sample, for which there is evidence
            row = "SELECT model, row FROM neighbors WHERE population = 'a' AND model = 'baseline' LIMIT 1"
            connection.execute(f"CREATE TEMP TABLE gallery_rows AS {row}")
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


# what comes after the database has no row in it; these rules are one stage under two names
AFTER_THE_DATABASE = {"all", "database", "figures", "report", "study"}
STAGE_OF_RULE = {"import_objects": "annotate", "detect": "annotate", "tfidf_neighbors": "neighbors"}


def test_every_job_of_the_run_is_in_the_table_of_stages_with_what_it_cost(finished: Project) -> None:
    ran = set(re.findall(r"^(?:local)?rule (\w+):", (finished.folder / "output.txt").read_text(), re.MULTILINE))
    files = list((finished.folder / "results").rglob("benchmarks/**/*.tsv"))
    jobs = {path.relative_to(finished.folder / "results").as_posix().partition("benchmarks/")[2] for path in files}
    cost = 0.0
    for path in files:
        lines = path.read_text().splitlines()
        cost += sum(float(line.split("\t")[0]) for line in lines[1:]) if path.stem not in AFTER_THE_DATABASE else 0.0
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT stage, subject, seconds FROM stages").fetchall()
    stages = {stage for stage, _, _ in rows}
    assert stages == {STAGE_OF_RULE.get(rule, rule) for rule in ran - AFTER_THE_DATABASE}
    assert stages == {job.partition("/")[0].removesuffix(".tsv") for job in jobs} - AFTER_THE_DATABASE
    assert all(seconds is not None for _, _, seconds in rows)
    assert sum(seconds for _, _, seconds in rows) == pytest.approx(cost)


def test_the_plan_counts_every_job_that_ran_and_no_other(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    planned = plan_of(read_config(Path("config/config.yaml")), {})
    jobs = all_jobs(planned.config, planned.datasets, partial(trained_in, planned.config))
    ran = {path.as_posix() for path in Path("results").rglob("benchmarks/**/*.tsv")}
    assert {job.benchmark for job in jobs} == ran


def test_the_terminal_shows_the_result_table_and_where_the_report_is(finished: Project) -> None:
    output = (finished.folder / "output.txt").read_text()
    assert "symmetric" in output and "95 % band" in output and "control" in output
    assert str(finished.results / "report" / "index.html") in output


def test_every_log_holds_what_its_job_printed(finished: Project) -> None:
    log = finished.folder / "logs" / "demo" / "default" / "train" / "baseline.a.log"
    assert "320/320 samples (100 %)" in log.read_text()


def test_training_leaves_nothing_behind_but_its_outputs(finished: Project) -> None:
    assert not list(finished.results.glob("state/*/*/*"))
    assert not [path for path in finished.folder.rglob("*.tmp") if ".snakemake" not in path.parts]


def test_the_snakemake_report_opens_with_the_answer_and_names_the_dataset(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.run("--report", "report.zip")
    page = assert_opens_with_answer(project.folder / "report.zip", project.results / "summary.txt", dataset="demo")
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
