"""Nearest neighbours, retrieval and membership attacks against brute force."""

from __future__ import annotations

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from dejavu.errors import InputError
from dejavu.files import write_array
from dejavu.retrieval import neighbors
from dejavu.retrieval.neighbors import nearest, write_neighbors
from dejavu.studies import utility
from dejavu.studies.resampling import Resampling
from dejavu.studies.utility import chance_at, ranks_of_own, retrieval


def whole_numbers(seed: int, rows: int, dimension: int, high: int = 3) -> np.ndarray:
    """Vectors of small whole numbers: their products are exact in float32, and many are equal."""
    return np.random.default_rng(seed).integers(-high, high + 1, size=(rows, dimension)).astype(np.float32)


def brute_force(queries: np.ndarray, public: np.ndarray, k: int) -> tuple[list, list]:
    """The k largest inner products of each query, of equal ones the lower position first."""
    similarity, position = [], []
    for query in queries.tolist():
        products = [sum(x * y for x, y in zip(query, image, strict=True)) for image in public.tolist()]
        order = sorted(range(len(products)), key=lambda i, products=products: (-products[i], i))[:k]
        position.append(order)
        similarity.append([products[i] for i in order])
    return similarity, position


@pytest.mark.parametrize("queries", [3, 40])
@pytest.mark.parametrize("k", [1, 5, 30, 150, 200])
def test_nearest_is_exact_and_of_equal_similarities_the_lower_position_comes_first(queries, k):
    q, public = whole_numbers(0, queries, 4), whole_numbers(1, 200, 4)
    want_similarity, want_position = brute_force(q, public, k)
    similarity, position = nearest(q, public, k)
    assert similarity.tolist() == want_similarity
    assert position.tolist() == want_position


@pytest.mark.parametrize("block", [1, 7, 64])
def test_searching_in_blocks_changes_nothing(block, monkeypatch):
    monkeypatch.setattr(neighbors, "PUBLIC_PER_BLOCK", block)
    q, public = whole_numbers(2, 5, 6, high=100), whole_numbers(3, 90, 6, high=100)
    want_similarity, want_position = brute_force(q, public, 12)
    similarity, position = nearest(q, public, 12)
    assert similarity.tolist() == want_similarity
    assert position.tolist() == want_position


def test_copies_of_one_public_image_come_in_their_order():
    public = np.repeat(np.array([[1, 0], [0, 1]], dtype=np.float32), 20, axis=0)
    similarity, position = nearest(np.array([[1, 0]], dtype=np.float32), public, 5)
    assert similarity.tolist() == [[1.0] * 5]
    assert position.tolist() == [[0, 1, 2, 3, 4]]


def test_nearest_of_unit_vectors_agrees_with_float64():
    rng = np.random.default_rng(0)
    q, public = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rng.normal(size=(n, 16)) for n in (30, 300)))
    similarity, position = nearest(q.astype(np.float32), public.astype(np.float32), 10)
    exact = q @ public.T
    assert similarity == pytest.approx(np.sort(exact, axis=1)[:, ::-1][:, :10], abs=1e-6)
    assert np.take_along_axis(exact, position, axis=1) == pytest.approx(similarity, abs=1e-6)


@pytest.fixture
def embeddings(tmp_path):
    public, queries = whole_numbers(5, 9, 3, high=50), whole_numbers(6, 4, 3, high=50)
    arrays = {"captions": queries, "caption_rows": np.arange(4) + 100, "images": public, "image_rows": np.arange(9) * 7}
    for name, array in arrays.items():
        write_array(tmp_path / f"{name}.npy", array)
    return [tmp_path / f"{name}.npy" for name in arrays], arrays


@pytest.mark.parametrize("k, taken", [(3, 3), (50, 9)])
def test_the_neighbour_table_names_rows_by_rank(tmp_path, embeddings, monkeypatch, k, taken):
    monkeypatch.setattr(neighbors, "QUERIES_PER_BLOCK", 3)
    files, arrays = embeddings
    write_neighbors(*files, tmp_path / "n.parquet", k=k, threads=1, device="cpu", title="neighbors")
    similarity, position = brute_force(arrays["captions"], arrays["images"], taken)
    wanted = [
        {"row": 100 + i, "rank": r + 1, "public_row": position[i][r] * 7, "similarity": similarity[i][r]}
        for i in range(4)
        for r in range(taken)
    ]
    assert pq.read_table(tmp_path / "n.parquet").to_pylist() == wanted


def test_embeddings_that_do_not_match_their_rows_are_refused_naming_both(tmp_path, embeddings):
    files, _ = embeddings
    write_array(files[3], np.arange(8))
    with pytest.raises(InputError) as error:
        write_neighbors(*files, tmp_path / "n.parquet", k=3, threads=1, device="cpu", title="neighbors")
    assert str(files[2]) in str(error.value)
    assert str(files[3]) in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which, name", [(0, "captions"), (2, "images")])
def test_embeddings_that_are_not_finite_are_refused_naming_the_array(tmp_path, embeddings, which, name, bad):
    files, arrays = embeddings
    array = arrays[name].copy()
    array[-1, 0] = bad
    write_array(files[which], array)
    with pytest.raises(InputError, match=rf"{name}.npy: 1 of {len(array)} embeddings are not finite numbers"):
        write_neighbors(*files, tmp_path / "n.parquet", k=2, threads=1, device="cpu", title="t")
    assert not (tmp_path / "n.parquet").exists()


@pytest.fixture
def gpu(monkeypatch):
    """FAISS with a GPU: its function for one checks what it is given, as the real one does, and asks the CPU's."""
    widths, resources = [], object()

    def knn_gpu(given, queries, public, k, metric=faiss.METRIC_L2):
        assert given is resources
        assert metric == faiss.METRIC_INNER_PRODUCT
        assert all(x.dtype == np.float32 and x.flags.c_contiguous for x in (queries, public))
        assert k <= 2048
        widths.append(k)
        return faiss.knn(queries, public, k, metric=metric)

    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: resources, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "knn_gpu", knn_gpu)
    return widths


# all similarities are equal, so that ties are looked for until the whole of the public samples is selected
@pytest.mark.parametrize(("public", "k", "widths"), [(30, 3, [11, 22, 30]), (3000, 1500, [1508]), (3000, 2100, [])])
def test_the_gpu_finds_the_same_rows_and_the_cpu_takes_over_beyond_what_it_can_select(tmp_path, gpu, public, k, widths):
    arrays = [np.ones((2, 1), np.float32), np.arange(2), np.ones((public, 1), np.float32), np.arange(public)]
    files = [tmp_path / f"{i}.npy" for i in range(4)]
    for file, array in zip(files, arrays, strict=True):
        write_array(file, array)
    for device in ("cpu", "cuda"):
        write_neighbors(*files, tmp_path / device, k=k, threads=1, device=device, title="neighbors")
    assert pq.read_table(tmp_path / "cuda").equals(pq.read_table(tmp_path / "cpu"))
    assert gpu == widths


def test_the_gpu_searches_block_by_block_and_gives_what_brute_force_gives(tmp_path, embeddings, gpu, monkeypatch):
    monkeypatch.setattr(neighbors, "QUERIES_PER_BLOCK", 3)
    monkeypatch.setattr(neighbors, "PUBLIC_PER_BLOCK", 4)
    files, arrays = embeddings
    write_neighbors(*files, tmp_path / "n.parquet", k=3, threads=1, device="cuda", title="neighbors")
    similarity, position = brute_force(arrays["captions"], arrays["images"], 3)
    found = pq.read_table(tmp_path / "n.parquet")
    assert found["public_row"].to_numpy().tolist() == (7 * np.array(position)).ravel().tolist()
    assert found["similarity"].to_numpy().tolist() == np.array(similarity).ravel().tolist()
    # two blocks of queries, each with three blocks of public samples
    assert gpu == [4, 4, 1] * 2


@pytest.mark.parametrize(
    ("missing", "told"),
    [("support", "without GPU support: install with requirements-gpu.lock, or set"), ("gpu", "finds no GPU here: set")],
)
def test_without_faiss_for_the_gpu_a_search_there_is_refused_with_a_remedy(
    tmp_path, embeddings, gpu, monkeypatch, missing, told
):
    if missing == "support":
        monkeypatch.delattr(faiss, "StandardGpuResources")
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with pytest.raises(InputError, match=told):
        write_neighbors(*embeddings[0], tmp_path / "n", k=3, threads=1, device="cuda", title="neighbors")


# retrieval of the pair


def rank_of_own(queries: np.ndarray, candidates: np.ndarray, groups: list[int], i: int) -> int:
    products = [sum(x * y for x, y in zip(queries[i].tolist(), c.tolist(), strict=True)) for c in candidates]
    own = max(p for p, g in zip(products, groups, strict=True) if g == groups[i])
    return 1 + sum(p >= own and g != groups[i] for p, g in zip(products, groups, strict=True))


ALONE = list(range(40))
RESAMPLING = Resampling(draws=100, seed=0)


@pytest.mark.parametrize("block", [2048, 4, 1])
@pytest.mark.parametrize("groups", [ALONE[:30], [i // 3 for i in range(30)], [min(i, 20) for i in range(30)]])
def test_the_rank_of_the_nearest_right_one_counts_all_wrong_ones_that_are_as_similar(block, groups, monkeypatch):
    monkeypatch.setattr(utility, "QUERIES_PER_BLOCK", block)
    queries, candidates = whole_numbers(7, 30, 3), whole_numbers(8, 30, 3)
    found = ranks_of_own(queries, candidates, np.array(groups)).tolist()
    assert found == [rank_of_own(queries, candidates, groups, i) for i in range(30)]


def test_a_perfect_model_finds_all_five_captions_of_an_image_right():
    images = np.repeat(np.eye(8, dtype=np.float32), 5, axis=0)
    found = {row["metric"]: row["value"] for row in retrieval(images, images, np.repeat(np.arange(8), 5), RESAMPLING)}
    assert {value for metric, value in found.items() if "recall" in metric} == {1.0}
    assert found["caption_to_image_chance@1"] == pytest.approx(5 / 40)


@pytest.mark.parametrize("groups", [ALONE, [i // 5 for i in range(40)], [min(i, 30) for i in range(40)], [0] * 40])
def test_chance_is_the_recall_of_random_orders(groups):
    rng = np.random.default_rng(0)
    right = np.array(groups)[:, None] == np.array(groups)
    for k in (1, 5, 10, 40, 50):
        drawn = np.mean([right[:, rng.permutation(40)[:k]].any(axis=1).mean() for _ in range(4000)])
        assert chance_at(np.array(groups), k) == pytest.approx(drawn, abs=0.01)


def test_retrieval_recall_is_the_share_of_pairs_among_the_first_k_in_both_directions():
    images, captions = whole_numbers(9, 40, 8), whole_numbers(10, 40, 8) + 2 * whole_numbers(9, 40, 8)
    rows = retrieval(images, captions, np.array(ALONE), RESAMPLING)
    found = {row["metric"]: (row["task"], row["value"], row["n"]) for row in rows}
    for name, queries, candidates in (("caption_to_image", captions, images), ("image_to_caption", images, captions)):
        ranks = [rank_of_own(queries, candidates, ALONE, i) for i in range(40)]
        for k in (1, 5, 10):
            share = sum(rank <= k for rank in ranks) / 40
            assert found.pop(f"{name}_recall@{k}") == ("retrieval", pytest.approx(share), 40)
            assert found.pop(f"{name}_chance@{k}") == ("retrieval", pytest.approx(k / 40), 40)
    assert not found


def test_a_model_that_maps_everything_to_one_point_retrieves_nothing():
    same = np.ones((50, 4), dtype=np.float32)
    rows = retrieval(same, same, np.arange(50), RESAMPLING)
    assert {row["value"] for row in rows if "recall" in row["metric"]} == {0.0}
