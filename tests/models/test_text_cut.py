"""Captions cut to the longest of their batch have the features of the full length."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch

from dejavu.training.model import Clip, build

CAPTIONS = ["a red dog", "sea", "", "a blue ring beside two stars by the sea"]
CUT = {
    "CLIP": {},
    "CustomTextCLIP": {"custom_text": True},
    "pooled at the end token": {"text_cfg": {"pool_type": "eos", "eos_id": 49407}},
    "CustomTextCLIP, pooled at the end token": {
        "custom_text": True,
        "text_cfg": {"pool_type": "eos", "eos_id": 49407},
    },
}
NOT_CUT = {
    "not causal": {"custom_text": True, "text_cfg": {"no_causal_mask": True}},
    "a class token at the end": {"custom_text": True, "text_cfg": {"embed_cls": True}},
    "pooled at the last place": {"text_cfg": {"pool_type": "last"}},
}


@pytest.fixture
def make(tiny_architecture, tmp_path):
    def of(changes: dict) -> Clip:
        content = json.loads(Path(tiny_architecture()).read_text())
        content |= {**changes, "text_cfg": content["text_cfg"] | {"layers": 2} | changes.get("text_cfg", {})}
        path = tmp_path / "text-cut-for-tests.json"
        path.write_text(json.dumps(content))
        torch.manual_seed(0)
        return build(str(path))

    return of


@pytest.mark.parametrize("changes", CUT.values(), ids=CUT)
def test_cut_captions_have_the_same_features_and_gradients(make, changes):
    clip = make(changes)
    assert isinstance(clip.model, open_clip.CustomTextCLIP if "custom_text" in changes else open_clip.CLIP)
    tokens = clip.tokenizer(CAPTIONS)
    cut = clip.cut(tokens)
    # the start, nine words, the end
    assert (tokens.shape[1], cut.shape[1]) == (16, 11)
    assert torch.equal(cut, tokens[:, :11])
    weighed = torch.randn(4, 32)
    found = []
    for features in (clip.model.encode_text(tokens, normalize=True), clip.encode_text(cut)):
        clip.model.zero_grad()
        (features * weighed).sum().backward()
        text = [p.grad for name, p in clip.model.named_parameters() if not name.startswith(("visual", "logit"))]
        found.append([features.detach(), *(gradient.clone() for gradient in text)])
    (features, *gradients), (short_features, *short_gradients) = found
    assert torch.allclose(short_features, features, atol=1e-6)
    for full, short in zip(gradients, short_gradients, strict=True):
        assert torch.allclose(short, full, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", NOT_CUT.values(), ids=NOT_CUT)
def test_what_reads_beyond_the_end_of_a_caption_is_not_cut(make, changes):
    clip = make(changes)
    tokens = clip.tokenizer(CAPTIONS)
    assert torch.equal(clip.cut(tokens), tokens)
    assert torch.equal(clip.encode_text(tokens), clip.model.encode_text(tokens, normalize=True))


def test_a_caption_of_full_length_cuts_nothing(make):
    clip = make({})
    tokens = clip.tokenizer([*CAPTIONS, "a dog " * 100])
    assert torch.equal(clip.cut(tokens), tokens)
