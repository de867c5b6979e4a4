"""The whole workflow with ``device: cuda``, on a small configuration."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from dejavu.files import read_array
from dejavu.tables.queries import QUERIES
from tests.harness.project import CONFIG, ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SECONDS = 600


def snakemake(project: Project, *arguments: str) -> str:
    """Snakemake in a process of its own, which sees the project's sources alone; what it printed."""
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p).resolve() != ROOT / "src"]
    # without a solver, which plans so few jobs no better
    command = [sys.executable, "-m", "snakemake", "--cores", "8", "--scheduler", "greedy", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    printed = project.folder / "printed.txt"
    with open(printed, "w") as output:
        done = subprocess.run(
            command, cwd=project.folder, env=environment, stdout=output, stderr=output, timeout=SECONDS
        )
    assert done.returncode == 0, printed.read_text()[-6000:]
    return printed.read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory, device) -> Project:
    config = copy.deepcopy(CONFIG) | {"device": device}
    config["models"] = {"baseline": config["models"]["baseline"] | {"precision": "bf16", "accumulation": 2}}
    project = Project.make(tmp_path_factory.mktemp("gpu") / "project", config)
    snakemake(project)
    return project


def test_a_run_on_a_gpu_ends_with_a_report_and_plans_nothing_more(project):
    assert (project.results / "report" / "index.html").exists()
    assert "Nothing to be done" in snakemake(project, "--dry-run")


def test_the_model_was_trained_to_its_end_and_scored_on_every_population(project):
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        trained = connection.execute("SELECT side, max(samples_seen) FROM training GROUP BY ALL").fetchall()
        losses = connection.execute("SELECT loss, gradient_norm FROM training").fetchnumpy()
        scored = connection.execute("SELECT DISTINCT population, query FROM population_gaps").fetchall()
    assert set(trained) == {(side, 320) for side in "ab"}
    assert all(np.isfinite(values).all() for values in losses.values())
    populations = ("a", "b", "holdout", "symmetric", "memory_a", "memory_b", "placebo")
    assert set(scored) == set(itertools.product(populations, QUERIES))


def test_the_neighbours_of_every_query_are_those_of_a_float64_product(project):
    columns = "n.row, n.rank, n.public_row, n.similarity"
    where = "side = ? AND population = ? AND query = ?"
    question = f"SELECT {columns} FROM neighbors n WHERE {where} ORDER BY row, rank"
    with duckdb.connect(str(project.results / "memorization.duckdb"), read_only=True) as connection:
        for asked in itertools.product("ab", ("a", "b", "holdout"), QUERIES):
            side, population, query = asked
            folder = project.results / "embeddings" / "baseline" / side / "320"
            public, public_rows, rows, queries = (
                read_array(folder / f"{name}.npy")
                for name in (
                    "public.images",
                    "public.rows",
                    f"{population}.rows",
                    f"{population}.{'captions' if query == 'caption' else query}",
                )
            )
            found = connection.execute(question, asked).fetchnumpy()
            similarity = queries.astype(np.float64) @ public.astype(np.float64).T
            order = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
            assert found["row"].tolist() == np.repeat(rows, 10).tolist(), asked
            assert found["public_row"].tolist() == public_rows[order].ravel().tolist(), asked
            exact = np.take_along_axis(similarity, order, axis=1).ravel()
            assert np.abs(found["similarity"] - exact).max() < 1e-7, asked
