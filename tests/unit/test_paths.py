"""Paths below results/ have one home, which fills wildcards and leaves the others."""

from __future__ import annotations

import re

import pytest

from dejavu import paths
from dejavu.paths import MANIFEST, at

PATTERNS = {name: value for name, value in vars(paths).items() if name.isupper()}


def test_what_is_named_is_filled_and_the_rest_stays_a_wildcard():
    assert at(MANIFEST, dataset="demo", split="one", role="a") == "results/demo/one/manifests/a.parquet"
    assert at(MANIFEST, role="{population}") == "results/{dataset}/{split}/manifests/{population}.parquet"
    assert at(MANIFEST) == MANIFEST


def test_a_value_for_no_wildcard_is_an_error_and_not_a_path():
    with pytest.raises(KeyError, match="has no wildcard model"):
        at(MANIFEST, model="baseline")


def test_no_two_patterns_are_the_same_and_all_lie_below_results():
    assert len(set(PATTERNS.values())) == len(PATTERNS) > 20
    assert all(re.fullmatch(r"results/[\w{}./-]+", pattern) for pattern in PATTERNS.values())
