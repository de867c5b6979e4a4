"""Tests on a GPU: each does on ``cuda`` what another way, mostly the CPU, has done as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.pairs import pairs

__all__ = ["pairs"]

# what training sets, which has to be there before CUDA starts in this process
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
DEVICE = "cuda"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of this folder; where there is no GPU, one of them says that none ran.

    That holds unattended too: unlike Slurm and Chromium a GPU cannot be installed, so that none is no oversight.
    """
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.gpu)
    if not ours or _is_there():
        return
    ours[0].add_marker(pytest.mark.skip(f"needs a GPU that PyTorch sees: none of the {len(ours)} tests on one ran"))
    items[:] = [item for item in items if item not in ours[1:]]
    config.hook.pytest_deselected(items=ours[1:])


def _is_there() -> bool:
    import torch

    return DEVICE == "cpu" or torch.cuda.is_available()


@pytest.fixture(scope="session")
def device() -> str:
    """The device under test."""
    return DEVICE


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Takes back what a training in this process asks of torch."""
    import torch

    yield
    torch.use_deterministic_algorithms(False)
