"""Objects come from where the configuration says, and belong to the samples that they are meant for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dejavu.config import load_config
from dejavu.data.annotate import annotate_file
from dejavu.data.forms.coco import write_coco
from dejavu.data.import_files import find_imports, read_imports
from dejavu.data.imported import import_objects, match_import
from dejavu.data.raw import Columns
from dejavu.data.vocabulary import SHIPPED, read_vocabulary, vocabulary_hash
from dejavu.errors import InputError
from dejavu.progress import Progress
from dejavu.tables import SAMPLES

COCO = {
    "images": [
        {"id": 9, "file_name": "train2017/000000000009.jpg"},
        {"id": 25, "coco_url": "http://x/train2017/000000000025.jpg"},
        {"id": 30, "file_name": "000000000030.jpg"},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"image_id": 9, "category_id": 18, "bbox": [1, 2, 30, 40], "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1, "segmentation": {"counts": [1, 2]}},
        {"image_id": 30, "category_id": 1, "bbox": [7.5, 0, 1, 1]},
    ],
}


def progress() -> Progress:
    return Progress("test", 0, "rows")


def sentence(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Path]:
    """Writes files of objects (a dict as JSON, a table as parquet) and reads them into the table of imports."""

    def make(*contents: dict | pa.Table) -> Path:
        files = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.{'json' if isinstance(content, dict) else 'parquet'}"
            path.write_text(json.dumps(content)) if isinstance(content, dict) else pq.write_table(content, path)
            files.append(str(path))
        read_imports(files, tmp_path / "imported.parquet", progress())
        return tmp_path / "imported.parquet"

    return make


@pytest.fixture
def matched(tmp_path: Path, write_batch) -> Callable[..., dict[str, list[dict]]]:
    """uid -> objects of samples with the given uids, five to a file, after the match as a whole."""

    def make(imported: Path, uids: list[str], every_caption: bool = False) -> dict[str, list[dict]]:
        records = [{"row": (i // 5) << 32 | i % 5, "uid": uid, "caption": "x"} for i, uid in enumerate(uids)]
        folder = Path(write_batch(tmp_path / "samples", SAMPLES, records))
        match_import(imported, [str(folder)], tmp_path / "imported.json", "mine", every_caption)
        samples = sorted(folder.glob("*.parquet"))
        objects = [tmp_path / "objects" / file.name for file in samples]
        import_objects(imported, samples, objects, progress(), every_caption)
        found = [row for file in objects for row in pq.read_table(file).to_pylist()]
        assert [row["row"] for row in found] == [record["row"] for record in records]
        return {uid: row["objects"] for uid, row in zip(uids, found, strict=True)}

    return make


def labels(objects: list[dict]) -> list[str]:
    return [found["label"] for found in objects]


@pytest.mark.parametrize("by", ["file name", "id"])
def test_coco_instances_belong_to_the_uid_of_the_image_s_name_or_id(bring, matched, by):
    uids = ["000000000009", "000000000025"] if by == "file name" else ["9", "25"]
    found = matched(bring(COCO), [*uids, "elsewhere"])
    assert labels(found[uids[0]]) == ["dog", "person"]
    assert found[uids[1]] == found["elsewhere"] == []


def test_boxes_of_coco_become_left_top_right_bottom_and_a_crowd_counts(bring, matched):
    dog, crowd = matched(bring(COCO), ["9"])["9"]
    assert dog == {"label": "dog", "score": 1.0, "box": [1.0, 2.0, 31.0, 42.0]}
    assert crowd["label"] == "person"


def test_parquet_brings_scores_and_boxes_or_certain_labels(bring, matched):
    full = pa.table(
        {
            "uid": [3, 3, 4],
            "label": ["dog", "cat", "fox"],
            "score": [0.25, 1, 0.5],
            "box": [[0.0, 1.0, 2.0, 3.0], None, [1.0, 2.0]],
        }
    )
    plain = pa.table({"uid": ["4", "5"], "label": ["owl", "elk"]})
    found = matched(bring(full, plain), ["3", "4", "5"])
    assert found["3"] == [
        {"label": "dog", "score": 0.25, "box": [0.0, 1.0, 2.0, 3.0]},
        {"label": "cat", "score": 1.0, "box": None},
    ]
    assert [(f["label"], f["box"]) for f in found["4"]] == [("fox", None), ("owl", None)]
    assert labels(found["5"]) == ["elk"]


def test_boxes_of_a_fixed_size_are_taken(bring, matched):
    box = pa.array([[0, 1, 2, 3], None], pa.list_(pa.int32(), 4))
    found = matched(bring(pa.table({"uid": ["a", "a"], "label": ["dog", "cat"], "box": box})), ["a"])
    assert [f["box"] for f in found["a"]] == [[0.0, 1.0, 2.0, 3.0], None]


@pytest.mark.parametrize(
    "box", [["1", 2, 3, 4], [1, 2, 3], [float("nan"), 0, 1, 1], [10**400, 0, 1, 1], [True, 0, 1, 1], "1,2,3,4", None]
)
def test_what_is_no_box_in_coco_s_json_counts_as_unknown(bring, matched, box):
    half = {"image_id": 9, "category_id": 1, "bbox": box}
    found = matched(bring(coco(annotations=[half], categories=[{"id": 1, "name": "dog\ud800"}])), ["9"])
    assert found["9"] == [{"label": "dog\ufffd\ufffd\ufffd", "score": 1.0, "box": None}]


@pytest.mark.parametrize("score", [87, 1.01, -0.1, float("nan"), float("inf"), None, "0.9", True], ids=repr)
def test_a_score_that_is_none_is_refused_naming_its_place(bring, score):
    with pytest.raises(InputError, match=r"annotations\[0\]: the score .* is no number from 0 to 1"):
        bring(coco(annotations=[{"image_id": 9, "category_id": 1, "score": score}]))
    if isinstance(score, (int, float)) and not isinstance(score, bool):
        with pytest.raises(InputError, match=r"row 1: the score .* is no number from 0 to 1"):
            bring(pa.table({"uid": ["a", "b"], "label": ["dog", "cat"], "score": pa.array([0.5, score], pa.float64())}))


@pytest.mark.parametrize("form", ["7", "7.0", '"7"', '" 7 "'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_ids_mean_the_same_however_a_tool_writes_them(tmp_path, form, encoding):
    text = (
        '{"images": [{"id": 7, "file_name": "a.jpg"}], "categories": [{"id": 7, "name": "dog"}],'
        f' "annotations": [{{"id": {form}, "image_id": {form}, "category_id": {form}, "caption": "a dog"}}]}}'
    )
    (tmp_path / "x.json").write_bytes(text.encode(encoding))
    read_imports([str(tmp_path / "x.json")], tmp_path / "imported.parquet", progress())
    (found,) = pq.read_table(tmp_path / "imported.parquet").to_pylist()
    assert (found["uid"], found["image_id"], found["label"]) == ("a.jpg", "7", "dog")
    assert write_coco(tmp_path / "x.json", tmp_path / "x.json", tmp_path / "coco.parquet") == 1
    (row,) = pq.read_table(tmp_path / "coco.parquet").to_pylist()
    assert (row["key"], row["captions"], row["objects"][0]["label"]) == ("7", ["a dog"], "dog")


def of_files(*files: str) -> dict:
    return {
        "images": [{"id": 100 + i, "file_name": file} for i, file in enumerate(files)],
        "categories": [{"id": i, "name": f"thing {i}"} for i in range(len(files))],
        "annotations": [{"image_id": 100 + i, "category_id": i} for i in range(len(files))],
    }


def test_samples_are_found_by_any_name_of_their_image(bring, matched):
    imported = bring(of_files("train/cat.jpg", "train\\dog.jpg", "./owl.jpg", "http://localhost/x/fox.png"))
    names = {
        "cat": 0, "cat.jpg": 0, "train/cat.jpg": 0, "train/cat": 0, "100": 0, "train/dog.jpg": 1, "owl": 2,
        "fox.png": 3,
    }  # fmt: skip
    for name, number in names.items():
        assert labels(matched(imported, [name])[name]) == [f"thing {number}"], name


def test_an_image_that_has_two_ids_is_found_by_both(bring, matched):
    found = matched(bring(of_files("cat.jpg", "cat.jpg")), ["100", "101"])
    assert (labels(found["100"]), labels(found["101"])) == (["thing 0"], ["thing 1"])


def test_images_of_one_name_in_two_folders_keep_their_own_objects(bring, matched):
    imported = bring(of_files("a/1.jpg", "b/1.jpg"))
    found = matched(imported, ["a/1", "b/1.jpg"])
    assert (labels(found["a/1"]), labels(found["b/1.jpg"])) == (["thing 0"], ["thing 1"])
    with pytest.raises(InputError, match=r"the uid '1' may mean several imported images.*'a/1.jpg' and 'b/1.jpg'"):
        matched(imported, ["1", "a/1"])


def test_json_and_parquet_come_together_and_samples_of_many_files_find_their_own(bring, matched):
    table = pa.table({"uid": [f"k{i}" for i in range(12)], "label": [f"thing {i}" for i in range(12)]})
    found = matched(bring(COCO, table), [*(f"k{i}" for i in range(12)), "30"])
    assert {uid: labels(objects) for uid, objects in found.items()} == {
        **{f"k{i}": [f"thing {i}"] for i in range(12)},
        "30": ["person"],
    }


def test_every_caption_of_an_image_gets_the_image_s_objects(bring, matched):
    found = matched(bring(COCO), ["9#0", "9#1", "30#0"], every_caption=True)
    assert labels(found["9#0"]) == labels(found["9#1"]) == ["dog", "person"]
    assert labels(found["30#0"]) == ["person"]


def test_images_that_no_sample_has_and_samples_without_objects_are_counted(bring, matched, tmp_path, capfd):
    matched(bring(COCO), ["9", "elsewhere", "25"])
    assert json.loads((tmp_path / "imported.json").read_text()) == {
        "images": 2,
        "images_matched": 1,
        "samples": 3,
        "samples_matched": 1,
    }
    said = capfd.readouterr().err
    assert "1 of 2 imported images are samples" in said
    assert "2 of 3 samples have no object" in said


def test_an_import_that_matches_no_sample_is_refused_with_a_uid_of_either_side(bring, matched):
    with pytest.raises(InputError) as error:
        matched(bring(COCO), ["a-1", "a-2"])
    assert "'000000000009'" in sentence(error)
    assert "'a-1'" in sentence(error)
    assert "datasets.mine.columns.key" in sentence(error)


def test_a_uid_that_is_one_image_s_file_name_and_another_s_id_is_refused(bring, matched):
    content = {
        "images": [{"id": 1, "file_name": "2.jpg"}, {"id": 2, "file_name": "3.jpg"}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"image_id": i, "category_id": 1} for i in (1, 2)],
    }
    with pytest.raises(InputError) as error:
        matched(bring(content), ["1", "2"])
    assert "the uid '2' may mean several imported images" in sentence(error)


def coco(**changes) -> dict:
    return {**COCO, **changes}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (coco(annotations=[{"image_id": 7, "category_id": 1}]), "annotations[0] has image_id 7"),
        (coco(annotations=[{"image_id": 9, "category_id": 5}]), "annotations[0] has category_id 5"),
        (coco(annotations=[{"image_id": [9], "category_id": 1}]), "annotations[0] has image_id [9]"),
        (coco(categories=[{"id": 1}]), "categories[0] has no id, or no name"),
        (coco(annotations=[]), "there is no object"),
        ({"images": []}, "no list 'annotations'"),
        (pa.table({"uid": ["a"], "lable": ["dog"]}), "no column 'label' (did you mean 'lable'?)"),
        (pa.table({"uid": ["a", None], "label": ["dog", "cat"]}), "row 1: uid is empty"),
        (pa.table({"uid": ["a"], "label": pa.array([None], pa.string())}), "row 0: label is empty"),
        (pa.table({"uid": [1.5], "label": ["dog"]}), "column 'uid' is double"),
        (pa.table({"uid": ["a"], "label": ["dog"], "score": ["high"]}), "column 'score' is string"),
        (pa.table({"uid": ["a"], "label": ["dog"], "box": ["0 0 1 1"]}), "column 'box' is string"),
    ],
)
def test_files_of_objects_that_are_wrong_are_refused_naming_file_and_place(bring, tmp_path, content, place):
    with pytest.raises(InputError) as error:
        bring(content)
    assert place in sentence(error)
    assert str(tmp_path / "0.") in sentence(error)


@pytest.mark.parametrize("name", ["cut.json", "cut.parquet"])
def test_damaged_files_of_objects_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text('{"images": [')
    with pytest.raises(InputError, match=name):
        read_imports([str(tmp_path / name)], tmp_path / "imported.parquet", progress())


def test_patterns_of_imports_that_match_nothing_or_another_kind_of_file_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("uid,label")
    (tmp_path / "b.json").write_text("{}")
    assert find_imports("here", [f"{tmp_path}/*.json", f"{tmp_path}/b.*"]) == [str(tmp_path / "b.json")]
    for pattern, place in (("*.parquet", "no file matches"), ("a.*", "a.csv is neither")):
        with pytest.raises(InputError) as error:
            find_imports("datasets.mine.annotate.files", [str(tmp_path / pattern)])
        assert place in sentence(error)
        assert "datasets.mine.annotate.files" in sentence(error)


def test_the_raw_column_s_objects_go_to_every_sample_of_a_raw_row(tmp_path):
    raw, samples, objects = (tmp_path / f"{name}.parquet" for name in ("raw", "samples", "objects"))
    pq.write_table(pa.table({"image": [b"x"] * 3, "caption": ["x"] * 3, "objects": [["dog"], ["cat"], ["fox"]]}), raw)
    records = [{"row": 64 * i + j, "source_row": i, "uid": "u"} for i, j in ((0, 0), (0, 1), (2, 0))]
    pq.write_table(pa.Table.from_pylist(records, schema=SAMPLES), samples)
    annotate_file(raw, Columns("image", "caption", objects="objects"), samples, objects, progress())
    found = [(row["row"], labels(row["objects"])) for row in pq.read_table(objects).to_pylist()]
    assert found == [(0, ["dog"]), (1, ["dog"]), (128, ["fox"])]


# vocabularies


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("coco", 80, "person", "toothbrush"),
        ("lvis", 1203, "aerosol can", "zucchini"),
        ("open_images", 601, "Accordion", "Zucchini"),
    ],
)
def test_the_vocabularies_that_come_with_the_package_are_whole(name, count, first, last):
    found = list(read_vocabulary(name))
    assert (len(found), found[0], found[-1]) == (count, first, last)
    assert not [label for label in found if label != label.strip() or "_" in label]


def test_a_label_may_be_asked_for_in_other_words(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\ufeff# mine\n\ndog\n bat \tbat (animal)\nfox\t\n", encoding="utf-8")
    assert read_vocabulary(str(path)) == {"dog": "dog", "bat": "bat (animal)", "fox": "fox"}
    assert read_vocabulary("lvis")["bat"] == "bat (animal)"


def test_the_hash_of_a_vocabulary_changes_with_its_labels_and_not_with_comments(tmp_path):
    hashes = []
    for number, text in enumerate(["dog\nfox\n", "# a comment\ndog\n\nfox", "fox\ndog\n", "dog\tbig dog\nfox\n"]):
        (tmp_path / f"{number}.txt").write_text(text)
        hashes.append(vocabulary_hash(read_vocabulary(str(tmp_path / f"{number}.txt"))))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_wrong_vocabularies_are_refused_naming_the_file_and_the_line(tmp_path):
    (tmp_path / "twice.txt").write_text("dog\ncat\nDog\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    places = {"twice.txt": "line 3: 'Dog' is already in line 1", "empty.txt": "no label", "latin.txt": "not UTF-8"}
    for name, place in places.items():
        with pytest.raises(InputError) as error:
            read_vocabulary(str(tmp_path / name))
        assert place in sentence(error)
        assert name in sentence(error)
    with pytest.raises(InputError, match="did you mean 'open_images'"):
        read_vocabulary("open-images")
    assert set(SHIPPED) == {"coco", "lvis", "open_images"}


# configuration


@pytest.fixture
def settled(repository) -> Callable[[dict], dict]:
    """The section annotate of a checked configuration."""

    def make(annotate: dict) -> dict:
        given = yaml.safe_load((repository / "config/config.yaml").read_text())
        given["datasets"]["demo"]["annotate"] = annotate
        config = load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
        return config["datasets"]["demo"]["annotate"]

    return make


def test_a_source_of_objects_has_its_own_keys_with_defaults_and_no_others(settled):
    assert settled({}) == {"from": "column"}
    assert settled({"from": "import", "files": ["*.json"]}) == {"from": "import", "files": ["*.json"]}
    assert settled({"from": "detector", "model": "owl"}) == {
        "from": "detector",
        "model": "owl",
        "vocabulary": "coco",
        "min_score": 0.1,
        "batch_size": 8,
        "torch_threads": 2,
    }


@pytest.mark.parametrize(
    ("annotate", "place", "remedy"),
    [
        ({"from": "import"}, "datasets.demo.annotate.files", "add it"),
        ({"from": "detector"}, "datasets.demo.annotate.model", "add it"),
        ({"model": "owl"}, "datasets.demo.annotate has model", "set from to detector"),
        ({"from": "detector", "model": "owl", "files": ["x"]}, "has files", "set from to import"),
        ({"from": "detector", "model": "/no/such/folder"}, "datasets.demo.annotate.model", "correct the path"),
        ({"from": "nowhere"}, "datasets.demo.annotate.from", "one of column, import, detector"),
        ({"from": "detector", "model": "owl", "min_score": 2}, "datasets.demo.annotate.min_score", "at most 1"),
    ],
)
def test_a_wrong_source_of_objects_is_refused_naming_the_key(settled, annotate, place, remedy):
    with pytest.raises(InputError) as error:
        settled(annotate)
    assert place in sentence(error)
    assert remedy in sentence(error)


def test_labels_that_are_not_utf8_are_kept_as_far_as_they_can_be_read(tmp_path, write_batch):
    labels = pa.array([b"\xff cat", b"dog"]).view(pa.string())
    raw, samples = tmp_path / "raw.parquet", tmp_path / "samples"
    columns = {"image": [b"x"], "caption": ["a cat"], "objects": pa.ListArray.from_arrays([0, 2], labels)}
    pq.write_table(pa.table(columns), raw)
    write_batch(samples, SAMPLES, [{"row": 0, "uid": "u", "caption": "a cat", "source_row": 0}])
    annotate_file(
        raw,
        Columns("image", "caption", objects="objects"),
        samples / "00000000.parquet",
        tmp_path / "o.parquet",
        progress(),
    )
    (found,) = pq.read_table(tmp_path / "o.parquet")["objects"].to_pylist()
    assert [item["label"] for item in found] == ["\ufffd cat", "dog"]
