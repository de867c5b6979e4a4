"""A run ends with the results that it made, and with no others."""

from __future__ import annotations

import os
from pathlib import Path

from dejavu.plan.summaries import new_summaries, study_folder

CONFIG = {
    "splits": {"one": {"dataset": "demo"}, "two": {"dataset": "demo"}},
    "studies": {"size": {"split": "one"}},
}


def write(path: str, when: float) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"the table of {path}\n")
    os.utime(path, (when, when))


def test_only_what_was_made_since_the_start_is_shown_with_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("results/demo/one/summary.txt", 100)
    write("results/demo/two/summary.txt", 300)
    write("results/demo/studies/size/summary.txt", 301)
    two, size = new_summaries(CONFIG, since=200)
    assert two.startswith("the table of results/demo/two/summary.txt\n\nReport:   /")
    assert f"{tmp_path}/results/demo/two/report/index.html\n" in two
    assert two.endswith(f"Database: {tmp_path}/results/demo/two/memorization.duckdb")
    assert size.endswith(f"Report:   {tmp_path}/results/demo/studies/size/report/index.html")
    assert list(new_summaries(CONFIG, since=302)) == []


def test_a_study_lies_below_the_dataset_of_its_split():
    assert study_folder(CONFIG, "size") == "results/demo/studies/size"
