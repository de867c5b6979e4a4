"""What is looked at before a run: results that something else than their jobs has changed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.errors import InputError
from dejavu.plan.datasets import Dataset
from dejavu.plan.needs import check_what_is_needed
from dejavu.plan.results import check_unchanged

ENDED = 1_700_000_000.25
RESULTS, RECORDS = Path("results"), Path(".snakemake")
LONG = f"results/demo/{'long ' * 40}/{'name ' * 40}.parquet"
OUTPUTS = ["results/demo/a b.parquet", "results/demo/c.parquet", "results/demo/d.parquet", LONG, "results/demo/folder"]


def note(output: str, kind: str = "metadata", **record: float | None) -> Path:
    """Writes a record as Snakemake does."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    path = RECORDS.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def change(path: str | Path, by: float) -> None:
    os.utime(path, (ENDED + by, ENDED + by))


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finished results: four files, one of a name that Snakemake cuts, and a folder with a file in it."""
    monkeypatch.chdir(tmp_path)
    for output in OUTPUTS:
        path = Path(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        if output.endswith("folder"):
            path.mkdir()
            (path / "x.parquet").write_text("rows")
            change(path / "x.parquet", -5)
            path /= ".snakemake_timestamp"
        path.write_text("")
        change(path, 0)
        note(output, endtime=ENDED)
    return tmp_path / "results"


def told() -> str:
    with pytest.raises(InputError) as error:
        check_unchanged(RESULTS, RECORDS)
    return str(error.value)


def test_results_as_their_jobs_left_them_pass_also_with_times_of_whole_seconds() -> None:
    assert check_unchanged(RESULTS, RECORDS) is None
    for path in RESULTS.rglob("*"):
        os.utime(path, (int(path.stat().st_mtime),) * 2)
    assert check_unchanged(RESULTS, RECORDS) is None


@pytest.mark.parametrize("by", [-86_400, -2, 2, 86_400])
@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_of_another_time_is_named_with_a_command_that_deletes_it(output: str, by: float) -> None:
    carrier = Path(output, ".snakemake_timestamp") if output.endswith("folder") else Path(output)
    change(carrier, by)
    command = f"rm -r {shlex.quote(output)}"
    assert output in told() and f"`{command}`" in told()
    subprocess.run(command, shell=True, check=True)
    assert check_unchanged(RESULTS, RECORDS) is None


def test_a_file_in_a_folder_that_was_rewritten_is_noticed_and_hidden_ones_are_not() -> None:
    Path("results/demo/folder/.DS_Store").touch()
    assert check_unchanged(RESULTS, RECORDS) is None
    Path("results/demo/folder/x.parquet").write_text("ro")
    assert "results/demo/folder in " in told()


def test_a_folder_without_snakemakes_mark_was_replaced() -> None:
    Path("results/demo/folder/.snakemake_timestamp").unlink()
    assert "results/demo/folder in " in told()


def test_of_many_the_first_are_named_and_one_command_deletes_all() -> None:
    more = [f'results/demo/{number} "quoted".parquet' for number in range(10)]
    for output in more:
        Path(output).write_text("")
        change(output, 0)
        note(output, endtime=ENDED)
    for output in more[:7]:
        change(output, 9)
    message = told()
    assert ", ".join(more[:3]) + " and 4 more" in message
    subprocess.run(message.split("`")[1], shell=True, check=True)
    assert [Path(output).exists() for output in more] == [False] * 7 + [True] * 3
    assert check_unchanged(RESULTS, RECORDS) is None


def test_where_most_differ_there_is_a_warning_as_for_a_copy_without_times() -> None:
    for output in OUTPUTS[:3]:
        change(output, 9)
    assert "3 of 5 outputs" in (check_unchanged(RESULTS, RECORDS) or "")


def test_outputs_of_an_interrupted_job_and_records_that_say_nothing_are_passed_over() -> None:
    for output in OUTPUTS[:3]:
        change(output, 9)
    note(OUTPUTS[0], "incomplete", external_jobid=None)
    note(OUTPUTS[1], endtime=None)
    note(OUTPUTS[2]).write_text('{"endtime": 1700')
    note("elsewhere/x.parquet", endtime=ENDED)
    note("results/demo/deleted.parquet", endtime=ENDED)
    Path("elsewhere").mkdir()
    Path("elsewhere/x.parquet").touch()
    assert check_unchanged(RESULTS, RECORDS) is None


def test_without_results_or_records_there_is_nothing_to_say(results: Path) -> None:
    assert check_unchanged(Path("nowhere"), RECORDS) is None
    assert check_unchanged(RESULTS, Path("nowhere")) is None


# what a run needs, looked for before it


def with_side(encoder: str) -> dict:
    side = {"text_encoder": encoder, "checkpoint": None, "model": None}
    return {"models": {"one": {"sides": {"b": side}}}}


@pytest.mark.parametrize("kind", ["text encoder", "detector"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/models/no-such-model", "'/models/no-such-model' is neither a folder nor in the cache"),
        ("~/models/e5", "'~/models/e5' is neither a folder nor in the cache"),
        ("someone/not-fetched", "fetch it first (huggingface-cli download someone/not-fetched"),
        ("empty", "the folder empty has no "),
    ],
)
def test_a_model_that_is_neither_a_folder_nor_cached_is_refused(monkeypatch, tmp_path, kind, given, told) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    Path("empty").mkdir()
    # loading a model does not expand the path
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models" / "e5").mkdir(parents=True)
    (tmp_path / "models" / "e5" / "config.json").write_text("{}")
    section = {"synthetic": {}, "annotate": {"from": "detector", "model": given}}
    datasets = {"mine": Dataset("mine", section, {}, {})} if kind == "detector" else {}
    with pytest.raises(InputError) as error:
        check_what_is_needed(with_side(given) if kind == "text encoder" else {"models": {}}, datasets)
    assert told in str(error.value)
    (Path("empty") / "config.json").write_text("{}")
    if given == "empty":
        check_what_is_needed(with_side(given) if kind == "text encoder" else {"models": {}}, datasets)


def test_a_text_encoder_that_is_misspelled_is_refused_with_the_one_that_is_built_in() -> None:
    check_what_is_needed(with_side("tfidf"), {})
    with pytest.raises(InputError, match=r"did you mean 'tfidf'"):
        check_what_is_needed(with_side("tf-idf"), {})


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, "has no column 'objects'"),
        ({"objects": [[17]]}, "has class numbers"),
        ({"objects": ["dog, cat"]}, "column 'objects' is string"),
        ({"objects": [["dog"]]}, None),
    ],
)
def test_a_column_of_objects_that_cannot_be_read_is_refused(tmp_path, columns, told) -> None:
    pq.write_table(pa.table({"image": [b"x"], "caption": ["a dog"], **columns}), tmp_path / "raw.parquet")
    mapped = {"image": "image", "caption": "caption", "key": None, "objects": "objects", "status": None, "error": None}
    section = {"raw": ["*.parquet"], "annotate": {"from": "column"}, "columns": mapped}
    dataset = Dataset("mine", section, {"raw.parquet": str(tmp_path / "raw.parquet")}, {})
    if told is None:
        check_what_is_needed({"models": {}}, {"mine": dataset})
        return
    with pytest.raises(InputError, match=told):
        check_what_is_needed({"models": {}}, {"mine": dataset})
