"""Models that were trained elsewhere: loaded as they are, never run as code, never downloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dejavu.encoders import find
from dejavu.encoders.find import ModelFiles
from dejavu.encoders.preparation import known_preprocessing
from dejavu.encoders.pretrained import load_pretrained
from dejavu.encoders.weights import Weights
from dejavu.errors import InputError
from dejavu.training.model import Clip, build, save_checkpoint


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
    monkeypatch.setattr(find, "try_to_load_from_cache", lambda *_: None)
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
    monkeypatch.setattr(find.open_clip, "list_pretrained_tags_by_model", lambda _: ["mine"])
    monkeypatch.setattr(find.open_clip, "get_pretrained_cfg", lambda *_: described)
    monkeypatch.setattr(
        find,
        "try_to_load_from_cache",
        lambda repository, name: str(tmp_path / name) if name.endswith(".bin") else None,
    )
    loaded = load_pretrained("mine", architecture)
    assert torch.equal(loaded.model.logit_scale, clip.model.logit_scale)
    wide = Image.new("RGB", (64, 32), "white")
    wide.paste("black", (0, 0, 16, 32))  # outside the central square, inside the squeezed image
    assert (clip.pixels(wide) == 255).all() and not (loaded.pixels(wide) == 255).all()
    assert loaded.normalize(np.stack([loaded.pixels(wide)]), "cpu").max() == pytest.approx(2.0)


def tag(monkeypatch, path: Path, **described) -> None:
    """Lets an architecture have one tag, whose weights are cached at a path."""
    monkeypatch.setattr(find.open_clip, "list_pretrained_tags_by_model", lambda _: ["mine"])
    monkeypatch.setattr(find.open_clip, "get_pretrained_cfg", lambda *_: {"hf_hub": "someone/x/", **described})
    monkeypatch.setattr(find, "try_to_load_from_cache", lambda *_: str(path))


def test_weights_of_quickgelu_need_an_architecture_of_quickgelu(monkeypatch, tmp_path):
    architectures = {quick: str(tmp_path / f"gelu-{quick}-for-tests.json") for quick in (False, True)}
    for quick, path in architectures.items():
        Path(path).write_text(json.dumps(MODELS["CLIP"] | {"quick_gelu": quick}))
    for theirs, ours in ((True, False), (False, True)):
        clip = build(architectures[theirs])
        torch.save(clip.model.state_dict(), tmp_path / "tag.pt")
        save_checkpoint(tmp_path / "ours.pt", clip, 1, 32)
        run = "2026_01_01-model_ViT-B-32-quickgelu-lr_1" if theirs else "2026_01_01-model_ViT-B-32-lr_1"
        torch.save({"name": run, "state_dict": clip.model.state_dict()}, tmp_path / "trained.pt")
        with monkeypatch.context() as patched:
            tag(patched, tmp_path / "tag.pt", quick_gelu=theirs)
            with pytest.raises(InputError, match=f"trained {'with' if theirs else 'without'} QuickGELU .the tag"):
                load_pretrained("mine", architectures[ours])
            load_pretrained("mine", architectures[theirs])
        for file, told in (("ours.pt", "they differ in quick_gelu"), ("trained.pt", "its training was named after")):
            with pytest.raises(InputError, match=told):
                load_pretrained(str(tmp_path / file), architectures[ours])
            load_pretrained(str(tmp_path / file), architectures[theirs])


def test_a_file_that_does_not_say_its_activation_is_loaded_and_that_is_said(foreign, capfd):
    path, _, architecture = foreign("state dict")
    load_pretrained(str(path), architecture)
    assert f"{path} does not say whether the model was trained with QuickGELU" in capfd.readouterr().err


def test_weights_that_are_not_finite_are_refused_naming_the_tensor(foreign):
    path, clip, architecture = foreign("state dict")
    state = clip.model.state_dict()
    state["text_projection"][0, 0] = float("inf")
    torch.save(state, path)
    with pytest.raises(InputError, match="text_projection holds numbers that are not finite"):
        load_pretrained(str(path), architecture)


@pytest.mark.parametrize("prefixes", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."])
def test_what_wrappers_put_before_names_is_no_part_of_them(foreign, tmp_path, prefixes):
    path, clip, architecture = foreign("state dict")
    wrapped = {f"{prefixes}{name}": value for name, value in clip.model.state_dict().items()}
    for form in (wrapped, {"state_dict": wrapped}, {"model": wrapped, "optimizer": {}}):
        torch.save(form, path)
        loaded = load_pretrained(str(path), architecture)
        assert torch.equal(loaded.model.text_projection, clip.model.text_projection)


# the same embeddings as OpenCLIP's own, in every form

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
MODELS = {
    "CLIP": {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT},
    "OpenAI's CLIP": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "SigLIP": {
        "embed_dim": 32,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": VISION,
        "text_cfg": TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    },
}
PREPROCESSING = {
    "CLIP": {},
    "OpenAI's CLIP": {},
    "SigLIP": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"},
}


@pytest.fixture(params=MODELS)
def released(request, tmp_path) -> tuple[str, Path, Path]:
    """A model's kind, its folder in OpenCLIP's form, and its architecture as a file elsewhere."""
    kind = request.param
    folder = tmp_path / "snapshots" / "0123"
    folder.mkdir(parents=True)
    described = {"model_cfg": MODELS[kind], "preprocess_cfg": PREPROCESSING[kind]}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    architecture = tmp_path / "released-for-tests.json"
    architecture.write_text(json.dumps(MODELS[kind]))
    torch.manual_seed(5)
    made = build(str(architecture)).model
    torch.save(made.state_dict(), folder / "open_clip_pytorch_model.bin")
    return kind, folder, architecture


def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (57, 80, 3), dtype=np.uint8))


CAPTIONS = ["a dog", "two stars beside a red ring", ""]


def of_openclip(folder: Path) -> list[torch.Tensor]:
    """What OpenCLIP's own functions make of a picture and of captions."""
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.inference_mode():
        images = model.encode_image(transform(image())[None], normalize=True)
        return [images, model.encode_text(tokenizer(CAPTIONS), normalize=True)]


def of_ours(clip: Clip) -> list[torch.Tensor]:
    with torch.inference_mode():
        pixels = clip.normalize(np.stack([clip.pixels(image())]), "cpu")
        return [clip.model.encode_image(pixels, normalize=True), clip.encode_text(clip.tokenize(CAPTIONS))]


def as_archive(model: torch.nn.Module, path: Path) -> None:
    """A TorchScript archive with the model's weights under their names, and OpenAI's numbers, without its program."""

    def holder(module: torch.nn.Module) -> torch.nn.Module:
        made = Holder()
        for name, value in module.named_parameters(recurse=False):
            made.register_parameter(name, value)
        for name, value in module.named_buffers(recurse=False):
            if name != "attn_mask":
                made.register_buffer(name, value)
        for name, child in module.named_children():
            made.add_module(name, holder(child))
        return made

    root = holder(model)
    for name, value in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
        root.register_buffer(name, torch.tensor(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(root), path)


class Holder(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


FORMS = ["folder", "local-dir", "hub", "file beside its description", "keys", "ours", "safetensors", "OpenAI's archive"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_embeddings_that_openclip_gives(released, tmp_path, monkeypatch, form, capfd):
    kind, folder, architecture = released
    wanted = of_openclip(folder)
    weights = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
    alone, keys = tmp_path / "weights.pt", None
    if form == "folder":
        clip = load_pretrained(str(folder))
    elif form == "local-dir":
        clip = load_pretrained(f"local-dir:{folder}")
    elif form == "hub":
        monkeypatch.setattr(find, "try_to_load_from_cache", lambda _, name: str(folder / name))
        clip = load_pretrained("hf-hub:someone/model")
    elif form == "file beside its description":
        clip = load_pretrained(str(folder / "open_clip_pytorch_model.bin"), str(architecture))
    else:
        made = build(str(architecture))
        made.model.load_state_dict(weights)
        if form == "ours":
            save_checkpoint(alone, made, 1, 32)
        elif form == "safetensors":
            alone = tmp_path / "weights.safetensors"
            save_file(weights, alone)
        elif form == "OpenAI's archive":
            if kind != "OpenAI's CLIP":
                as_archive(made.model, alone)
                with pytest.raises(InputError, match="trained with QuickGELU .it is an archive of OpenAI's"):
                    load_pretrained(str(alone), str(architecture))
                return
            as_archive(made.model, alone)
        else:
            torch.save(weights, alone)
        keys = PREPROCESSING[kind] or {"resize_mode": "shortest"}
        clip = load_pretrained(str(alone), str(architecture), preprocessing=keys)
    for ours, theirs in zip(of_ours(clip), wanted, strict=True):
        assert (ours - theirs).abs().max() < 1e-6
    assert "images are prepared with mean" in capfd.readouterr().err


def test_preprocessing_that_cannot_be_known_is_openclip_s_default_and_that_is_said(foreign, monkeypatch, capfd):
    path, _, architecture = foreign("state dict")
    load_pretrained(str(path), architecture)
    assert "OpenCLIP's default, since how the model's images were prepared cannot be known" in capfd.readouterr().err
    described = {"one": {"mean": [0.5] * 3}, "two": {"mean": [0.5] * 3}}
    monkeypatch.setattr(find.open_clip, "list_pretrained_tags_by_model", lambda _: list(described))
    monkeypatch.setattr(find.open_clip, "get_pretrained_cfg", lambda _, name: described[name])
    assert load_pretrained(str(path), architecture).mean.unique().tolist() == [0.5]
    assert f"all tags of {architecture} have it so" in capfd.readouterr().err
    described["two"] = {"mean": [0.25] * 3}
    assert len(load_pretrained(str(path), architecture).mean.unique()) == 3
    assert f"the tags of {architecture} differ in it" in capfd.readouterr().err
    assert load_pretrained(str(path), architecture, preprocessing={"std": [1, 1, 1]}).std.unique().tolist() == [1]


def test_architectures_that_openclip_knows_bring_the_preprocessing_of_their_tags():
    siglip = ModelFiles(Path("x.pt"), "ViT-B-16-SigLIP")
    known, _ = known_preprocessing(siglip, Weights(Path("x.pt"), "state dict", {}))
    assert known == {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash", "interpolation": "bicubic"}
    # trained by open_clip_train, from random weights or from those of a tag
    assert known_preprocessing(siglip, Weights(Path("x.pt"), "open_clip_train", {}))[0] is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "has no open_clip_config.json, which says what the model is"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{"), "is not a JSON file"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{}"), "has no section model_cfg"),
        (
            lambda folder: (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODELS["CLIP"]})),
            "there are no weights in",
        ),
    ],
)
def test_a_folder_that_is_no_model_is_refused_with_what_it_lacks(tmp_path, make, told):
    (tmp_path / "model").mkdir()
    make(tmp_path / "model")
    with pytest.raises(InputError, match=told):
        load_pretrained(str(tmp_path / "model"))


# text towers of transformers


@pytest.fixture
def bert_tower(tmp_path) -> Path:
    """An architecture whose text tower is named by the folder of a pretrained one."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog"]
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(tmp_path / "bert" / "vocab.txt")).save_pretrained(tmp_path / "bert")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    text = {"hf_model_name": str(tmp_path / "bert"), "hf_tokenizer_name": str(tmp_path / "bert")}
    text |= {"hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
    path = tmp_path / "bert-for-tests.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": VISION, "text_cfg": text}))
    return path


def test_a_text_tower_of_transformers_starts_from_random_weights(bert_tower):
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(build(str(bert_tower)).model.state_dict())
    drawn = [name for name, value in states[0].items() if value.is_floating_point() and value.ndim > 1]
    assert any(name.startswith("text.transformer") for name in drawn)
    assert not [name for name in drawn if torch.equal(states[0][name], states[1][name])]


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "roberta-ViT-B-32"])
def test_a_tower_or_tokenizer_outside_the_cache_is_refused_without_a_server(monkeypatch, name, tmp_path):
    def no_network(*_, **__):
        raise AssertionError("a server was looked up")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match="needs the configuration or the tokenizer of .* this workflow downloads nothing"
    ):
        build(name)


# the cost of importing OpenCLIP, and of a first embedding

IMPORTED = """
import json, sys
import numpy as np
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.training.model import build
encoder = ClipEncoder(build(sys.argv[1]), Running(8, "cpu"))
encoder.texts(["a dog", "a dog on a beach"])
encoder.encode(np.zeros((1, 32, 32, 3), np.uint8))
slow = [name for name in ("transformers", "timm", "torch._dynamo", "sympy") if name in sys.modules]
clip = build(sys.argv[2])
import torch._dynamo, transformers
print(json.dumps([slow, type(clip.model.visual).__name__, hasattr(torch._dynamo, "optimize"), transformers.__name__]))
"""


def test_openclip_is_imported_and_embeds_without_what_few_models_need(tiny_architecture, repository):
    path = Path(tiny_architecture(name="timm-tower"))
    tower = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vision_cfg": tower}))
    environment = os.environ | {"PYTHONPATH": str(repository / "src")}
    command = [sys.executable, "-c", IMPORTED, tiny_architecture(), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], "TimmModel", True, "transformers"]
