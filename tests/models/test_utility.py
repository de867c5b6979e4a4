"""Utility of a model against what the definitions say, worked out by hand for one random tiny model."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from dejavu.data.benchmarks import Benchmark
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.errors import InputError
from dejavu.measurement.resampling import Resampling
from dejavu.training.model import Clip, build
from dejavu.utility.encode import Encoder
from dejavu.utility.evaluate import evaluate
from dejavu.utility.probe import choose_regularization
from dejavu.utility.zero_shot import classifier

CLASSES = ["harbor", "meadow", "desert", "forest", "city", "glacier", "canyon"]
TEMPLATES = ["a photo of the {}", "the {} with {{braces}}, at {}", "{}"]
COLUMNS = {"image": "image", "label": "label"}


@pytest.fixture
def clip(tiny_architecture) -> Clip:
    torch.manual_seed(5)
    clip = build(tiny_architecture())
    clip.model.eval()
    return clip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def written(name: str, **columns: list) -> str:
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        return str(tmp_path / f"{name}.parquet")

    return written


def run(clip: Clip, benchmark: Benchmark, batch_size: int = 4) -> dict[str, tuple[float, int]]:
    rows = evaluate(Encoder(ClipEncoder(clip, Running(batch_size))), [benchmark], Resampling(draws=100, seed=0))
    assert {row["task"] for row in rows} == {benchmark.task}
    for row in rows:
        if row["metric"].endswith(("_chance", "_left_out")):
            assert row.get("ci_low") is row.get("drawn") is None
        else:
            assert row["ci_low"] <= row["value"] <= row["ci_high"] and len(row["drawn"]) == 100
    return {row["metric"]: (row["value"], row["n"]) for row in rows}


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def image_vector(clip: Clip, data: bytes) -> np.ndarray:
    """One image alone, through OpenCLIP's own transform."""
    transform = open_clip.image_transform(clip.size, is_train=False)
    with torch.no_grad():
        return unit(clip.model.encode_image(transform(Image.open(io.BytesIO(data)))[None])[0].double().numpy())


def text_vector(clip: Clip, text: str) -> np.ndarray:
    with torch.no_grad():
        return unit(clip.model.encode_text(clip.tokenizer([text]))[0].double().numpy())


def prompt_vectors(clip: Clip) -> np.ndarray:
    """(classes, templates, dimension), each prompt alone."""
    return np.array([[text_vector(clip, t.replace("{}", name)) for t in TEMPLATES] for name in CLASSES])


def accuracies(similarity: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    order = np.argsort(-similarity, axis=1)
    first = order[:, 0] == truth
    return {
        "accuracy@1": first.mean(),
        "accuracy@5": np.mean([t in o[:5] for t, o in zip(truth, order, strict=True)]),
        "mean_class_accuracy@1": np.mean([first[truth == c].mean() for c in sorted(set(truth.tolist()))]),
    }


@pytest.fixture
def scenes(clip: Clip, picture, write):
    """Images whose labels are what the model says, so that a wrong classifier cannot be right by chance; some wrong."""
    images = [picture(number) for number in range(60)]
    vectors = np.array([image_vector(clip, image) for image in images])
    prompts = prompt_vectors(clip)
    means = np.array([unit(of_class.mean(axis=0)) for of_class in prompts])
    truth = np.argmax(vectors @ means.T, axis=1)
    truth[::7] = (truth[::7] + 2) % len(CLASSES)
    # a random model hardly separates images, so whole classes may be missing
    return images, vectors, prompts, truth


def write_shards(folder: Path, images: list[bytes], labels: list[int]) -> list[str]:
    """As clip-benchmark has them: two tars, whose keys begin anew."""
    paths = [folder / f"{number}.tar" for number in range(2)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            for place, (image, label) in enumerate(list(zip(images, labels, strict=True))[number * 40 :][:40]):
                for ending, data in (("cls", f"{label}\n".encode()), ("webp", image), ("txt", b"")):
                    info = tarfile.TarInfo(f"s{place:07d}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return [str(path) for path in paths]


@pytest.mark.parametrize("form", ["names", "numbers", "classes from the labels", "shards"])
def test_zero_shot_is_that_of_each_class_averaged_over_its_own_prompts(clip, scenes, write, form, tmp_path):
    images, vectors, prompts, truth = scenes
    names = [CLASSES[t] for t in truth]
    if form == "shards":
        paths = write_shards(tmp_path, images, truth.tolist())
    else:
        paths = [write("scenes", image=images, label=truth.tolist() if form == "numbers" else names)]
    classes = None if form == "classes from the labels" else CLASSES
    found = run(clip, Benchmark("zero_shot", "s", {"data": paths}, COLUMNS, classes, TEMPLATES))
    known = sorted(set(names)) if classes is None else CLASSES
    means = np.array([unit(prompts[CLASSES.index(name)].mean(axis=0)) for name in known])
    expected = accuracies(vectors @ means.T, np.array([known.index(name) for name in names]))
    if len(known) <= 5:
        del expected["accuracy@5"]
    assert {k: v for k, (v, _) in found.items()} == pytest.approx(
        {f"s_{k}": v for k, v in expected.items()} | {"s_left_out": 0}, abs=1e-6
    )
    assert {n for _, n in found.values()} == {60}


def test_zero_shot_with_prompts_of_other_classes_mixed_in_would_give_another_result(clip, scenes):
    """What the fixture's labels are good for: the reshape that takes templates for classes is told apart."""
    _, vectors, prompts, truth = scenes
    means = np.array([unit(p.mean(axis=0)) for p in prompts])
    swapped = prompts.reshape(len(TEMPLATES), len(CLASSES), -1).mean(axis=0)
    right, wrong = accuracies(vectors @ means.T, truth), accuracies(vectors @ swapped.T, truth)
    assert right["accuracy@1"] > 0.8
    assert abs(right["accuracy@1"] - wrong["accuracy@1"]) > 0.1


@pytest.mark.parametrize("name", ["openai", "simple"])
def test_named_templates_are_those_of_openclip(clip, name):
    prompts = {"openai": open_clip.OPENAI_IMAGENET_TEMPLATES, "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES}[name]
    expected = [unit(np.mean([text_vector(clip, prompt(c)) for prompt in prompts], axis=0)) for c in CLASSES[:2]]
    assert classifier(Encoder(ClipEncoder(clip, Running(4))), CLASSES[:2], name) == pytest.approx(
        np.array(expected), abs=1e-6
    )


def test_numbers_are_places_among_the_thousand_classes_of_imagenet(clip, write, picture):
    images = [picture(number) for number in range(3)]
    with torch.no_grad():
        names = clip.model.encode_text(clip.tokenizer(open_clip.IMAGENET_CLASSNAMES), normalize=True).double().numpy()
    nearest = [int(np.argmax(names @ image_vector(clip, image))) for image in images]
    path = write("imagenet", image=images, label=[nearest[0], nearest[1], (nearest[2] + 500) % 1000])
    found = run(clip, Benchmark("zero_shot", "i", {"data": [path]}, COLUMNS, "imagenet", ["{}"]), batch_size=500)
    assert found["i_accuracy@1"] == (pytest.approx(2 / 3), 3)


def test_images_that_cannot_be_decoded_are_left_out_and_counted(clip, write, picture):
    images = [picture(0), b"no image", picture(1), b"", picture(2)]
    path = write("scenes", image=images, label=["sea", "sea", "city", "city", "city"])
    found = run(clip, Benchmark("zero_shot", "s", {"data": [path]}, COLUMNS, None, TEMPLATES))
    assert found["s_accuracy@1"][1] == 3
    assert found["s_left_out"] == (2 / 5, 5)


# linear probe


@pytest.fixture
def tinted() -> Callable[[int], tuple[bytes, str]]:
    """A noisy image of one of three tints, and the tint's name; some names are wrong, so that C matters."""

    def make(number: int) -> tuple[bytes, str]:
        rng = np.random.default_rng(number)
        tint = number % 3
        pixels = rng.integers(0, 200, size=(32, 32, 3))
        pixels[..., tint] += 12
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="PNG")
        return buffer.getvalue(), ("red", "green", "blue")[tint if rng.random() < 0.9 else (tint + 1) % 3]

    return make


def test_the_linear_probe_is_logistic_regression_with_c_chosen_on_every_fifth(clip, write, tinted):
    parts = {"train": [tinted(n) for n in range(90)], "test": [tinted(n) for n in range(1000, 1045)]}
    files = {
        part: [write(part, image=[image for image, _ in pairs], label=[label for _, label in pairs])]
        for part, pairs in parts.items()
    }
    # with these every image is clear of a tie by more than a hundredth, so no CPU sees another one
    values = [1e3, 0.1, 100.0]
    found = run(clip, Benchmark("linear_probe", "tints", files, COLUMNS, regularization=values))

    vectors = {part: np.array([image_vector(clip, image) for image, _ in pairs]) for part, pairs in parts.items()}
    labels = {part: np.array([label for _, label in pairs]) for part, pairs in parts.items()}
    by_class = sorted(range(90), key=lambda i: (labels["train"][i], i))
    held = by_class[4::5]
    others = [i for i in by_class if i not in held]

    def fitted(c: float, rows: list[int]) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=1000).fit(vectors["train"][rows], labels["train"][rows])

    scores = {c: fitted(c, others).score(vectors["train"][held], labels["train"][held]) for c in sorted(values)}
    best = max(scores, key=scores.__getitem__)
    expected = fitted(best, list(range(90))).score(vectors["test"], labels["test"])
    assert found == {"tints_accuracy@1": (pytest.approx(expected, abs=1e-9), 45), "tints_left_out": (0, 135)}
    assert len(set(scores.values())) > 1, "C makes a difference here"
    assert expected > 0.4


def test_of_values_of_c_that_are_as_good_the_smallest_is_taken():
    images = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    assert choose_regularization(images, np.repeat([0, 1, 2], 10), [100.0, 1.0, 10.0]) == 1.0


def test_c_is_chosen_on_images_of_every_class():
    labels = np.array([1, 0, 0, 0, 0] * 4)
    labels[1] = 1
    # in the order of the files, every fifth image is of class 0, which a probe with a C near zero always predicts
    assert choose_regularization(np.eye(2, dtype=np.float32)[labels], labels, [1e-6, 100.0]) == 100.0


# compositional


KINDS = {
    "order": [["star a red", "red star a", "a star red"], ["sea blue the"]],
    "attribute": [["a blue star"], ["a red sea"], ["a blue star"]],
}


def test_a_caption_is_right_only_where_it_is_more_similar_than_every_false_one(clip, write, picture):
    tests = [
        {"image": picture(i), "caption": caption, "negatives": negatives, "kind": kind}
        for i, (kind, negatives, caption) in enumerate(
            (kind, false, caption)
            for caption in ("a red star", "the blue sea", "the harbor at night")
            for kind, choices in KINDS.items()
            for false in choices
        )
    ]
    # an image whose false caption is the true one, so both are equally similar
    tests.append({"image": picture(99), "caption": "a star", "negatives": ["a star", "a star"], "kind": "same"})
    tests.insert(1, {"image": b"no image", "caption": "a star", "negatives": ["x"], "kind": "order"})
    path = write("tests", **{key: [test[key] for test in tests] for key in tests[0]})
    columns = {key: key for key in ("image", "caption", "negatives", "kind")}
    found = run(clip, Benchmark("compositional", "c", {"data": [path]}, columns))

    right, chance = {}, {}
    for test in tests[:1] + tests[2:-1]:
        image = image_vector(clip, test["image"])
        own = image @ text_vector(clip, test["caption"])
        wins = all(own > image @ text_vector(clip, false) for false in test["negatives"])
        right.setdefault(test["kind"], []).append(wins)
        chance.setdefault(test["kind"], []).append(1 / (1 + len(test["negatives"])))
    for kind in KINDS:
        assert found[f"c_{kind}_accuracy"] == (pytest.approx(np.mean(right[kind])), len(right[kind]))
        assert found[f"c_{kind}_chance"] == (pytest.approx(np.mean(chance[kind])), len(chance[kind]))
        assert 0 < np.mean(right[kind]) < 1, "both outcomes are tried"
    assert found["c_same_accuracy"] == (0, 1)
    assert found["c_same_chance"] == (pytest.approx(1 / 3), 1)
    assert found["c_left_out"] == (pytest.approx(1 / len(tests)), len(tests))


# what cannot be evaluated


ZERO_SHOT = {"task": "zero_shot", "part": "data", "labels": ["sea", "city"], "classes": ["sea", "city"]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"labels": ["sea", "cities"]}, r"the label 'cities' is none of the 2 classes \(did you mean 'city'\?\)"),
        ({"labels": [0, 2]}, r"the label 2 is none of the 2 classes, numbered from 0 to 1: correct utility\.zero_shot"),
        ({"labels": [0, -1]}, "the label -1 is none of"),
        ({"labels": [0, 1], "classes": None}, "its labels are numbers, such as 0, .* set utility.zero_shot.b.classes"),
        ({"labels": ["sea", "sea"], "classes": ["sea", "city", "sea"]}, "'sea' is there twice"),
        ({"labels": ["sea", None]}, "scenes.parquet row 1: label is None: fill it in"),
        ({"images": [b"x", b"y"]}, "none of its 2 images can be used"),
    ],
    ids=["unknown", "beyond", "negative", "no names", "ambiguous", "missing", "no image"],
)
def test_labels_that_mean_no_class_and_files_without_an_image_are_refused(clip, write, picture, given, sentence):
    given = {**ZERO_SHOT, "images": [picture(0), picture(1)], **given}
    path = write("scenes", image=given["images"], label=given["labels"])
    with pytest.raises(InputError, match=sentence):
        run(clip, Benchmark("zero_shot", "b", {"data": [path]}, COLUMNS, given["classes"], TEMPLATES))


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (["a", "a", "b", "b"], ["a", "c"], "the test label 'c' is no label of the training set"),
        (["a", "a", "a", "b"], ["a", "b"], "the label 'b' has fewer than two training images"),
        (["a", "a"], ["a"], "all its training images have the label 'a'"),
    ],
)
def test_a_probe_without_two_images_of_every_class_or_with_an_unknown_one_is_refused(
    clip, write, picture, train, test, sentence
):
    files = {
        part: [write(part, image=[picture(i) for i in range(len(labels))], label=labels)]
        for part, labels in (("train", train), ("test", test))
    }
    with pytest.raises(InputError, match=sentence):
        run(clip, Benchmark("linear_probe", "b", files, COLUMNS, regularization=[1.0]))
