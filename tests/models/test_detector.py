"""A detector's objects are those of the model, whatever the batches, and survive a kill; models are data, not code."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dejavu.data import detector as module
from dejavu.data import detector_families
from dejavu.data.detector import Detector, detect_batch, detection_key, load_detector
from dejavu.errors import InputError
from dejavu.tables import OBJECTS, SAMPLES
from tests.harness.detectors import owl

LABELS = {"red dog": "red dog", "cat": "cats", "fox": "Fox", "owl": "owl", "elk": "elk?"}
KINDS = ["owlvit", "owlv2", "grounding-dino"]


def dino(folder: Path) -> None:
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    # the model finds the end of a label by the token's number in BERT's vocabulary
    fixed = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    words = [fixed.get(i, f"[unused{i}]") for i in range(1030)] + ["red", "dog", "cat", "##s", "fox", "owl", "elk"]
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    one = [1, 1, 1]
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=one, num_heads=one, window_size=4, out_features=["stage2", "stage3"]
    )
    bert = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    layers = {"encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "d_model": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_feature_levels": 2}
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=bert, num_queries=20, max_text_len=11, **layers, **heads
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    GroundingDinoProcessor(GroundingDinoImageProcessor(size=size), tokenizer).save_pretrained(folder)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More threads only get in each other's way with models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a model of random weights for every kind."""
    found = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    with torch.random.fork_rng():
        for kind, folder in found.items():
            torch.manual_seed(0)
            dino(folder) if kind == "grounding-dino" else owl(folder, kind)
    return found


@pytest.fixture(scope="module")
def detectors(folders: dict[str, Path]) -> dict[str, Detector]:
    return {k: load_detector(str(f), LABELS, device="cpu", min_score=0.1) for k, f in folders.items()}


def images(count: int, width: int = 60, height: int = 40) -> list[Image.Image]:
    draws = [np.random.default_rng(i).integers(0, 256, size=(height, width, 3), dtype=np.uint8) for i in range(count)]
    return [Image.fromarray(pixels) for pixels in draws]


def sentence(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def flat(found: list[dict]) -> list[tuple]:
    """Objects in an order that does not depend on the last bits of their scores."""
    return sorted((f["label"], *(round(x, 1) for x in f["box"]), f["score"]) for f in found)


def same(one: list[dict], other: list[dict]) -> None:
    assert [row[:-1] for row in flat(one)] == [row[:-1] for row in flat(other)]
    assert [row[-1] for row in flat(one)] == pytest.approx([row[-1] for row in flat(other)], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_objects_have_known_labels_ordered_scores_and_boxes_inside_the_image(detectors, kind):
    for image, found in zip(
        [*images(2), *images(1, 20, 70)], detectors[kind]([*images(2), *images(1, 20, 70)]), strict=True
    ):
        assert found
        assert {f["label"] for f in found} <= set(LABELS)
        scores = [f["score"] for f in found]
        assert scores == sorted(scores, reverse=True)
        assert all(0.1 <= score <= 1 for score in scores)
        for left, top, right, bottom in (f["box"] for f in found):
            assert 0 <= left < right <= image.width
            assert 0 <= top < bottom <= image.height


@pytest.mark.parametrize("kind", ["owlvit", "owlv2"])
def test_owl_finds_what_transformers_own_functions_find(detectors, folders, monkeypatch, kind):
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    processor = AutoProcessor.from_pretrained(folders[kind])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folders[kind]).eval()
    texts = [f"a photo of a {asked}" for asked in LABELS.values()]
    given = images(2)
    with torch.inference_mode():
        inputs = processor(text=[texts] * 2, images=given, return_tensors="pt")
        outputs = model(**inputs)
    sizes = [(image.height, image.width) for image in given]
    expected = processor.post_process_grounded_object_detection(outputs, 0.1, sizes, [list(LABELS)] * 2)
    monkeypatch.setattr(module, "MAX_OVERLAP", 1.0)
    for image, ours, theirs in zip(given, detectors[kind](given), expected, strict=True):
        # transformers keeps the best label of every box, and boxes that reach beyond the image
        bounds = torch.tensor([image.width, image.height] * 2)
        boxes = theirs["boxes"].clamp(min=torch.zeros(4), max=bounds).tolist()
        for label, score, box in zip(theirs["text_labels"], theirs["scores"].tolist(), boxes, strict=True):
            if box[0] < box[2] and box[1] < box[3]:
                near = [f for f in ours if f["label"] == label and f["box"] == pytest.approx(box, abs=1e-3)]
                assert near and near[0]["score"] == pytest.approx(score, abs=1e-5)


def test_grounding_dino_scores_a_label_by_the_mean_over_its_tokens(detectors, folders):
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    family = detectors["grounding-dino"].family
    processor = AutoProcessor.from_pretrained(folders["grounding-dino"])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folders["grounding-dino"]).eval()
    given = images(2)
    with torch.inference_mode():
        start, scores, _ = next(iter(family.blocks(given)))
        inputs = processor(text=["red dog. cats. fox."] * 2, images=given, return_tensors="pt")
        chance = model(**inputs).logits.sigmoid()
    # [CLS] red dog . cat ##s . fox . [SEP]
    expected = torch.stack([chance[..., 1:3].mean(-1), chance[..., 4:6].mean(-1), chance[..., 7]], dim=-1)
    assert start == 0
    assert torch.allclose(scores, expected, atol=1e-5)


def test_a_vocabulary_longer_than_grounding_dino_s_text_is_asked_in_several(detectors):
    texts = detectors["grounding-dino"].family.texts
    assert [start for start, _, _ in texts] == [0, 3]
    assert [len(share) for _, _, share in texts] == [3, 2]
    assert all(tokens["input_ids"].shape[1] <= 11 for _, tokens, _ in texts)
    for _, _, share in texts:
        assert torch.allclose(share.sum(dim=1), torch.ones(len(share)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_a_batch_does_not_change_what_is_found(detectors, kind):
    together = detectors[kind](images(3))
    for image, found in zip(images(3), together, strict=True):
        same(detectors[kind]([image])[0], found)


@pytest.mark.parametrize("kind", ["owlvit", "owlv2"])
def test_the_size_of_a_block_of_labels_does_not_change_what_is_found(detectors, monkeypatch, kind):
    whole = detectors[kind](images(1))[0]
    monkeypatch.setattr(detector_families, "LABELS_PER_BLOCK", 2)
    same(detectors[kind](images(1))[0], whole)


def test_of_overlapping_boxes_with_one_label_the_best_is_kept_and_other_labels_stay():
    class Family:
        def blocks(self, images):
            boxes = torch.tensor([[[0.3, 0.3, 0.4, 0.4], [0.31, 0.3, 0.4, 0.4], [0.8, 0.8, 0.2, 0.2]]])
            yield 0, torch.tensor([[[0.6, 0.0], [0.9, 0.3], [0.2, 0.05]]]), boxes

        def extent(self, image):
            return image.size

    (found,) = Detector(Family(), ["dog", "cat"], 0.1)(images(1, 100, 50))
    assert [(f["label"], round(f["score"], 2)) for f in found] == [("dog", 0.9), ("cat", 0.3), ("dog", 0.2)]
    assert found[2]["box"] == pytest.approx([70, 35, 90, 45])


# models that are refused


class Planted:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "run"))


def missing(folder: Path) -> None:
    shutil.rmtree(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def pickle_with_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Planted(folder / "ran")}, protocol=2))


def zip_with_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Planted(folder / "ran")}, folder / "pytorch_model.bin")


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


def half_of_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = dict(list(weights.items())[: len(weights) // 2])
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def another_kind(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (missing, "neither a folder nor in the cache"),
        (no_config, "cannot be loaded"),
        (cut_weights, "cannot be loaded"),
        (pickle_with_code, "cannot be loaded"),
        (zip_with_code, "cannot be loaded"),
        (own_code, "cannot be loaded"),
        (half_of_the_weights, "of its weights"),
        (another_kind, "of the kind 'bert'"),
    ],
)
def test_a_model_that_is_missing_broken_or_holds_code_is_refused_and_never_run(tmp_path, folders, damage, place):
    folder = tmp_path / "model"
    shutil.copytree(folders["owlvit"], folder)
    damage(folder)
    with pytest.raises(InputError) as error:
        load_detector(str(folder), LABELS, device="cpu", min_score=0.1)
    assert place in sentence(error)
    assert str(folder) in sentence(error)
    assert not (folder / "ran").exists()


def test_a_name_means_the_model_in_the_cache_and_nothing_is_fetched(tmp_path, folders, monkeypatch):
    snapshot = tmp_path / "models--someone--owl" / "snapshots" / "0123"
    shutil.copytree(folders["owlvit"], snapshot)
    (tmp_path / "models--someone--owl" / "refs").mkdir()
    (tmp_path / "models--someone--owl" / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_detector("someone/owl", LABELS, device="cpu", min_score=0.1)(images(1))[0]
    with pytest.raises(InputError) as error:
        load_detector("someone/else", LABELS, device="cpu", min_score=0.1)
    assert "'someone/else' is neither a folder nor in the cache" in sentence(error)


@pytest.mark.parametrize("kind", ["owlvit", "grounding-dino"])
def test_a_label_that_is_too_long_for_the_model_is_refused_by_name(folders, kind):
    label = " ".join(["red"] * 30)
    with pytest.raises(InputError) as error:
        load_detector(str(folders[kind]), {label: label}, device="cpu", min_score=0.1)
    assert label in sentence(error)


# batches


class Counting(Detector):
    """Finds one object whose score tells the image; stops where it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen, self.stop_after = 0, stop_after

    def __call__(self, images: list[Image.Image]) -> list[list[dict]]:
        self.seen += len(images)
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        return [
            [{"label": "dog", "score": image.getpixel((0, 0))[0] / 256, "box": [0.0, 0.0, 1.0, 2.0]}]
            for image in images
        ]


@pytest.fixture
def batch(tmp_path: Path, picture, write_batch) -> Callable[..., list[dict]]:
    """Detects on three files of five samples, two of which are captions of one image; returns the table."""
    records = [
        {"row": file << 32 | i, "source_row": max(i - 1, 0), "image": picture(10 * file + max(i - 1, 0), 8, 8)}
        for file in range(3)
        for i in range(5)
    ]
    folder = Path(write_batch(tmp_path / "samples", SAMPLES, records))

    def run(detector: Detector, name: str = "objects", key: str = "k") -> list[dict]:
        samples = sorted(folder.glob("*.parquet"))
        objects = [tmp_path / name / file.name for file in samples]
        shutil.rmtree(tmp_path / name, ignore_errors=True)  # Snakemake deletes the outputs before a job
        detect_batch(
            detector,
            dict(zip(samples, objects, strict=True)),
            tmp_path / "state",
            key=key,
            batch_size=3,
            title="detect",
        )
        assert not (tmp_path / "state").exists()
        assert all(pq.read_schema(file).equals(OBJECTS) for file in objects)
        return [row for file in objects for row in pq.read_table(file).to_pylist()]

    return run


def test_a_killed_detection_goes_on_with_the_file_it_was_at_and_gives_the_same_table(batch):
    whole = Counting()
    expected = batch(whole, "whole")
    assert [row["row"] for row in expected] == [file << 32 | i for file in range(3) for i in range(5)]
    with pytest.raises(KeyboardInterrupt):
        batch(Counting(stop_after=9))
    rest = Counting()
    assert batch(rest) == expected
    assert (whole.seen, rest.seen) == (12, 4)


def test_finished_files_of_another_model_or_vocabulary_are_not_taken_over(batch):
    with pytest.raises(KeyboardInterrupt):
        batch(Counting(stop_after=9))
    other = Counting()
    batch(other, key="another")
    assert other.seen == 12


def test_captions_of_one_image_share_what_was_found_and_it_is_looked_at_once(batch):
    detector = Counting()
    found = batch(detector)
    assert detector.seen == 12
    assert found[0]["objects"] == found[1]["objects"] != found[2]["objects"]


def test_scores_below_the_threshold_of_scoring_are_kept_in_the_table(batch, detectors):
    scores = [f["score"] for row in batch(detectors["owlvit"]) for f in row["objects"]]
    assert 0.1 <= min(scores) < 0.5


def test_the_key_of_finished_files_changes_with_settings_and_the_model_s_files(tmp_path, folders):
    folder = tmp_path / "model"
    shutil.copytree(folders["owlvit"], folder)
    first = detection_key(str(folder), {"min_score": 0.1})
    assert detection_key(str(folder), {"min_score": 0.1}) == first
    assert detection_key(str(folder), {"min_score": 0.2}) != first
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert detection_key(str(folder), {"min_score": 0.1}) != first
