"""A small training set for all tests of models."""

from tests.harness.pairs import pairs  # noqa: F401
