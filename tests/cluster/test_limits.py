"""Jobs that exceed what they asked for, or fail for good, on a cluster; and what jobs ask for at all."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.harness import runs
from tests.harness.project import CONFIG, Project
from tests.harness.slurm import Slurm

GREEDY, SLOW, BROKEN = "00000", "00001", "00002"
# what one job each does before it begins
PLANTED = f"""
import time

held = bytearray(1200 << 20) if snakemake.wildcards.index == "{GREEDY}" else None
time.sleep(3)  # memory is looked at every second
if snakemake.wildcards.index == "{SLOW}" and snakemake.resources.runtime < 2:
    time.sleep(1000)
"""
PLANTED_BELOW_LOG = f"""
    if snakemake.wildcards.index == "{BROKEN}":
        raise TypeError("a mistake of ours")
"""


def edit(path: Path, old: str, new: str) -> None:
    """Replaces the first place of a text, which has to be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@dataclass
class Run:
    """A run that has ended: its status, what it printed, and what Slurm knows of the attempts of a file."""

    status: int
    output: str
    project: Project
    attempts: Callable[[str], list[dict[str, str]]]


@pytest.fixture(scope="module")
def run(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Run:
    """Three raw files are drawn at once: one takes too much memory, one too much time, one fails always."""
    once("limits")
    config = copy.deepcopy(CONFIG)
    config["datasets"]["demo"]["synthetic"]["files"] = 3
    project = Project.make(tmp_path_factory.mktemp("limits") / "project", config)
    script = project.folder / "workflow" / "scripts" / "raw.py"
    edit(script, "\nwith logged(snakemake.log[0]):\n", f"{PLANTED}\nwith logged(snakemake.log[0]):{PLANTED_BELOW_LOG}")
    # the shortest limit that Slurm knows
    edit(project.folder / "src" / "dejavu" / "data" / "forms" / "base.py", "minutes: int = 30", "minutes: int = 1")

    targets = [f"results/demo/raw/part-{index}.parquet" for index in (GREEDY, SLOW, BROKEN)]
    process = runs.start(slurm, project, "--keep-going", "--retries", "1", *targets)
    status = process.wait(600)
    output = runs.said(project)

    def attempts(index: str) -> list[dict[str, str]]:
        submitted = re.findall(rf"SLURM jobid (\d+) .*/demo_{index}/", output)
        return [slurm.job(number) for number in submitted]

    return Run(status, output, project, attempts)


def test_a_job_over_its_memory_is_tried_again_with_twice_as_much(run: Run) -> None:
    first, second = run.attempts(GREEDY)
    assert (first["JobState"], first["MinMemoryNode"]) == ("FAILED", "1000M")
    assert "exceeded memory limit" in Path(first["StdOut"]).read_text()
    assert (second["JobState"], second["MinMemoryNode"]) == ("COMPLETED", "2000M")


def test_a_job_over_its_time_is_tried_again_with_twice_as_much(run: Run) -> None:
    first, second = run.attempts(SLOW)
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "00:01:00")
    assert (second["JobState"], second["TimeLimit"]) == ("COMPLETED", "00:02:00")


def test_a_job_that_always_fails_is_given_up_and_its_log_is_on_screen(run: Run) -> None:
    assert run.status != 0
    assert [job["JobState"] for job in run.attempts(BROKEN)] == ["FAILED", "FAILED"]
    log = f"logs/demo/synthesize/{BROKEN}.log"
    lines = (run.project.folder / log).read_text().splitlines()
    assert lines[-1] == "TypeError: a mistake of ours"
    shown = run.output.rpartition(f"Logfile {log}:\n")[2].splitlines()
    assert shown[1 : len(lines) + 1] == lines


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], set[str]]:
    """The values that jobs of a rule ask of a resource, on GPUs, and with objects from a detector."""
    config = copy.deepcopy(CONFIG)
    detector = {"from": "detector", "model": "owl", "vocabulary": "labels.txt"}
    config["datasets"]["demo"]["annotate"] = detector
    project = Project.make(tmp_path_factory.mktemp("asked") / "project", config | {"device": "cuda"})
    (project.folder / "labels.txt").write_text("star\n")
    (project.folder / "owl").mkdir()
    (project.folder / "owl" / "config.json").write_text("{}")
    output = project.run("--dry-run")

    def values(rule: str, resource: str) -> set[str]:
        jobs = re.findall(rf"^rule {rule}:\n((?:    .*\n)+)", output, re.MULTILINE)
        assert jobs, rule
        return {value for job in jobs for value in re.findall(rf"\b{resource}=(\w+)", job) or ["0"]}

    return values


@pytest.mark.parametrize("rule", ["train", "embed", "embed_queries", "neighbors", "query_neighbors", "detect"])
def test_what_can_use_a_gpu_asks_for_one(asked: Callable[[str, str], set[str]], rule: str) -> None:
    assert asked(rule, "gpu") == {"1"}


def test_the_gpus_of_a_training_are_asked_for_on_one_node(asked: Callable[[str, str], set[str]]) -> None:
    assert asked("train", "nodes") == {"1"}


@pytest.mark.parametrize("rule", ["ingest", "query_texts", "score", "population", "report"])
def test_what_cannot_use_a_gpu_asks_for_none(asked: Callable[[str, str], set[str]], rule: str) -> None:
    assert asked(rule, "gpu") == {"0"}


def test_a_misspelled_profile_is_refused_before_anything_starts(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    done = project.snakemake("--workflow-profile", "profiles/slrum")
    assert done.returncode != 0
    assert "--workflow-profile profiles/slrum: the profile was not found" in done.stdout + done.stderr
    assert not (project.folder / "results").exists()


def test_a_profile_without_rerun_triggers_is_warned_of_before_anything_starts(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    path = project.folder / "profiles" / "slurm" / "profile.yaml"
    profile = yaml.safe_load(path.read_text())
    del profile["rerun-triggers"], profile["executor"]  # no Slurm is needed to see it
    path.write_text(yaml.safe_dump(profile))
    target = "results/demo/raw/part-00000.parquet"
    for targets in ([], [target]):
        output = project.run("--dry-run", "--workflow-profile", "profiles/slurm", *targets)
        assert output.count("The rerun trigger `code` is on, so jobs run again, trainings too") == 1
