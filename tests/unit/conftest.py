"""Fixtures that several tests of single modules share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.raw_forms import Pair, draw_pairs

from dejavu.config import load_config


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    """Three hundred pairs, the same in every file of tests."""
    return draw_pairs()


@pytest.fixture
def load(repository: Path) -> Callable[..., dict]:
    """Loads a configuration, and values entered on the command line, as the workflow does."""
    schema = repository / "workflow/schemas/config.schema.yaml"
    return lambda given, entered=None: load_config(given, schema, repository, entered)
