"""Models that were trained elsewhere: loaded as they are, never run as code, never downloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dejavu.errors import InputError
from dejavu.training import pretrained
from dejavu.training.model import Clip, build, save_checkpoint
from dejavu.training.pretrained import load_pretrained


@pytest.fixture
def foreign(tmp_path, tiny_architecture):
    """Saves the weights of one random model in a foreign form; returns the file and the model."""

    def save(form: str) -> tuple[Path, Clip, str]:
        architecture = tiny_architecture()
        torch.manual_seed(3)
        clip = build(architecture)
        path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
        weights = clip.model.state_dict()
        if form == "ours":
            save_checkpoint(path, clip, 1, 32)
        elif form == "safetensors":
            save_file(weights, path)
        else:
            inside = {f"module.{name}": value for name, value in weights.items()}
            torch.save({"epoch": 3, "state_dict": inside} if form == "open_clip_train" else weights, path)
        return path, clip, architecture

    return save


@pytest.mark.parametrize("form", ["ours", "open_clip_train", "state dict", "safetensors"])
def test_a_checkpoint_from_elsewhere_gives_the_model_that_was_saved(foreign, form):
    path, clip, architecture = foreign(form)
    loaded = load_pretrained(str(path), architecture)
    assert not loaded.model.training
    for name, value in clip.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name


@pytest.mark.parametrize("difference", [{"width": 64}, {"image_size": 64}], ids=["width", "image size"])
def test_a_checkpoint_from_elsewhere_of_another_architecture_is_refused_naming_both(
    foreign, tiny_architecture, difference
):
    path, *_ = foreign("state dict")
    other = tiny_architecture("other-for-tests", **difference)
    with pytest.raises(InputError) as error:
        load_pretrained(str(path), other)
    assert str(path) in str(error.value) and other in str(error.value)


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_a_checkpoint_from_elsewhere_that_holds_code_is_refused_and_the_code_not_run(
    tmp_path, tiny_architecture, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "more": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="evil.pt holds more than tensors"):
        load_pretrained(str(tmp_path / "evil.pt"), tiny_architecture())
    assert not (tmp_path / "ran").exists()


def test_a_tag_that_does_not_exist_is_refused_with_the_tags_that_do():
    with pytest.raises(InputError, match="did you mean 'laion2b_s34b_b79k'"):
        load_pretrained("laion2b_s34b_b79", "ViT-B-32")


def test_a_tag_that_is_not_in_the_cache_is_refused_and_nothing_is_downloaded(monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(InputError, match="not in the cache, and this workflow downloads nothing"):
        load_pretrained("laion2b_s34b_b79k", "ViT-B-32")


def test_a_tag_in_the_cache_brings_its_own_preprocessing(tmp_path, tiny_architecture, monkeypatch):
    architecture = tiny_architecture("cached-for-tests")
    torch.manual_seed(4)
    clip = build(architecture)
    torch.save(clip.model.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    described = {
        "hf_hub": "someone/model/",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "resize_mode": "squash",
        "interpolation": "bilinear",
    }
    monkeypatch.setattr(pretrained.open_clip, "list_pretrained_tags_by_model", lambda _: ["mine"])
    monkeypatch.setattr(pretrained.open_clip, "get_pretrained_cfg", lambda *_: described)
    monkeypatch.setattr(
        pretrained,
        "try_to_load_from_cache",
        lambda repository, name: str(tmp_path / name) if name.endswith(".bin") else None,
    )
    loaded = load_pretrained("mine", architecture)
    assert torch.equal(loaded.model.logit_scale, clip.model.logit_scale)
    wide = Image.new("RGB", (64, 32), "white")
    wide.paste("black", (0, 0, 16, 32))  # outside the central square, inside the squeezed image
    assert (clip.pixels(wide) == 255).all() and not (loaded.pixels(wide) == 255).all()
    assert loaded.normalize(np.stack([loaded.pixels(wide)]), "cpu").max() == pytest.approx(2.0)


def test_weights_of_quickgelu_need_an_architecture_of_quickgelu(monkeypatch, tiny_architecture):
    architecture = tiny_architecture("plain-gelu-for-tests")
    monkeypatch.setattr(pretrained.open_clip, "list_pretrained_tags_by_model", lambda _: ["openai"])
    monkeypatch.setattr(
        pretrained.open_clip, "get_pretrained_cfg", lambda *_: {"hf_hub": "someone/model/", "quick_gelu": True}
    )
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: "weights.bin")
    with pytest.raises(InputError, match="trained with QuickGELU"):
        load_pretrained("openai", architecture)


# what an import of OpenCLIP costs

IMPORTED = """
import json, sys
from dejavu.training.model import build
slow = [name for name in ("transformers", "timm", "torch._dynamo") if name in sys.modules]
clip = build(sys.argv[1])
import torch._dynamo, transformers
print(json.dumps([slow, type(clip.model.visual).__name__, hasattr(torch._dynamo, "optimize"), transformers.__name__]))
"""


def test_openclip_is_imported_without_what_few_models_need_and_towers_of_timm_are_built(tiny_architecture, repository):
    path = Path(tiny_architecture(name="timm-tower"))
    tower = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vision_cfg": tower}))
    environment = os.environ | {"PYTHONPATH": str(repository / "src")}
    command = [sys.executable, "-c", IMPORTED, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], "TimmModel", True, "transformers"]
