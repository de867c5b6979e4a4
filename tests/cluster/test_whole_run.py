"""The tiny configuration goes through the scheduler whole, and gives what one machine gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.harness import runs
from tests.harness.comparison import differing_checkpoints, differing_tables
from tests.harness.project import Project
from tests.harness.slurm import Slurm

MODEL = "baseline"
# Slurm jobs of a run, as their comments name them: how many, MiB and minutes that one asks for at this size.
# A group's members run in turn: it asks for the most memory of any, and for the time of all.
JOBS = {
    "rule_synthesize": (2, 1000, 30),
    "rule_inventory": (1, 1000, 30),
    "rule_batch_annotate_fingerprint_ingest": (2, 2000, 21 + 21 + 20),
    "rule_duplicates": (1, 2001, 31),
    "rule_split_disjoint_manifest": (1, 1001, 4 * 31 + 31),
    "rule_train": (2, 4000 + 20_000 // 20 + 32, 31),
    "rule_embed": (8, 4000, 21),
    "rule_query_texts": (1, 1501, 31),
    "rule_embed_queries": (2, 4001, 21),
    "rule_neighbors": (6, 2000, 31),
    "rule_query_neighbors": (2, 2000, 31),
    "rule_utility": (2, 4001, 61),
    "rule_scores_attacks_population_score": (1, 2001, 3 * 31 + 31 + 2 * 31),
    "rule_report_database_figures_report": (1, 4004, 31 + 30 + 30),
}


@dataclass
class Run:
    """A run on the cluster that has ended well, what it printed, and all that Slurm knows of its jobs."""

    project: Project
    output: str
    jobs: list[dict[str, str]]


@pytest.fixture(scope="module")
def run(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Run:
    once("whole")
    project = runs.make_project(tmp_path_factory.mktemp("whole") / "project")
    output = runs.run(slurm, project)
    ids = re.findall(r"submitted with SLURM jobid (\d+)", output)
    return Run(project, output, [slurm.job(number) for number in ids])


def test_a_cluster_gives_the_same_rows_as_one_machine(run: Run, finished: Project) -> None:
    ours, theirs = (project.results / "memorization.duckdb" for project in (run.project, finished))
    assert differing_tables(theirs, ours, [MODEL]) == []


def test_a_cluster_gives_the_same_weights_as_one_machine(run: Run, finished: Project) -> None:
    ours, theirs = (project.results / "models" / MODEL for project in (run.project, finished))
    assert differing_checkpoints(theirs, ours) == []


def test_the_report_is_there_and_the_terminal_says_where(run: Run) -> None:
    report = run.project.results / "report" / "index.html"
    assert report.is_file()
    assert str(report) in run.output


def test_rules_are_grouped_and_each_job_asks_for_its_memory_and_time(run: Run) -> None:
    found: dict[str, list[tuple]] = {}
    for job in run.jobs:
        name = job["Comment"].partition("_wildcards_")[0]
        found.setdefault(name, []).append((job["JobState"], job["MinMemoryNode"], job["TimeLimit"]))
    expected = {
        name: [("COMPLETED", f"{memory}M", f"{minutes // 60:02}:{minutes % 60:02}:00")] * count
        for name, (count, memory, minutes) in JOBS.items()
    }
    assert found == expected


def test_jobs_that_do_not_wait_for_each_other_run_at_once(run: Run) -> None:
    trainings = [job for job in run.jobs if job["Comment"].startswith("rule_train")]
    assert max(job["StartTime"] for job in trainings) < min(job["EndTime"] for job in trainings)


def test_afterwards_neither_the_cluster_nor_one_machine_has_anything_to_do(run: Run, slurm: Slurm) -> None:
    output = runs.run(slurm, run.project, "--dry-run").removeprefix(run.output)
    assert "Nothing to be done" in output
    assert run.project.planned() == {}
