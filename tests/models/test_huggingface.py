"""Folders of transformers with CLIP or SigLIP: the embeddings are those that transformers itself makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dejavu.encoders import find
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.encoders.pretrained import load_pretrained
from dejavu.errors import InputError

WORDS = ["[PAD]", "[UNK]", "[EOS]", "[BOS]", "a", "dog", "red", "star", "ring"]
LENGTH, SIZE = 12, 32
CAPTIONS = ["a dog", "red star red ring", "", "a " * 40]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
PREPARED = {
    "clip": {"do_center_crop": True, "size": {"shortest_edge": SIZE}, "resample": 3, "image_mean": [0.4, 0.5, 0.6]},
    "siglip": {"size": {"height": SIZE, "width": SIZE}, "resample": 2, "image_mean": [0.5, 0.5, 0.5]},
}


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 3), ("[EOS]", 2)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]", "bos_token": "[BOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


@pytest.fixture(params=["clip", "siglip"])
def folder(request, tmp_path) -> tuple[str, Path]:
    from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

    kind, path = request.param, tmp_path / "snapshots" / "0123"
    ids = {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 3}
    text = TOWER | {"vocab_size": len(WORDS), "max_position_embeddings": LENGTH, **ids}
    vision = TOWER | {"image_size": SIZE, "patch_size": 16}
    torch.manual_seed(0)
    if kind == "clip":
        # the end token is eos_token_id; where that is 2, the token with the largest number is the end
        text |= {"eos_token_id": 2, "projection_dim": 16}
        config = CLIPConfig(text_config=text, vision_config=vision | {"projection_dim": 16}, projection_dim=16)
        model = CLIPModel(config)
    else:
        model = SiglipModel(SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=vision))
    model.save_pretrained(path)
    tokenizer().save_pretrained(path)
    said = {"do_resize": True, "do_normalize": True, "image_std": [0.25, 0.25, 0.5], **PREPARED[kind]}
    (path / "preprocessor_config.json").write_text(json.dumps(said))
    return kind, path


def square() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))


def wide() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 70, 3), dtype=np.uint8))


@pytest.mark.parametrize("through", ["folder", "hub"])
def test_embeddings_are_those_of_transformers(folder, monkeypatch, through, capfd):
    from transformers import AutoModel, AutoTokenizer

    kind, path = folder
    if through == "hub":
        monkeypatch.setattr(
            find, "try_to_load_from_cache", lambda _, name: str(path / name) if (path / name).is_file() else None
        )
    clip = load_pretrained("hf-hub:someone/model" if through == "hub" else str(path))
    theirs, own = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    mean, std = (torch.tensor(PREPARED[kind]["image_mean"]), torch.tensor([0.25, 0.25, 0.5]))
    pixels = (torch.from_numpy(np.array(square())).float() / 255 - mean) / std
    tokens = own(CAPTIONS, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        wanted = theirs(input_ids=tokens, pixel_values=pixels.permute(2, 0, 1)[None])
        images = clip.model.encode_image(clip.normalize(np.stack([clip.pixels(square())]), "cpu"), normalize=True)
        texts = clip.encode_text(clip.tokenize(CAPTIONS))
    assert (images - wanted.image_embeds).abs().max() < 1e-6
    assert (texts - wanted.text_embeds).abs().max() < 1e-6
    # in batches sorted by length, of which CLIP's are cut
    encoder = ClipEncoder(clip, Running(batch_size=2))
    assert np.abs(encoder.texts(CAPTIONS) - wanted.text_embeds.numpy()).max() < 1e-6
    assert np.abs(encoder.images([square()]) - wanted.image_embeds.numpy()).max() < 1e-6
    assert (clip.model.cut(tokens[[0, 2]]).shape[1] < LENGTH) == (kind == "clip")
    assert clip.model.logit_scale.item() == theirs.logit_scale.item()
    assert f"{path / 'preprocessor_config.json'}" in capfd.readouterr().err


def test_images_are_cropped_or_squeezed_as_the_folder_says(folder):
    kind, path = folder
    pixels = load_pretrained(str(path)).pixels(wide())
    if kind == "clip":
        scaled = wide().resize((int(SIZE * 70 / 40), SIZE), Image.Resampling.BICUBIC)
        left = round((scaled.width - SIZE) / 2)
        expected = scaled.crop((left, 0, left + SIZE, SIZE))
    else:
        expected = wide().resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels, np.array(expected))


def test_a_folder_of_another_model_or_without_weights_or_tokenizer_is_refused(folder, capfd):
    _, path = folder
    (path / "preprocessor_config.json").unlink()
    load_pretrained(str(path))
    assert "OpenCLIP's default, since how the model's images were prepared cannot be known" in capfd.readouterr().err
    for name in ("tokenizer.json", "model.safetensors"):
        (path / name).rename(path / "aside")
        with pytest.raises(InputError, match="cannot be loaded as a model of transformers"):
            load_pretrained(str(path))
        (path / "aside").rename(path / name)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(InputError, match="of the type 'bert', but CLIP and SigLIP are known"):
        load_pretrained(str(path))
