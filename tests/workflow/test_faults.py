"""Nothing is lost and nothing half-written, whatever happens to a job, its disk or its files; the rerun completes."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import warm
from tests.harness.comparison import differing_checkpoints, differing_tables
from tests.harness.project import CONFIG, ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

READ_ONLY_AT = "population"


def configuration() -> dict:
    """The finished run's with a smaller role, and without a model whose training would meet no fault of its own."""
    config = copy.deepcopy(CONFIG)
    config["splits"]["default"]["roles"]["b"]["limit"] = 45
    del config["models"]["masked"], config["models"]["early"]
    return config


@dataclass
class Disturbed:
    """A project whose run met the faults of ``faults.py``, with what was seen on the way.

    Attributes:
        project: the folder.
        on_disk: whether results/ is a file system of its own, which only root can mount.
        notes: the faults met, as ``rule.fault``.
        output: what the runs printed, one after the other; the last one completed.
        second: a Snakemake that was started in the same folder during the run.
        refused: a start while results/ was read-only.
    """

    project: Project
    on_disk: bool
    notes: set[str]
    output: list[str]
    second: subprocess.CompletedProcess[str]
    refused: subprocess.CompletedProcess[str] | None


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Iterator[Disturbed]:
    once("disturbed")
    folder = tmp_path_factory.mktemp("faults")
    project, notes, hook = Project.make(folder / "project", configuration()), folder / "notes", folder / "hook"
    results = project.folder / "results"
    for made in (results, notes, hook):
        made.mkdir()
    shutil.copyfile(ROOT / "tests" / "harness" / "faults.py", hook / "sitecustomize.py")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", results], capture_output=True, check=False
    )
    on_disk = mounted.returncode == 0
    try:
        yield disturb(project, notes, hook, on_disk)
    finally:
        if on_disk:
            subprocess.run(["umount", "--lazy", results], check=True)


def disturb(project: Project, notes: Path, hook: Path, on_disk: bool) -> Disturbed:
    # the first attempt of a rule finds no room, the second is killed, and the third finds what the second left
    faults = f"read-only:{READ_ONLY_AT} full killed" if on_disk else "killed"
    environment = {"PYTHONPATH": str(hook), "FAULTS": faults, "FAULT_NOTES": str(notes)}

    def start() -> subprocess.Popen[str]:
        arguments = ("--cores", "1", "--retries", "2")
        return warm.start(project.folder, *arguments, log=log, environment=environment)

    output, log, refused = [], notes.parent / "output.txt", None
    run = start()
    while not any(notes.iterdir()):
        assert run.poll() is None, log.read_text()
        time.sleep(0.2)
    second = project.snakemake()
    status = run.wait()
    output.append(log.read_text())
    if on_disk:
        assert status != 0
        refused = project.snakemake("--dry-run")
        subprocess.run(["mount", "-o", "remount,rw", project.folder / "results"], check=True)
        log.unlink()
        status = start().wait()
        output.append(log.read_text())
    assert status == 0, output[-1]
    return Disturbed(project, on_disk, {note.name for note in notes.iterdir()}, output, second, refused)


def scripts_run(output: list[str]) -> set[str]:
    """The scripts of the rules that were run: their own, but for the rules of raw files, which share one."""
    rules = set(re.findall(r"^(?:local)?rule (\w+):", "\n".join(output), re.MULTILINE)) - {"all"}
    return {"raw" if rule == "synthesize" else rule for rule in rules}


def test_killed_jobs_of_every_rule_give_what_an_edit_of_a_finished_run_gives(
    disturbed: Disturbed, finished: Project, tmp_path: Path
) -> None:
    killed = {note.removesuffix(".killed") for note in disturbed.notes if note.endswith(".killed")}
    assert killed == scripts_run(disturbed.output)
    edited = finished.copy(tmp_path / "project")
    edited.write_config(configuration())
    edited.run()
    ours, theirs = disturbed.project.results, edited.results
    assert differing_tables(theirs / "memorization.duckdb", ours / "memorization.duckdb") == []
    assert differing_checkpoints(theirs / "models" / "baseline", ours / "models" / "baseline") == []
    # the edit concerns side b alone
    kept, before = (p.results / "models" / "baseline" / "a" / "checkpoints" / "320.pt" for p in (edited, finished))
    assert kept.stat().st_mtime_ns == before.stat().st_mtime_ns


def test_nothing_temporary_is_left_of_jobs_that_were_killed_or_found_no_room(disturbed: Disturbed) -> None:
    left = [path for path in (disturbed.project.folder / "results").rglob(".*") if path.name != ".snakemake_timestamp"]
    assert left == []


def test_a_full_disk_ends_a_job_of_every_rule_with_one_sentence(disturbed: Disturbed) -> None:
    if not disturbed.on_disk:
        pytest.skip("a small file system can be mounted by root only")
    full = {note.removesuffix(".full") for note in disturbed.notes if note.endswith(".full")}
    assert full == scripts_run(disturbed.output)
    output = "\n".join(disturbed.output)
    told = re.findall(r"^error: (?:a file in )?(\S+) cannot be written, since the disk is full", output, re.MULTILINE)
    assert len(told) == len(full)
    assert all(path.startswith("results") for path in told)
    # no traceback of ours; Snakemake's own follows where it tries again on a disk that turned read-only
    assert not re.search(r'File "\S+/src/dejavu/', output)


def test_a_disk_that_turns_read_only_is_named_by_the_run_and_by_the_next_start(disturbed: Disturbed) -> None:
    if disturbed.refused is None:
        pytest.skip("a small file system can be mounted by root only")
    told = re.findall(r"^error: (\S+) cannot be written, since its file system is read-only", disturbed.output[0], re.M)
    assert told and all(f"/{READ_ONLY_AT}s/" in path for path in told)
    assert disturbed.refused.returncode != 0
    said = disturbed.refused.stdout + disturbed.refused.stderr
    assert f"{disturbed.project.folder / 'results'} is on a read-only file system" in said
    assert "Traceback" not in said


def test_a_second_run_in_the_same_folder_ends_at_once_and_harms_nothing(disturbed: Disturbed) -> None:
    said = disturbed.second.stdout + disturbed.second.stderr
    assert disturbed.second.returncode != 0
    assert "Directory cannot be locked" in said and "Traceback" not in said
    assert scripts_run([said]) == set()


# files that something else than their job has changed

NEIGHBORS = "results/demo/default/neighbors/{}/a/320/a.parquet"


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    return finished.copy(tmp_path / "project")


def refusal(project: Project) -> str:
    """The one line that says what was changed."""
    done = project.snakemake("--dry-run")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    (line,) = [line for line in said.splitlines() if "changed or replaced" in line]
    assert "Traceback" not in said
    return line


def do_as_told(project: Project, line: str) -> None:
    subprocess.run(re.findall(r"`(.*)`", line)[0], shell=True, cwd=project.folder, check=True)


def test_a_deleted_intermediate_is_made_again_byte_by_byte_when_asked_for(project: Project) -> None:
    path = project.folder / NEIGHBORS.format("baseline")
    before = path.read_bytes()
    path.unlink()
    assert project.planned() == {}
    project.run(NEIGHBORS.format("baseline"))
    assert path.read_bytes() == before
    # same bytes, so nothing is scored again; the database holds what the job took
    assert set(project.planned()) == {"database", "figures", "report"}


def test_a_foreign_intermediate_is_refused_and_deleted_is_made_anew(project: Project, finished: Project) -> None:
    own, foreign = (
        project.results / "populations" / model / "320" / "recall_curves.parquet" for model in ("baseline", "masked")
    )
    shutil.copyfile(foreign, own)
    (project.results / "memorization.duckdb").unlink()
    line = refusal(project)
    assert str(own.relative_to(project.folder)) in line
    do_as_told(project, line)
    project.run("results/demo/default/memorization.duckdb")
    assert differing_tables(finished.results / "memorization.duckdb", project.results / "memorization.duckdb") == []


def test_files_that_are_truncated_or_copied_with_their_times_are_refused(project: Project) -> None:
    own, foreign = (project.folder / NEIGHBORS.format(model) for model in ("baseline", "masked"))
    shutil.copyfile(foreign, own)
    of_another_run = time.time() - 86_400
    os.utime(own, (of_another_run, of_another_run))
    manifest = project.results / "manifests" / "b.parquet"
    os.truncate(manifest, 100)
    samples = sorted((project.folder / "results" / "demo" / "samples").iterdir())
    os.truncate(next(samples[0].glob("*.parquet")), 100)
    os.utime(samples[1] / ".snakemake_timestamp", (of_another_run, of_another_run))
    changed = [manifest, own, *samples]
    line = refusal(project)
    assert f"{', '.join(str(path.relative_to(project.folder)) for path in changed[:3])} and 1 more" in line
    do_as_told(project, line)
    assert not [path for path in changed if path.exists()]
    assert project.planned() == {}


def test_a_clone_copied_without_times_is_warned_of_and_can_be_taken(finished: Project, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "clone", copy_function=shutil.copyfile)
    clone = Project(tmp_path / "clone")
    assert "copy that did not keep them" in clone.run("--dry-run")
    clone.run("--touch", "--forceall")
    assert "copy that did not keep them" not in clone.run("--dry-run")
    assert clone.planned() == {}
