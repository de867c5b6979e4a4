"""Nearest neighbours of dense vectors against brute force."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.vectors import in_float64, whole_numbers

from dejavu.errors import InputError
from dejavu.files import write_array
from dejavu.retrieval import choice, filters, selection
from dejavu.retrieval.engines import Engine, OnFaiss
from dejavu.retrieval.filters import OnTorch
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors
from dejavu.retrieval.rounding import KINDS
from dejavu.retrieval.search import nearest

SOURCES = Path(__file__).resolve().parents[2] / "src"


def brute_force(queries: np.ndarray, public: np.ndarray, k: int) -> tuple[list, list]:
    """The k largest inner products of each query, of equal ones the lower position first."""
    similarity, position = [], []
    for query in queries.tolist():
        products = [sum(x * y for x, y in zip(query, image, strict=True)) for image in public.tolist()]
        order = sorted(range(len(products)), key=lambda i, products=products: (-products[i], i))[:k]
        position.append(order)
        similarity.append([products[i] for i in order])
    return similarity, position


def as_on_gpu(kind: str) -> Engine:
    """An engine that selects and compares on the CPU as it does on a GPU."""
    engine = OnTorch("cpu", kind=kind)
    engine._reaching = partial(selection.in_groups, torch, "cpu")
    engine._compared = partial(selection.gathered, torch, "cpu", 1 << 20)
    return engine


MAKERS = {
    "faiss": OnFaiss,
    **{kind: partial(OnTorch, "cpu", kind=kind) for kind in KINDS},
    "float32 in threads": partial(OnTorch, "cpu", threads=3),
    **{f"{kind} as on a GPU": partial(as_on_gpu, kind) for kind in KINDS if kind != "float32"},
}


@pytest.fixture(params=MAKERS)
def engine(request) -> Engine:
    return MAKERS[request.param]()


@pytest.mark.parametrize("queries", [3, 40])
@pytest.mark.parametrize("k", [1, 5, 30, 150, 200])
def test_nearest_is_exact_and_of_equal_similarities_the_lower_position_comes_first(engine, queries, k):
    q, public = whole_numbers(0, queries, 4), whole_numbers(1, 200, 4)
    want_similarity, want_position = brute_force(q, public, k)
    similarity, position = nearest(q, public, k, engine)
    assert similarity.tolist() == want_similarity
    assert position.tolist() == want_position


@pytest.mark.parametrize("block", [1, 7, 64])
def test_searching_in_blocks_changes_nothing(engine, block, monkeypatch):
    monkeypatch.setattr(engine, "public_at_once", block)
    q, public = whole_numbers(2, 5, 6, high=100), whole_numbers(3, 90, 6, high=100)
    want_similarity, want_position = brute_force(q, public, 12)
    similarity, position = nearest(q, public, 12, engine)
    assert similarity.tolist() == want_similarity
    assert position.tolist() == want_position


def test_copies_of_one_public_image_come_in_their_order(engine):
    public = np.repeat(np.array([[1, 0], [0, 1]], dtype=np.float32), 20, axis=0)
    similarity, position = nearest(np.array([[1, 0]], dtype=np.float32), public, 5, engine)
    assert similarity.tolist() == [[1.0] * 5]
    assert position.tolist() == [[0, 1, 2, 3, 4]]


# whole numbers of 20 bits in 8 places: their products are exact in float64, and not in float32
NUMBERS = {"min_value": -(2**20), "max_value": 2**20}
PUBLIC = (
    "far apart",
    "nearly equal",
    "copies",
    "all values equal",
    "one large coordinate",
    "of all sizes",
    "one large vector",
)


def drawn_public(rng: np.random.Generator, kind: str, count: int, dimension: int) -> np.ndarray:
    """Public embeddings, float64, of whole numbers times powers of two."""
    public = rng.integers(*NUMBERS.values(), size=(count, dimension)).astype(np.float64)
    if kind == "nearly equal":
        public = public[0] + rng.integers(-1, 2, size=public.shape)
    if kind == "copies":
        public = public[rng.integers(0, 3, size=count) % count]
    if kind == "all values equal":
        public = np.repeat(public[:, :1], dimension, axis=1)
    if kind == "one large coordinate":
        # what int8 keeps of the others is nothing
        public = np.concatenate([np.full((count, 1), 2.0**20), rng.integers(-99, 100, (count, dimension - 1))], axis=1)
    if kind == "of all sizes":
        public = np.ldexp(public, rng.integers(-100, -9, size=(count, 1)))
    if kind == "one large vector":
        public[1:] = rng.integers(-9, 10, size=(count - 1, dimension))
    return public


@st.composite
def searches(draw) -> tuple[np.ndarray, np.ndarray, int, int, int]:
    """Queries, public embeddings, k, and how many are searched at a time and held at a time."""
    dimension, count = draw(st.integers(1, 8)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries = rng.integers(*NUMBERS.values(), size=(draw(st.integers(1, 6)), dimension)).astype(np.float64)
    kind = draw(st.sampled_from(PUBLIC))
    public = drawn_public(rng, kind, count, dimension)
    if kind == "of all sizes":
        queries = np.ldexp(queries, rng.integers(-100, -9, size=(len(queries), 1)))
    # what CLIP makes is of length 1; others are not refused, nor numbers that have few digits in float32
    scales = st.sampled_from([1.0, 2.0**-66, 2.0**-120, 2.0**-150, 2.0**30])
    queries, public = queries * draw(scales), public * draw(scales)
    k = draw(st.one_of(st.just(count), st.integers(1, count)))
    return (
        queries.astype(np.float32),
        public.astype(np.float32),
        k,
        draw(st.integers(1, count)),
        draw(st.integers(1, 99)),
    )


made = cache(lambda name: MAKERS[name]())


@settings(deadline=None, max_examples=35)
@given(searches())
def test_every_engine_ranks_by_the_float64_product_then_by_position(search):
    queries, public, k, block, cells = search
    want_similarity, want_position = in_float64(queries, public, k)
    for name in MAKERS:
        engine = made(name)
        engine.public_at_once, engine.cells = block, cells
        if name != "faiss":
            # tiles that groups do not fill, and few products at a time
            engine._tile, engine._similarities, engine._picked = 1 + cells // 3, 2 * cells, cells
        similarity, position = nearest(queries, public, k, engine)
        assert position.tolist() == want_position, name
        assert similarity.tolist() == np.array(want_similarity, dtype=np.float32).tolist(), name


@pytest.mark.parametrize("spread", [1.0, 1e-2, 3e-7], ids=str)
def test_every_engine_finds_the_same_bits(spread):
    rng = np.random.default_rng(0)
    center, around = rng.normal(size=64), rng.normal(size=(700, 64))
    # 3e-7 is five of the distances between neighbouring float32 numbers; some vectors are further away
    public = (spread < 1) * center + np.where(np.arange(700)[:, None] < 600, spread, 1e-2) * around
    # as embeddings of CLIP have it, one coordinate of all is large
    public[:, 3] = 2
    public[rng.integers(0, 700, 50)] = public[7]
    queries = center + 0.1 * rng.normal(size=(20, 64))
    q, p = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, public))
    q, p = q.astype(np.float32), p.astype(np.float32)
    exact = q.astype(np.float64) @ p.T.astype(np.float64)
    (similarity, position), *others = (nearest(q, p, 5, make()) for make in MAKERS.values())
    for name, (other, there) in zip(list(MAKERS)[1:], others, strict=True):
        assert np.array_equal(position, there), name
        assert np.array_equal(similarity, other), name
    found = np.take_along_axis(exact, position, axis=1)
    assert np.abs(similarity - found).max() < 1e-7
    # another order of adding makes a difference of the last bit of float64 at most
    assert np.diff(found, axis=1).max() < 1e-15
    assert (found[:, -1] >= np.sort(exact, axis=1)[:, -5] - 1e-15).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_in_which_queries_are_looked_at_changes_nothing(kind, monkeypatch):
    q, p = whole_numbers(0, 40, 8), whole_numbers(1, 300, 8)
    wanted = nearest(q, p, 5, OnTorch("cpu", kind=kind))
    rng = np.random.default_rng(0)

    def in_any_order(self, count):
        order = rng.permutation(len(count))
        for part in np.array_split(order, rng.integers(1, 3)):
            yield torch.from_numpy(part)

    monkeypatch.setattr(OnTorch, "_segments", in_any_order)
    # every guess is too high, so every query is looked at again
    monkeypatch.setattr(filters, "GUESS", -100.0)
    for _ in range(5):
        found = nearest(q, p, 5, OnTorch("cpu", kind=kind))
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_an_int8_product_that_saturates_is_not_used(monkeypatch):
    """As of CPUs that add pairs of products in 16 bits."""

    def saturating(queries, tile, out):
        out.copy_((queries.float() @ tile.float()).clamp(-(2.0**15), 2.0**15))

    monkeypatch.setattr(torch, "_int_mm", saturating)
    q, p = np.full((2, 64), 0.125, dtype=np.float32), np.full((9, 64), 0.125, dtype=np.float32)
    p[:5, ::2] = 0.12
    assert nearest(q, p, 3, OnTorch("cpu", kind="int8"))[1].tolist() == [[5, 6, 7]] * 2


def test_a_product_that_is_less_precise_than_its_type_is_refused(monkeypatch):
    def as_tf32(queries, tile, out):
        return out.copy_((queries.bfloat16() @ tile.bfloat16()).float())

    monkeypatch.setattr(torch, "mm", as_tf32)
    with pytest.raises(RuntimeError, match="float32 product of this PyTorch is less precise than its type"):
        OnTorch("cpu", kind="float32")


def test_a_query_whose_last_neighbour_is_unclear_is_searched_again(monkeypatch):
    engine = OnFaiss()
    widths, knn = [], engine._faiss.knn

    def noted(queries, public, width, metric):
        widths.append((len(queries), width))
        return knn(queries, public, width, metric=metric)

    monkeypatch.setattr(engine._faiss, "knn", noted)
    # the first query's product with all is the same; the second's with one is larger by far than with any other
    public = np.ones((100, 2), dtype=np.float32)
    public[70] = 5, 5
    queries = np.array([[1, -1], [1, 1]], dtype=np.float32)
    similarity, position = nearest(queries, public, 1, engine)
    assert position.tolist() == [[0], [70]]
    assert similarity.tolist() == [[0.0], [10.0]]
    assert widths == [(2, 9), (1, 36), (1, 100)]


@pytest.fixture
def embeddings(tmp_path):
    public, queries = whole_numbers(5, 9, 3, high=50), whole_numbers(6, 4, 3, high=50)
    arrays = {"captions": queries, "caption_rows": np.arange(4) + 100, "images": public, "image_rows": np.arange(9) * 7}
    for name, array in arrays.items():
        write_array(tmp_path / f"{name}.npy", array)
    return [tmp_path / f"{name}.npy" for name in arrays], arrays


def write(files: list[Path], neighbors: Path, search: Search) -> None:
    """Search for the captions among the images."""
    write_neighbors([Asked(Embedded(*files[:2]), neighbors, "neighbors")], Embedded(*files[2:]), search)


@pytest.mark.parametrize("k, taken", [(3, 3), (50, 9)])
def test_the_neighbour_table_names_rows_by_rank(tmp_path, embeddings, monkeypatch, k, taken):
    monkeypatch.setattr(OnFaiss, "queries_at_once", 3)
    files, arrays = embeddings
    write(files, tmp_path / "n.parquet", Search(k))
    similarity, position = brute_force(arrays["captions"], arrays["images"], taken)
    wanted = [
        {"row": 100 + i, "rank": r + 1, "public_row": position[i][r] * 7, "similarity": similarity[i][r]}
        for i in range(4)
        for r in range(taken)
    ]
    assert pq.read_table(tmp_path / "n.parquet").to_pylist() == wanted


@pytest.mark.parametrize("at_once", [1, 3, 5, 100])
def test_queries_of_several_arrays_share_a_pass_and_find_what_each_finds_alone(
    tmp_path, embeddings, monkeypatch, at_once
):
    files, arrays = embeddings
    counts, asked = (4, 0, 1, 7), []
    for number, count in enumerate(counts):
        array, rows = tmp_path / f"{number}.npy", tmp_path / f"{number}.rows.npy"
        write_array(array, whole_numbers(10 + number, count, 3, high=50))
        write_array(rows, np.arange(count) + 1000 * number)
        asked.append(Asked(Embedded(array, rows), tmp_path / f"{number}.parquet", "t"))
    monkeypatch.setattr(OnFaiss, "queries_at_once", at_once)
    passes, public = [], OnFaiss.public
    monkeypatch.setattr(OnFaiss, "public", lambda self, *given: passes.append(1) or public(self, *given))
    write_neighbors(asked, Embedded(*files[2:]), Search(3))
    assert len(passes) == math.ceil(sum(counts) / at_once)
    for number, part in enumerate(asked):
        queries = np.load(part.queries.array)
        similarity, position = brute_force(queries, arrays["images"], 3) if len(queries) else ([], [])
        found = pq.read_table(part.neighbors)
        assert found["row"].to_pylist() == [1000 * number + i for i in range(len(queries)) for _ in range(3)]
        assert found["public_row"].to_pylist() == [7 * p for row in position for p in row]
        assert found["similarity"].to_pylist() == [s for row in similarity for s in row]


def test_embeddings_that_do_not_match_their_rows_are_refused_naming_both(tmp_path, embeddings):
    files, _ = embeddings
    write_array(files[3], np.arange(8))
    with pytest.raises(InputError) as error:
        write(files, tmp_path / "n.parquet", Search(3))
    assert str(files[2]) in str(error.value)
    assert str(files[3]) in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which, name", [(0, "captions"), (2, "images")])
def test_embeddings_that_are_not_finite_are_refused_naming_the_array(tmp_path, embeddings, which, name, bad):
    files, arrays = embeddings
    array = arrays[name].copy()
    array[-1, 0] = bad
    write_array(files[which], array)
    with pytest.raises(
        InputError, match=rf"{name}.npy: 1 of {len(array)} embeddings are not finite numbers .the first is row \d+"
    ):
        write(files, tmp_path / "n.parquet", Search(2))
    assert not (tmp_path / "n.parquet").exists()


@pytest.mark.parametrize("which, name", [(0, "captions"), (2, "images")])
def test_embeddings_that_are_zero_are_refused_naming_the_array_and_the_row(tmp_path, embeddings, which, name):
    files, arrays = embeddings
    array = arrays[name].copy()
    array[2:4] = 0
    write_array(files[which], array)
    row = arrays["caption_rows" if which == 0 else "image_rows"][2]
    told = rf"{name}.npy: 2 of {len(array)} embeddings are zero in every place \(the first is row {row}\)"
    with pytest.raises(InputError, match=told):
        write(files, tmp_path / "n.parquet", Search(2))
    assert not (tmp_path / "n.parquet").exists()


@pytest.mark.parametrize("engine", ["faiss", *KINDS])
def test_every_engine_writes_the_same_table_and_its_name_beside_it(tmp_path, embeddings, engine):
    for name in ("faiss", engine):
        write(embeddings[0], tmp_path / f"{name}.parquet", Search(3, engine=name))
    found, wanted = (pq.read_table(tmp_path / f"{name}.parquet") for name in (engine, "faiss"))
    assert found.equals(wanted)
    assert found.schema.metadata[b"search_engine"].decode() == engine


def test_where_faiss_is_not_installed_the_same_is_found(tmp_path, embeddings, monkeypatch):
    for name in ("with", "without"):
        if name == "without":
            # as where it is not installed
            monkeypatch.setitem(sys.modules, "faiss", None)
            monkeypatch.setattr(choice, "find_spec", lambda name: None)
        write(embeddings[0], tmp_path / name, Search(3))
    assert pq.read_table(tmp_path / "with").equals(pq.read_table(tmp_path / "without"))


def test_without_a_gpu_a_search_there_is_refused_with_a_remedy(tmp_path, embeddings, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="device is cuda, but PyTorch finds no GPU here: set device to cpu"):
        write(embeddings[0], tmp_path / "n", Search(3, device="cuda"))


@pytest.mark.parametrize("heavy", ["faiss", "torch"])
def test_importing_the_search_brings_neither_faiss_nor_pytorch(heavy):
    done = f"import sys, dejavu.retrieval.neighbors; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", done], env={"PYTHONPATH": str(SOURCES)}, check=False).returncode == 0
