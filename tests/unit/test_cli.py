"""The command `dejavu`: what it writes, what it calls, and one sentence for every wrong use."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest
import yaml
from tests.harness.project import ROOT

import dejavu
from dejavu.cli import main
from dejavu.cli.begin import CONFIGURATIONS
from dejavu.config import load_config

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that Snakemake was given, in place of its runs."""
    lines: list[list[str]] = []
    module = types.ModuleType("snakemake.cli")
    module.main = lambda: (lines.append(sys.argv), sys.exit(0))  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setitem(sys.modules, "snakemake", types.ModuleType("snakemake"))
    monkeypatch.setitem(sys.modules, "snakemake.cli", module)
    return lines


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert not told.out
    (line,) = told.err.splitlines()
    return line


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_new_folder_has_a_configuration_all_that_it_names_and_the_profiles(folder, capsys, name) -> None:
    assert main(["init", "one", "--config", name]) == 0
    first = "dejavu run" if CONFIGURATIONS[name].brings_data else "dejavu check"
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"cd one && {first}")
    os.chdir("one")
    text = Path("config/config.yaml").read_text()
    assert text.startswith(f"# From `dejavu init --config {name}`, vlm-dejavu {dejavu.__version__}.")
    written = yaml.safe_load(text)
    assert written == yaml.safe_load((ROOT / CONFIGURATIONS[name].file).read_text())
    # architectures are found here, and not in the project
    files = {side for side in str(written).replace("'", " ").split() if side.endswith(".json")}
    assert all(Path(file).read_bytes() == (ROOT / file).read_bytes() for file in files)
    if CONFIGURATIONS[name].brings_data:
        assert files
        load_config(written, SCHEMA, Path("nowhere"))
    for profile in ("default", "slurm"):
        path = Path("profiles", profile, "profile.yaml")
        assert path.read_bytes() == (ROOT / path).read_bytes()


def test_every_configuration_of_the_project_can_be_begun_with(folder) -> None:
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "config").glob("*.yaml")}
    # `make rehearsal` alone fills it in
    assert {one.file for one in CONFIGURATIONS.values()} == shipped - {"config/rehearsal.yaml"} | {
        ".test/config/config.yaml"
    }


def test_init_without_a_folder_writes_here_and_a_second_one_overwrites_nothing(folder, capsys) -> None:
    assert main(["init"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Next: dejavu run"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    line = refused(capsys, "init", "--demo")
    assert line == "error: config/config.yaml is there already, and nothing is overwritten: name another folder."
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rnu"], "dejavu has no command 'rnu' (did you mean 'run'?): it has init, run, check, report, plan, upgrade."),
        (["--fast"], "dejavu: it does not know --fast. `dejavu --help` lists what it takes."),
        (["init", "x", "--config", "dmeo"], "there is no configuration 'dmeo' (did you mean 'demo'?): --config takes"),
        (["init", "file"], "file is a file: name a folder."),
        (["init", "x", "--demo", "--config", "studies"], "dejavu init: argument --config: not allowed with argument"),
        (["run"], "write one with `dejavu init`, change into a folder that has one, or name a configuration with --co"),
        (["check"], "there is no config/config.yaml in "),
        (["report", "--config", "no.yaml"], "there is no configuration no.yaml: correct --config."),
        (["run", "--config", "file", "--cores", "two"], "--cores is 'two', but it must be a whole number of at least"),
        (["run", "--config", "file", "--cores", "0"], "--cores is '0', but it must be a whole number of at least 1"),
        (["run", "--forceall"], "dejavu run: it does not know --forceall; options of snakemake follow after --."),
        (["plan", "--config", "no.yaml"], "there is no file no.yaml: correct the path."),
        (["plan", "--cores", "two"], "dejavu plan: argument --cores: invalid int value: 'two'. `dejavu plan --help`"),
        (["upgrade", "--fast"], "dejavu upgrade: it does not know --fast."),
        (["upgrade"], "has no records of results: run this in the folder that has results/."),
    ],
)
def test_a_wrong_use_gets_one_sentence(folder, capsys, arguments, sentence) -> None:
    Path("file").write_text("{}")
    assert sentence in refused(capsys, *arguments)


def test_a_python_without_snakemake_is_told_what_to_install(folder, capsys, monkeypatch) -> None:
    main(["init"])
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "snakemake.cli", None)
    assert "snakemake cannot be imported here" in refused(capsys, "run")


def test_run_and_check_call_snakemake_with_the_workflow_of_the_package(folder, called, capsys) -> None:
    main(["init"])
    mine = folder / "mine.yaml"
    mine.write_text("{}")
    ours = ["--snakefile", str(ROOT / "Snakefile")]
    assert main(["run"]) == 0
    assert main(["run", "--cores", "3", "-n", "--config", "mine.yaml", "--", "--forceall", "results/x"]) == 0
    assert main(["check", "--cores", "all"]) == 0
    assert called == [
        ["snakemake", *ours],
        ["snakemake", "--configfile", "mine.yaml", *ours, "--cores", "3", "--dry-run", "--forceall", "results/x"],
        ["snakemake", "--quiet", "rules", "host", "progress", "reason", *ours, "--cores", "all", "--", "check"],
    ]


def test_report_shows_the_results_of_every_split_and_where_the_page_is(folder, called, capsys) -> None:
    main(["init"])
    summary = folder / "results" / "tiny" / "default" / "summary.txt"
    summary.parent.mkdir(parents=True)
    summary.write_text("what was found\n")
    capsys.readouterr()
    assert main(["report"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("what was found\n")
    assert f"Report:   {summary.parent / 'report' / 'index.html'}" in told
