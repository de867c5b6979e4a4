"""The report that may leave the house: made from a database of totals, so it can hold nothing that is not in there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from dejavu.database.share import ANSWERS, write_shared_database
from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.report.captions import captions
from dejavu.report.figures import draw_figures
from dejavu.report.queries import Queries
from dejavu.report.site import write_site
from dejavu.report.summary import write_summary, write_table_file
from dejavu.report.take_along import write_take_along

# Images that have to show a label for it to be named: of a rarer one, the name alone may tell which image it is.
FEWEST_IMAGES = 10


class SharedQueries(Queries):
    """The queries on a database that may leave the house: those that need single samples were answered before."""

    def table(self, name: str, **tables: pa.Table) -> pa.Table:
        """Return the rows of ``<name>.sql``, or the answer to it that the database holds."""
        if name not in QUESTIONS:
            return super().table(name, **tables)
        return self._connection.sql(f'SELECT * FROM {ANSWERS}."{name}"').to_arrow_table()


def _as_it_is(rows: list[dict]) -> list[dict]:
    return rows


def _sorted_sizes(rows: list[dict]) -> list[dict]:
    return [{**row, "sizes": sorted(row["sizes"])} for row in rows]


def _without_captions(rows: list[dict]) -> list[dict]:
    return [{**row, "captions": []} for row in rows if row["images"] >= FEWEST_IMAGES]


def _without_rare_objects(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["number"] >= FEWEST_IMAGES]


# queries on single samples whose results are totals -> what of the result may leave
QUESTIONS = {
    "duplicates": _as_it_is,
    "group_sizes": _sorted_sizes,
    "unnamed_labels": _without_captions,
    "recall_differences": _as_it_is,
    "recall_by_object": _without_rare_objects,
}


def write_share(
    database: Path, workflow: Path, folder: Path, *, dataset: str, split: str, memory_mb: int = 1000
) -> None:
    """Write everything about a split that may leave the house into a folder, from its finished database.

    Args:
        database: the database of the split.
        workflow: folder of the workflow.
        folder: where to write: ``memorization.duckdb``, ``report``, ``figures``, ``audit.json``, ``summary.txt``,
            ``result_table.tsv`` and ``snakemake-report.zip``.
        dataset, split: their names, which the report shows.
        memory_mb: memory that DuckDB may take, in MB; beyond it, DuckDB spills to disk.
    """
    title = f"{dataset} / {split}, without single samples"
    shared = folder / "memorization.duckdb"
    answers = _answers(Queries(database, workflow / "sql", memory_mb))
    write_shared_database(database, workflow / "sql", shared, answers, memory_mb)
    queries = SharedQueries(shared, workflow / "sql", memory_mb)
    figures = {name: folder / "figures" / f"{name}.svg" for name in captions(workflow / "report" / "figures")}
    draw_figures(queries, figures)
    site = folder / "report"
    write_site(queries, list(figures.values()), [], workflow / "report" / "site", site, title=title)
    write_take_along(queries, workflow, site / "take-along", dataset=dataset, split=split)
    shutil.copyfile(site / "take-along" / "audit.json", folder / "audit.json")
    write_table_file(queries, folder / "result_table.tsv")
    write_summary(queries, folder / "summary.txt", title=title)
    _snakemake_report(workflow, folder, dataset=dataset, split=split)


def _answers(queries: Queries) -> dict[str, pa.Table]:
    answers = {}
    for name, shown in QUESTIONS.items():
        table = queries.table(name)
        answers[name] = pa.Table.from_pylist(shown(table.to_pylist()), schema=table.schema)
    return answers


def _snakemake_report(workflow: Path, folder: Path, *, dataset: str, split: str) -> None:
    """Write Snakemake's report on a folder to share, by a workflow of one rule that knows nothing but this folder.

    The report of the workflow itself names the inputs of its jobs, which are files of the data.
    """
    work = folder / ".snakemake-report"
    (work / "made").mkdir(parents=True)
    for name in ("report", "figures"):
        shutil.copytree(folder / name, work / "made" / name)
    for name in ("result_table.tsv", "summary.txt"):
        shutil.copyfile(folder / name, work / "made" / name)
    shutil.copytree(workflow / "share", work / "workflow")
    shutil.copyfile(workflow / "report" / "landing.rst", work / "workflow" / "landing.rst")
    base = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile", "--cores", "1", "--quiet", "all"]
    base += ["--config", f"dataset={json.dumps(dataset)}", f"split={json.dumps(split)}"]
    try:
        for arguments in ([], ["--report", "report.zip"]):
            done = subprocess.run([*base, *arguments], cwd=work, capture_output=True, text=True)
            if done.returncode != 0:
                lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
                raise InputError(
                    f"Snakemake did not write the report to share ({first_line(RuntimeError(lines[-1]))}): run again, "
                    "and if that fails as well, report the sentence."
                )
        shutil.move(work / "report.zip", folder / "snakemake-report.zip")
    finally:
        shutil.rmtree(work, ignore_errors=True)
