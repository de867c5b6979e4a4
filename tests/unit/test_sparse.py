"""The search of sparse vectors against a product in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from tests.harness.vectors import in_float64

from dejavu.retrieval import sparse
from dejavu.retrieval.sparse import nearest_sparse


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.sampled_from([0.02, 0.3, 1.0]),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_sparse_vectors_are_ranked_by_the_float64_product_then_by_position(seed, count, density, k, cells):
    rng, k = np.random.default_rng(seed), min(k, count)
    queries, public = (
        rng.integers(1, 4, size=(n, 12)) * (rng.random((n, 12)) < density) * np.float32(0.25) for n in (7, count)
    )
    want_similarity, want_position = in_float64(queries, public, k)
    # products of these numbers have few digits, so that every order of adding gives the same
    asked, by_term = csr_array(queries), csr_array(csr_array(public).T)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "CELLS", cells)
        found = [nearest_sparse(asked[block], by_term, k) for block in sparse.blocks(asked, by_term)]
    assert np.concatenate([position for _, position in found]).tolist() == want_position
    similarity = np.concatenate([similarity for similarity, _ in found])
    assert similarity.tolist() == np.array(want_similarity, dtype=np.float32).tolist()
