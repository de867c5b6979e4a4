"""What the soak of killed runs rests on: whom it kills, and what it would find."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.harness.soak import (
    KINDS,
    Kill,
    Round,
    end,
    job_name,
    jobs_of,
    plan,
    processes_in,
    strike,
    summary,
    tracebacks,
    wait_for,
)

SLEEP = "import time; time.sleep(60)"


def test_the_kills_of_a_seed_and_round_are_always_the_same():
    first, again, other_round, other_seed = (
        list(itertools.islice(plan(seed, number, 30.0), 2000)) for seed, number in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert first == again
    assert first[:5] != other_round[:5] and first[:5] != other_seed[:5]
    assert statistics.mean(kill.delay for kill in first) == pytest.approx(30, rel=0.1)
    assert min(Counter(kill.kind for kill in first)[kind] for kind in KINDS) > 500


def test_jobs_are_told_from_the_shells_around_them():
    script = "/tmp/p/.snakemake/scripts/tmpw_4k2.embed_captions.py"
    assert job_name(["/usr/bin/python3", script]) == "embed_captions"
    assert job_name(["/bin/bash", "-c", f"set -e; /usr/bin/python3 {script}"]) is None
    assert job_name(["python", "-u", "-m", "dejavu.training.worker", "job.json"]) == "worker"
    assert job_name(["python", "-m", "snakemake", "--cores", "1"]) is None


@pytest.fixture
def tree(tmp_path: Path):
    """A process with a job under it, as Snakemake has it, in a folder of their own, and one beside."""
    script = tmp_path / "project" / ".snakemake" / "scripts" / "tmp1.train.py"
    script.parent.mkdir(parents=True)
    script.write_text(SLEEP)
    (tmp_path / "project-2").mkdir()
    folders = (tmp_path / "project", tmp_path / "project-2")
    top = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} -S {script}; exit 3"], cwd=folders[0], start_new_session=True
    )
    beside = subprocess.Popen(["sleep", "60"], cwd=folders[1])
    while not jobs_of(top.pid):
        time.sleep(0.01)
    yield top, beside, folders
    for folder in folders:
        end(folder)
    top.wait()
    beside.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_hits_what_it_is_to_hit(tree, kind):
    top, _, (folder, _) = tree
    ((_, job),) = jobs_of(top.pid)
    assert strike(top, Kill(0.0, kind, 0.99)) == "train"
    assert top.wait(10) == (3 if kind == "job" else -9)
    if kind == "snakemake":
        assert processes_in(folder) == [job], "its job runs on"
    else:
        wait_for(folder, 10)
        assert processes_in(folder) == []


def test_processes_are_found_and_ended_by_their_folder_and_no_others(tree):
    top, beside, (folder, other) = tree
    assert len(processes_in(folder)) == 2
    assert [process.pid for process in processes_in(other)] == [beside.pid]
    assert end(folder) == 2
    assert processes_in(folder) == [] and beside.poll() is None


def test_tracebacks_are_found_and_sentences_are_not():
    traceback = 'Traceback (most recent call last):\n  File "x"\n    y()\nKeyError: 1'
    text = f"error: x.json is damaged: delete it.\n{traceback}\nend\n"
    assert tracebacks(text + text) == [traceback]


def test_the_summary_counts_over_all_rounds():
    rounds = [
        Round(1, Counter(group=2), Counter(train=1, none=1), restarts=2, continued=1, complete=True, temporaries=["x"]),
        Round(2, Counter(job=1, group=1), Counter(train=2), restarts=2, complete=True, differing=["bands"], folder="f"),
        Round(3, restarts=30, unexpected=["text"]),
    ]
    counts = json.loads(json.dumps(summary(rounds)))
    assert counts["kills"] == {"group": 3, "job": 1}
    assert counts["killed_in"] == {"train": 3, "none": 1}
    assert [counts[name] for name in ("rounds", "differing", "incomplete", "restarts", "continued")] == [3, 1, 1, 34, 1]
    assert [counts[name] for name in ("temporaries", "states", "unexpected")] == [1, 0, 1]
    assert counts["first_unexpected"] == ["text"] and counts["kept"] == ["f"]
    assert counts["each_round"][0]["kills"] == {"group": 2}
    assert [one.good for one in rounds] == [True, False, False]
