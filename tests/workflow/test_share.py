"""What may leave the house holds no image, caption, uid or path, however it is packed, and the same totals."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import duckdb
import pytest

from dejavu.report.share import FEWEST_IMAGES, QUESTIONS, SharedQueries, write_share
from dejavu.tables import DATABASE, VIEWS
from tests.harness import hostile
from tests.harness.leaks import leaks
from tests.harness.project import ROOT, Project
from tests.harness.snakemake_reports import assert_opens_with_answer

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FILES = {
    "audit.json",
    "memorization.duckdb",
    "report/index.html",
    "report/take-along/model-card.md",
    "result_table.tsv",
    "snakemake-report.zip",
    "summary.txt",
}
# a word of these says nothing of a sample: texts of the project, and names that the user gave
ORDINARY = b"".join(
    path.read_bytes()
    for name in ("workflow", "src/dejavu/tables", "src/dejavu/report", "src/dejavu/memorization", "config")
    for path in sorted((ROOT / name).rglob("*"))
    if path.is_file() and path.suffix != ".pyc"
)


@pytest.fixture(scope="module")
def shared_by_strangers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The database of hostile names, and what is shared of it."""
    house, folder = tmp_path_factory.mktemp("house"), tmp_path_factory.mktemp("share")
    database = hostile.database(house / "memorization.duckdb")
    write_share(database, ROOT / "workflow", folder, dataset="mine", split="default")
    return database, folder


@pytest.fixture(scope="module")
def shared(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    """A finished run, and what `snakemake share` makes of it."""
    project = finished.copy(tmp_path_factory.mktemp("shared") / "project")
    jobs = project.run("--dry-run", "share")
    assert set(re.findall(r"^(?:local)?rule (\w+):", jobs, re.MULTILINE)) == {"share_split", "share"}
    project.run("share")
    return project, project.results / "share"


def private_texts(database: Path) -> list[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute("SELECT uid, caption FROM samples").fetchall()
    return [text for row in rows for text in row]


def test_nothing_private_of_hostile_data_leaves(shared_by_strangers) -> None:
    database, folder = shared_by_strangers
    private = [*hostile.UIDS, *hostile.CAPTIONS, *hostile.PATHS, *hostile.SECRETS, str(folder), str(database.parent)]
    assert leaks(folder, private, ORDINARY) == {}
    # the search finds at home what it does not find here
    at_home = {*hostile.UIDS, *hostile.CAPTIONS, *hostile.PATHS}
    assert set(leaks(database.parent, at_home)) == at_home


def test_nothing_private_of_a_run_leaves(shared) -> None:
    project, folder = shared
    private = private_texts(project.results / "memorization.duckdb")
    assert len(private) > 400
    raw = [path.name for path in (project.folder / "results" / "demo" / "raw").rglob("*.parquet")]
    names = [str(project.folder), str(ROOT), str(Path.home()), *raw]
    assert leaks(folder, [*private, *names], ORDINARY) == {}
    assert leaks(folder, [socket.gethostname()] if len(socket.gethostname()) > 8 else [], ORDINARY) == {}
    assert not [path for path in folder.rglob("*") if path.suffix in (".jpg", ".png", ".webp")]
    assert len(leaks(project.results / "report", private)) > 10


@pytest.mark.parametrize("fixture", ["shared_by_strangers", "shared"])
def test_what_is_shared_is_complete_and_has_no_row_for_a_sample(fixture, request) -> None:
    folder = request.getfixturevalue(fixture)[1]
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} >= FILES
    with duckdb.connect(str(folder / "memorization.duckdb"), read_only=True) as connection:
        columns = connection.execute(
            # a role is called members in tables of attacks
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "WHERE NOT internal AND NOT (column_name = 'members' AND data_type = 'VARCHAR') GROUP BY ALL"
        ).fetchall()
        assert {name for name, _ in columns} == {*DATABASE, *VIEWS, *QUESTIONS}
        of_samples = [
            name for name, found in columns if {"row", "uid", "caption", "public_row", "members"} & set(found)
        ]
        filled = [
            name for name in of_samples if connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() != (0,)
        ]
    assert len(of_samples) == 6 and filled == []


def test_the_shared_snakemake_report_opens_with_the_answer(shared) -> None:
    _, folder = shared
    assert_opens_with_answer(folder / "snakemake-report.zip", folder / "summary.txt", dataset="demo")


def test_the_shared_totals_are_those_of_the_house(shared) -> None:
    project, folder = shared
    ours, theirs = (
        json.loads(path.read_text())
        for path in (project.results / "report" / "take-along" / "audit.json", folder / "audit.json")
    )
    changed = {key for key in ours if ours[key] != theirs[key]}
    assert changed == set()
    assert (project.results / "result_table.tsv").read_bytes() == (folder / "result_table.tsv").read_bytes()


def test_labels_that_few_images_show_and_all_captions_stay_at_home(shared_by_strangers, shared) -> None:
    for _, folder in (shared_by_strangers, shared):
        found = SharedQueries(folder / "memorization.duckdb", ROOT / "workflow" / "sql").rows("unnamed_labels")
        assert all(row["images"] >= FEWEST_IMAGES and row["captions"] == [] for row in found)
    assert len(found) > 1


def test_paths_of_the_configuration_become_numbers_or_names_of_files(shared_by_strangers) -> None:
    with duckdb.connect(str(shared_by_strangers[1] / "memorization.duckdb"), read_only=True) as connection:
        config = dict(connection.execute("SELECT key, value FROM config").fetchall())
        sides = connection.execute(
            "SELECT DISTINCT source, preprocessing FROM sides WHERE kind = 'checkpoint'"
        ).fetchall()
    assert config["datasets.mine.raw"] == '["path 1"]' and config["datasets.mine.root"] == '"path 2"'
    assert config["splits.default.roles.a.uids"] == '"path 3"'
    assert config["models.baseline.architecture"] == '"tiny.json"'
    assert json.loads(config["models.foreign.sides.a.checkpoint"]) == Path(hostile.CHECKPOINT).name
    assert sides == [(Path(hostile.CHECKPOINT).name, "mean 0.5 (by open_clip_config.json)")]
