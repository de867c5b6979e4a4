"""A Slurm for all tests of this folder, one for each process that tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.slurm import Slurm, missing


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for marker in ("slurm", "slow", "workflow"):
                item.add_marker(marker)


@pytest.fixture(scope="session")
def has_slurm() -> None:
    """Skips where there is no Slurm, but never where tests run unattended (``CI`` is set): nobody would notice."""
    if lacking := missing():
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"{', '.join(lacking)} not found; Debian's packages slurm-wlm and munge have them")


@pytest.fixture(scope="session")
def slurm(has_slurm: None) -> Iterator[Slurm]:
    """A cluster of two nodes, shared by tests: cancel what you submit, restart what you crash."""
    cluster = Slurm()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
