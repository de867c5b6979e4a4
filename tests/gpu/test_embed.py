"""Embeddings made on a GPU against those of the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.files import read_array
from dejavu.retrieval.embed import Arrays, embed
from dejavu.retrieval.precision import embed_in_bfloat16
from dejavu.training.model import Clip, build, load_checkpoint, save_checkpoint
from tests.harness.trainees import Place


def embedded(
    clip: Clip, place: Place, device: str, batch_size: int, workers: int = 0, halved: bool = False
) -> list[np.ndarray]:
    files = [place.folder / f"{device}.{batch_size}.{name}.npy" for name in ("images", "captions", "rows")]
    role = RoleSamples(place.folder / "manifest.parquet", [place.samples])
    encoder = ClipEncoder(clip, Running(batch_size, device))
    if halved:
        embed_in_bfloat16(encoder, role, "embed", encoder)
    embed(encoder, role, Arrays(*files), "embed", workers=workers)
    return [read_array(file) for file in files]


@pytest.mark.parametrize("architecture", ["tiny", "ViT-B-32"])
def test_images_and_captions_of_a_checkpoint_are_embedded_as_on_the_cpu(
    tmp_path, pairs, device, tiny_architecture, architecture
):
    if architecture == "tiny":
        architecture = tiny_architecture("embed-for-tests")
    place, checkpoint = Place.make(tmp_path, pairs), Path(tmp_path / "c.pt")
    torch.manual_seed(0)
    save_checkpoint(checkpoint, build(architecture), 1, 4)
    *expected, rows = embedded(load_checkpoint(checkpoint, architecture), place, "cpu", 14)
    for batch_size, workers in ((14, 0), (4, 2)):
        loaded = load_checkpoint(checkpoint, architecture, device)
        *found, same_rows = embedded(loaded, place, device, batch_size, workers)
        assert np.array_equal(same_rows, rows)
        for here, there in zip(found, expected, strict=True):
            assert here.dtype == np.float32
            assert np.linalg.norm(here, axis=1) == pytest.approx(np.ones(14), abs=1e-5)
            # TF32 in the one convolution, three digits
            assert np.abs(here - there).max() < 2e-3
    # a caption has no convolution on its way
    assert np.abs(found[1] - expected[1]).max() < 1e-5
    halved = embedded(load_checkpoint(checkpoint, architecture, device), place, device, 4, 2, halved=True)
    for here, there in zip(halved[:2], expected, strict=True):
        assert here.dtype == np.float32 and not np.array_equal(here, there)
        assert ((here * there).sum(axis=1) > 0.998).all()
