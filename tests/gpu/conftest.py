"""Tests on a GPU: each does on ``cuda`` what another way, mostly the CPU, has done as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.conftest import pairs

__all__ = ["pairs"]

# what training sets, which has to be there before CUDA starts in this process
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
DEVICE = "cuda"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder carry the marker."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session", autouse=True)
def device() -> str:
    """The device under test; where there is none, all tests of this folder are skipped, also unattended.

    Unlike Slurm and Chromium a GPU cannot be installed, so that a machine without one is no oversight.
    """
    import torch

    if DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU that PyTorch sees: not one of the tests on a GPU ran")
    return DEVICE


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Takes back what a training in this process asks of torch."""
    import torch

    yield
    torch.use_deterministic_algorithms(False)
