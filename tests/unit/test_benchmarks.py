"""Benchmarks of utility: what is drawn for them is true and in no dataset, and files that do not fit are refused."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dejavu.config import load_config
from dejavu.data.benchmarks import find_benchmarks, read_images, read_values
from dejavu.data.evaluation import draw_compositional, draw_labelled
from dejavu.data.results import read_results
from dejavu.data.scenes import COLORS, SCENES
from dejavu.data.synthetic import make_pairs, make_world
from dejavu.errors import InputError

WORLD = make_world(3)
GIVEN = {
    "datasets": {"demo": {"synthetic": {"pairs": 1000}}, "own": {"raw": ["*.parquet"]}},
    "splits": {
        "default": {
            "dataset": "demo",
            "roles": {
                "a": {"interval": [0.0, 0.2]},
                "b": {"interval": [0.2, 0.4]},
                "public": {"interval": [0.4, 0.7]},
                "holdout": {"interval": [0.7, 1.0]},
            },
        }
    },
    "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 5000}},
}


@pytest.fixture
def utility(repository):
    """The section ``utility`` of a checked configuration."""

    def checked(**tasks: dict) -> dict:
        given = {**copy.deepcopy(GIVEN), "utility": tasks}
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)["utility"]

    return checked


# what is drawn


def test_drawn_images_are_in_no_dataset_and_in_one_set_only():
    of_dataset = [pair["image"] for pair in make_pairs(WORLD, 0, 50)]
    sets = [[r["image"] for r in draw_labelled(WORLD, name, 30)] for name in ("train", "test")]
    sets.append([r["image"] for r in draw_compositional(WORLD, 30)])
    everything = [image for images in [of_dataset, *sets] for image in images]
    assert len(set(everything)) == 140


def test_drawn_labels_are_the_scenes_that_the_images_show():
    """A scene's own sky is at the top of the image, unless an object is there."""
    skies = {name: np.array(colors[0]) for name, colors in SCENES.items()}
    right = []
    for record in draw_labelled(WORLD, "test", 40):
        top = np.median(np.asarray(Image.open(io.BytesIO(record["image"])))[0].astype(float), axis=0)
        right.append(min(skies, key=lambda name: np.abs(skies[name] - top).sum()) == record["label"])
    assert np.mean(right) > 0.9


def test_drawn_colors_are_those_in_the_box_of_the_lowest_object():
    pairs = make_pairs(WORLD, 1 << 40, (1 << 40) + 30)
    for record, pair in zip(draw_labelled(WORLD, "train", 30), pairs, strict=True):
        box = sorted((found["box"] for found in pair["objects"]), key=lambda box: -box[3])[0]
        inside = Image.open(io.BytesIO(record["image"])).crop([int(edge) for edge in box])
        distance = {
            name: np.quantile(np.abs(np.asarray(inside).astype(int) - color).max(axis=2), 0.15)
            for name, color in COLORS.items()
        }
        assert min(distance, key=distance.__getitem__) == record["color"]


def test_drawn_false_captions_are_false_with_the_words_of_the_true_one():
    drawn = list(draw_compositional(WORLD, 60))
    assert [record["kind"] for record in drawn[:4]] == ["attribute", "relation", "order", "attribute"]
    for record in drawn:
        for false in record["negatives"]:
            assert false != record["caption"]
            assert sorted(false.split()) == sorted(record["caption"].split())
        assert len(set(record["negatives"])) == (4 if record["kind"] == "order" else 1)


def shown(image: bytes) -> set[str]:
    """The colors of objects, where the image has enough pixels of just that color."""
    pixels = np.asarray(Image.open(io.BytesIO(image))).astype(int).reshape(-1, 3)
    return {name for name, color in COLORS.items() if (np.abs(pixels - color).max(axis=1) < 12).sum() > 60}


@pytest.mark.parametrize("kind", ["attribute", "relation"])
def test_drawn_captions_are_true_by_the_objects_and_boxes_of_their_image(kind):
    found = {pair["image"]: pair for pair in make_pairs(WORLD, 3 << 40, (3 << 40) + 60)}
    records = [r for r in draw_compositional(WORLD, 45) if r["kind"] == kind]
    assert len(records) == 15
    for record in records:
        boxes = {o["label"]: o["box"] for o in found[record["image"]]["objects"]}
        phrase, _, scene = record["caption"].rpartition(" in the ")
        assert scene == found[record["image"]]["scene"]
        said = {label: phrase.find(f"a {label}") for label in boxes if f"a {label}" in phrase}
        one, other = sorted(said, key=said.__getitem__)
        if kind == "attribute":
            assert phrase == f"a {one} and a {other}"
            assert {one.split()[0], other.split()[0]} <= shown(record["image"]) | {"white", "black"}
            assert not any(f"a {label}" in record["negatives"][0] for label in boxes)
        else:
            relation = phrase.removeprefix(f"a {one} ").removesuffix(f" a {other}")
            (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = boxes[one], boxes[other]
            assert {
                "above": bottom <= other_top,
                "below": top >= other_bottom,
                "left of": right <= other_left,
                "right of": left >= other_right,
            }[relation]
            assert record["negatives"] == [f"a {other} {relation} a {one} in the {scene}"]


# the configuration


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ({"zero_shot": {"s": {}}}, "utility.zero_shot.s.data' is missing: add it, or set synthetic"),
        ({"zero_shot": {"s": {"synthetic": "demo", "data": ["x"]}}}, "has both synthetic and data"),
        ({"zero_shot": {"s": {"synthetic": "dem"}}}, r"'dem', which is no synthetic dataset \(did you mean 'demo'"),
        (
            {"compositional": {"s": {"synthetic": "own"}}},
            "'own', which is no synthetic dataset: the synthetic",
        ),
        ({"linear_probe": {"s": {"train": ["x"]}}}, "utility.linear_probe.s.test' is missing"),
        ({"zero_shot": {"s": {"synthetic": "demo", "template": "x"}}}, "utility.zero_shot.s.template' is unknown"),
    ],
)
def test_a_benchmark_that_makes_no_sense_is_refused_naming_its_key(utility, tasks, sentence):
    with pytest.raises(InputError, match=sentence):
        utility(**tasks)


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch, picture) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "seen.png").write_bytes(picture(3))
    (tmp_path / "other" / "beyond.png").write_bytes(picture(4))
    table = {"image": ["seen.png", "../beyond.png", "absent.png"], "label": ["sea", "city", "sea"], "place": [0.5] * 3}
    pq.write_table(pa.table(table), tmp_path / "scenes.parquet")
    pq.write_table(pa.table({"image": [{"bytes": picture(5), "path": None}], "label": [1]}), tmp_path / "hf.parquet")
    (tmp_path / "gap.txt").write_text("sea\n\ncity\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "prompts.txt").write_text("a photo of {}\nthe sea\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "broken.tar").write_bytes(b"no tar" * 200)
    return tmp_path


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"data": ["none*.parquet"]}, "utility.zero_shot.s.data: no file matches 'none\\*.parquet'"),
        ({"label": "lable"}, r"no column 'lable' \(did you mean 'label'\?\), which utility.zero_shot.s.label names"),
        ({"label": "place"}, "column 'place' is double, but utility.zero_shot.s.label needs class names"),
        ({"data": ["broken.parquet"]}, "broken.parquet is not a whole parquet file"),
        ({"classes": "imagnet"}, r"neither a file nor one of imagenet \(did you mean 'imagenet'\?\)"),
        ({"classes": "gap.txt"}, "line 2 of gap.txt is empty"),
        ({"classes": "empty.txt"}, "empty.txt is empty: write one entry per line"),
        ({"templates": ["a photo"]}, r"'a photo' has no \{\}, which stands for the class"),
        ({"templates": "prompts.txt"}, r"'the sea' has no \{\}"),
        ({"data": ["broken.tar"]}, "broken.tar is not a whole, uncompressed tar"),
    ],
)
def test_benchmarks_that_do_not_fit_are_refused_before_any_job(utility, labelled, entry, sentence):
    with pytest.raises(InputError, match=sentence):
        find_benchmarks(utility(zero_shot={"s": {"data": ["scenes.parquet"], **entry}}))


def test_images_are_read_from_bytes_and_from_paths_that_do_not_leave_their_folder(utility, labelled, picture):
    entries = {"paths": {"data": ["scenes.parquet"]}, "structs": {"data": ["hf.parquet"], "classes": "imagenet"}}
    paths, structs = find_benchmarks(utility(zero_shot=entries))
    first, *others = [image for images in read_images(paths, "data", 2) for image in images]
    assert np.array_equal(np.asarray(first), np.asarray(Image.open(io.BytesIO(picture(3)))))
    assert others == [None, None]
    ((only,),) = read_images(structs, "data", 2)
    assert np.array_equal(np.asarray(only), np.asarray(Image.open(io.BytesIO(picture(5)))))


def test_a_folder_of_clip_benchmark_is_taken_as_it_is(utility, tmp_path, monkeypatch, picture):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test").mkdir()
    with tarfile.open("test/0.tar", "w") as tar:
        members = {"a.cls": b"1", "a.jpg": picture(0), "b.jpg": b"none", "b.cls": b"0", "c.cls": b"1"}
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    Path("classnames.txt").write_text("sea\ncity\n")
    Path("zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n")
    given = {"data": ["test/*.tar"], "classes": "classnames.txt", "templates": "zeroshot_classification_templates.txt"}
    (benchmark,) = find_benchmarks(utility(zero_shot={"s": given}))
    assert (benchmark.classes, benchmark.templates) == (["sea", "city"], ["a photo of a {}."])
    assert read_values(benchmark, "data", "label") == [1, 0]
    (images,) = read_images(benchmark, "data", 10)
    assert [image is not None for image in images] == [True, False]
    with pytest.raises(InputError, match="is a tar, and those hold labelled images only"):
        find_benchmarks(utility(compositional={"s": {"data": ["test/*.tar"]}}))


RESULT = {"dataset": "wds/cars", "model": "ViT-B-32", "pretrained": "x.pt", "task": "zeroshot_classification"}
RESULT |= {"metrics": {"acc1": 0.5, "acc5": 1, "report": "text"}, "language": "en"}


def result(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(RESULT | changes))
    return path


def test_what_clip_benchmark_has_measured_becomes_rows_of_utility(tmp_path):
    files = [result(tmp_path / "one.json"), result(tmp_path / "two.json", language="de", metrics={"acc1": 0.25})]
    rows = [(row["task"], row["metric"], row["value"], row["n"]) for row in read_results(files, "ViT-B-32")]
    assert rows == [
        ("clip_benchmark", "wds/cars_acc1", 0.5, None),
        ("clip_benchmark", "wds/cars_acc5", 1.0, None),
        ("clip_benchmark", "wds/cars_de_acc1", 0.25, None),
    ]
    assert read_results(files, "architectures/tiny.json") == read_results(files, None) != []
    probe = result(tmp_path / "probe.json", task="linear_probe", model="ViT-B/32")
    assert {row["metric"] for row in read_results([files[0], probe], "ViT-B-32")} == {
        "wds/cars_acc1",
        "wds/cars_acc5",
        "wds/cars_linear_probe_acc1",
        "wds/cars_linear_probe_acc5",
    }


def test_results_of_another_model_or_twice_or_of_another_program_are_refused(tmp_path):
    file, other = result(tmp_path / "one.json"), tmp_path / "other.json"
    other.write_text('{"accuracy": 1}')
    for files, architecture, told in (
        ([file], "ViT-L-14", "the results of the model 'ViT-B-32', but the checkpoint is of 'ViT-L-14'"),
        ([file, result(tmp_path / "again.json")], None, "again.json has wds/cars_acc1, which another file has"),
        ([other], None, "is no result of clip-benchmark"),
        ([tmp_path / "none.json"], None, "none.json is not a JSON file"),
        ([file, result(tmp_path / "weights.json", pretrained="y.pt")], None, "of the weights 'x.pt', and .* of 'y.pt'"),
        ([result(tmp_path / "text.json", metrics={"acc1": "0.5"})], None, "no metric that is a finite number"),
        ([result(tmp_path / "nan.json", metrics={"acc1": float("nan")})], None, "no metric that is a finite number"),
        ([result(tmp_path / "null.json", dataset=None)], None, "is no result of clip-benchmark"),
    ):
        with pytest.raises(InputError, match=told):
            read_results(files, architecture)
