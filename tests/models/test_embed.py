"""Embeddings of a role against those that OpenCLIP makes of one sample at a time."""

from __future__ import annotations

import io
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.errors import InputError
from dejavu.retrieval import ahead
from dejavu.retrieval import embed as module
from dejavu.retrieval.embed import Arrays, embed
from dejavu.retrieval.precision import embed_in_bfloat16
from dejavu.tables import MANIFEST, SAMPLES
from dejavu.training.model import Clip, build

SENTENCE = "red blue dog cat star ring sea tree house bird fish apple river mountain book table"
WORDS = SENTENCE.split()
NUMBER = 23


@dataclass(frozen=True)
class Role:
    """Samples of a role in three files, captions of one to twelve words, and what OpenCLIP makes of each alone."""

    samples: RoleSamples
    rows: list[int]
    images: np.ndarray
    captions: np.ndarray

    def arrays(self, folder: Path) -> Arrays:
        return Arrays(*(folder / f"{name}.npy" for name in ("images", "captions", "rows")))


@pytest.fixture
def clip(tiny_architecture) -> Clip:
    torch.manual_seed(5)
    clip = build(tiny_architecture())
    clip.model.eval()
    return clip


@pytest.fixture
def role(tmp_path, write_batch, picture, clip) -> Role:
    rng = np.random.default_rng(1)
    rows = sorted((1 + i % 3) << 32 | i for i in range(NUMBER))
    records = [
        {"row": row, "uid": str(row), "caption": " ".join(rng.choice(WORDS, 1 + i * 5 % 12)), "image": picture(i)}
        for i, row in enumerate(rows)
    ]
    samples = write_batch(tmp_path / "samples", SAMPLES, records)
    listed = [{"row": row, "uid": str(row), "group_id": "g", "position": 0.5} for row in reversed(rows)]
    pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), tmp_path / "manifest.parquet")
    transform = open_clip.image_transform(clip.size, is_train=False)
    with torch.no_grad():
        images = [
            clip.model.encode_image(transform(Image.open(io.BytesIO(r["image"])))[None], normalize=True)
            for r in records
        ]
        captions = [clip.model.encode_text(clip.tokenizer([r["caption"]]), normalize=True) for r in records]
    return Role(
        RoleSamples(tmp_path / "manifest.parquet", [samples]), rows, *(torch.cat(x).numpy() for x in (images, captions))
    )


@pytest.mark.parametrize(("workers", "batch_size", "task", "block"), [(0, 4, 32, 4096), (0, 23, 32, 5), (2, 5, 2, 9)])
def test_every_sample_is_embedded_as_openclip_does_alone_however_it_is_batched(
    tmp_path, role, clip, monkeypatch, workers, batch_size, task, block
):
    monkeypatch.setattr(ahead, "SAMPLES_PER_TASK", task)
    monkeypatch.setattr(module, "CAPTIONS_PER_BLOCK", block)
    embed(ClipEncoder(clip, Running(batch_size)), role.samples, role.arrays(tmp_path), "embed", workers=workers)
    images, captions, rows = (np.load(tmp_path / f"{name}.npy") for name in ("images", "captions", "rows"))
    assert rows.tolist() == role.rows
    assert images.dtype == captions.dtype == np.float32
    assert images == pytest.approx(role.images, abs=1e-5)
    assert captions == pytest.approx(role.captions, abs=1e-5)
    # they differ by more than that
    for array in (images, captions):
        assert len(np.unique(np.round(array, 4), axis=0)) > NUMBER // 2


def test_the_number_of_processes_that_decode_changes_no_byte(tmp_path, role, clip):
    found = []
    for workers in (0, 3):
        arrays = role.arrays(tmp_path / str(workers))
        embed(ClipEncoder(clip, Running(4)), role.samples, arrays, "embed", workers=workers)
        found.append([path.read_bytes() for path in (arrays.images, arrays.captions, arrays.rows)])
    assert found[0] == found[1]


def test_captions_that_nothing_reads_are_left_out_and_their_array_has_no_row(tmp_path, role, clip):
    embed(ClipEncoder(clip, Running(4)), role.samples, role.arrays(tmp_path), "embed", has_captions=False)
    assert np.load(tmp_path / "captions.npy").shape == (0, role.captions.shape[1])
    assert np.load(tmp_path / "images.npy") == pytest.approx(role.images, abs=1e-5)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_decoded_is_named_by_its_row(tmp_path, role, clip, write_batch, workers):
    broken = [{"row": row, "uid": "u", "caption": "a dog", "image": b"no image"} for row in role.rows[:1]]
    samples = write_batch(tmp_path / "broken", SAMPLES, broken)
    listed = [{"row": role.rows[0], "uid": "u", "group_id": "g", "position": 0.5}]
    pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), tmp_path / "one.parquet")
    told = rf"the image of row {role.rows[0]} cannot be used .* delete the samples"
    with pytest.raises(InputError, match=told):
        one = RoleSamples(tmp_path / "one.parquet", [samples])
        embed(ClipEncoder(clip, Running(4)), one, role.arrays(tmp_path), "embed", workers=workers)
    assert not (tmp_path / "images.npy").exists()


def test_a_decoding_process_that_is_killed_ends_the_job_with_one_sentence(tmp_path, role, clip):
    class Killed(ClipEncoder):
        def pixels(self, image: Image.Image) -> np.ndarray:
            os.kill(os.getpid(), signal.SIGKILL)
            return super().pixels(image)

    with pytest.raises(InputError, match=r"was ended from outside.* lower measure\.embed_workers"):
        embed(Killed(clip, Running(4)), role.samples, role.arrays(tmp_path), "embed", workers=1)


# bfloat16


def test_weights_in_bfloat16_give_float32_embeddings_near_to_those_of_float32(tmp_path, role, clip, capfd):
    encoder = ClipEncoder(clip, Running(4))
    embed_in_bfloat16(encoder, role.samples, "embed", encoder)
    assert capfd.readouterr().err.count("in bfloat16 have a cosine of at least 0.99") == 2
    assert (
        clip.model.visual.conv1.weight.dtype == clip.model.transformer.resblocks[0].ln_1.weight.dtype == torch.bfloat16
    )
    assert clip.model.logit_scale.dtype == torch.float32
    embed(encoder, role.samples, role.arrays(tmp_path), "embed")
    for name, full in (("images", role.images), ("captions", role.captions)):
        half = np.load(tmp_path / f"{name}.npy")
        assert half.dtype == np.float32 and not np.array_equal(half, full)
        assert np.linalg.norm(half, axis=1) == pytest.approx(np.ones(NUMBER), abs=1e-6)
        assert ((half * full).sum(axis=1) > 0.999).all()


def test_bfloat16_that_turns_an_embedding_too_far_is_refused_naming_its_row(role, clip):
    class Coarse(ClipEncoder):
        def halve(self) -> None:
            with torch.no_grad():
                self.clip.model.text_projection.copy_(torch.sign(self.clip.model.text_projection))

    encoder = Coarse(clip, Running(4))
    told = r"embed: the caption of row \d+ has a cosine of 0\.\d{4} .*set measure\.embed_precision to fp32"
    with pytest.raises(InputError, match=told):
        embed_in_bfloat16(encoder, role.samples, "embed", encoder)
