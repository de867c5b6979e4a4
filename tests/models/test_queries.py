"""What models are asked with besides captions, against encodings made one text at a time with OpenCLIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.errors import InputError
from dejavu.retrieval.queries import Masking, embed_queries
from dejavu.tables import MANIFEST, QUERY_TEXTS, SAMPLES
from dejavu.training.draws import Purpose
from dejavu.training.model import build
from dejavu.training.text import TextRandomizer

SENTENCE = "red blue dog cat star ring sea tree house bird fish apple river mountain book table"
WORDS = SENTENCE.split()
MASKING = Masking(captions=5, text_mask=0.5, text_mask_unit="words", text_mask_with="nothing", seed=3)
QUERIES = ("masked", "remainder", "rare")


@dataclass(frozen=True)
class Asked:
    """A model of random weights, captions by row, what else it is asked with, and the arrays that were written."""

    model: torch.nn.Module
    captions: dict[int, str]
    texts: dict[str, dict[int, str]]
    rows: dict[str, list[int]]
    found: dict[tuple[str, str], np.ndarray]

    def encoded(self, tokens: torch.Tensor) -> np.ndarray:
        """float64 (dimension,), of one text."""
        with torch.inference_mode():
            return self.model.encode_text(tokens, normalize=True)[0].double().numpy()


def written(folder: Path, write_batch, clip, masking: Masking = MASKING) -> Asked:
    """Asks with everything; the samples of roles a and b lie in the same three files, manifests in another order."""
    rng = np.random.default_rng(1)
    every = [(1 + i % 3) << 32 | i for i in range(22)]
    captions = {row: " ".join(rng.choice(WORDS, 4 + i % 9)) for i, row in enumerate(every)}
    records = [{"row": row, "uid": str(row), "caption": caption} for row, caption in captions.items()]
    samples = write_batch(folder / "samples", SAMPLES, records)
    rows = {"a": sorted(every[::2]), "b": sorted(every[1::2])}
    for role, members in rows.items():
        listed = [{"row": row, "uid": str(row), "group_id": "g", "position": 0.5} for row in reversed(members)]
        pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), folder / f"{role}.parquet")
    texts = {
        "remainder": {row: " ".join(caption.split()[1:]) for row, caption in captions.items()},
        "rare": {row: caption.split()[-1] for row, caption in captions.items()},
    }
    table = [{"row": row, **{query: texts[query][row] for query in texts}} for row in sorted(every)]
    pq.write_table(pa.Table.from_pylist(table, schema=QUERY_TEXTS), folder / "texts.parquet")
    outputs = {(role, query): folder / f"{role}.{query}.npy" for role in rows for query in QUERIES}
    embed_queries(
        ClipEncoder(clip, Running(batch_size=4)),
        {role: RoleSamples(folder / f"{role}.parquet", [samples]) for role in rows},
        folder / "texts.parquet",
        outputs,
        masking,
        "embed queries",
    )
    return Asked(clip.model, captions, texts, rows, {key: np.load(path) for key, path in outputs.items()})


@pytest.fixture
def clip(tiny_architecture):
    torch.manual_seed(5)
    clip = build(tiny_architecture())
    clip.model.eval()
    return clip


@pytest.fixture
def asked(tmp_path, write_batch, clip) -> Asked:
    return written(tmp_path, write_batch, clip)


def test_every_query_has_a_finite_unit_vector_for_every_row_of_the_role(asked):
    for (role, _), found in asked.found.items():
        assert found.dtype == np.float32 and found.shape == (len(asked.rows[role]), 32)
        assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(found)), abs=1e-5)


@pytest.mark.parametrize("query", ["remainder", "rare"])
def test_a_text_is_embedded_as_openclip_embeds_it_alone_in_the_order_of_rows(asked, query):
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=16)
    for role, rows in asked.rows.items():
        expected = [asked.encoded(tokenizer([asked.texts[query][row]])) for row in rows]
        assert asked.found[role, query] == pytest.approx(np.array(expected), abs=1e-5)
        assert len(np.unique(np.round(expected, 3), axis=0)) > 3


def masked_mean(asked: Asked, clip, row: int, masking: Masking, purpose: Purpose) -> np.ndarray:
    """The direction of the mean over captions that are masked one after the other."""
    randomizer = TextRandomizer(
        clip.tokenizer,
        mask=masking.text_mask,
        unit=masking.text_mask_unit,
        replace=masking.text_mask_with,
        seed=masking.seed,
        purpose=purpose,
    )
    found = [asked.encoded(randomizer([asked.captions[row]], [i], [row])) for i in range(masking.captions)]
    mean = np.mean(found, axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize(("unit", "replace"), [("words", "nothing"), ("tokens", "random")])
def test_masked_is_the_mean_over_captions_masked_as_in_training_by_draws_of_its_own(
    tmp_path, write_batch, clip, unit, replace
):
    how = Masking(captions=5, text_mask=0.5, text_mask_unit=unit, text_mask_with=replace, seed=3)
    asked = written(tmp_path, write_batch, clip, how)
    for role, rows in asked.rows.items():
        for row, found in zip(rows, asked.found[role, "masked"], strict=True):
            assert found == pytest.approx(masked_mean(asked, clip, row, how, Purpose.QUERY_MASK), abs=1e-5)
            assert np.abs(found - masked_mean(asked, clip, row, how, Purpose.TEXT_MASK)).max() > 1e-3


def test_embeddings_that_are_not_finite_are_refused_naming_the_query(tmp_path, write_batch, clip):
    with torch.no_grad():
        clip.model.text_projection.fill_(float("nan"))
    with pytest.raises(InputError, match="embed queries, masked"):
        written(tmp_path, write_batch, clip)
    assert not list(tmp_path.glob("*.npy"))
