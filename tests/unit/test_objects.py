"""Objects from a column, in every form that libraries write."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.messages import sentence
from tests.harness.raw_forms import progress

from dejavu.data.annotate import annotate_file
from dejavu.data.ingest import Ingested, RawFile, ingest_file
from dejavu.data.raw import Columns, take_inventory
from dejavu.errors import InputError


def hash_31(name: str) -> int:
    return int(hashlib.blake2b(name.encode(), digest_size=4).hexdigest(), 16) >> 1


def annotate(tmp_path: Path, picture, objects: pa.Array, features: object = None) -> list[dict]:
    raw, samples, quarantine = (tmp_path / f"{name}.parquet" for name in ("raw", "samples", "quarantine"))
    number = len(objects)
    captions = ["" if i == 1 else f"caption {i}" for i in range(number)]
    table = {"image": [picture(i, 8, 8) for i in range(number)], "caption": captions, "objects": objects}
    noted = {"huggingface": json.dumps({"info": {"features": {"objects": features}}})} if features else None
    pq.write_table(pa.table(table).replace_schema_metadata(noted), raw)
    columns = Columns("image", "caption", objects="objects")
    ingest_file(RawFile(raw, "raw.parquet", columns), Ingested(samples, quarantine), progress())
    annotate_file(raw, columns, samples, tmp_path / "objects.parquet", progress())
    return pq.read_table(tmp_path / "objects.parquet").to_pylist()


def test_objects_may_be_a_list_of_strings(tmp_path, picture):
    found = annotate(tmp_path, picture, pa.array([["dog", "cat"], ["quarantined"], None, [], [None, "fox"]]))
    upper = hash_31("raw.parquet") << 32
    assert [f["row"] - upper for f in found] == [0, 2, 3, 4]
    assert [[o["label"] for o in f["objects"]] for f in found] == [["dog", "cat"], [], [], ["fox"]]
    assert found[0]["objects"][0] == {"label": "dog", "score": 1.0, "box": None}


def test_objects_may_be_a_list_of_structs_with_score_and_box(tmp_path, picture):
    kind = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64()), ("box", pa.list_(pa.float64()))]))
    objects = [
        [{"label": "dog", "score": 0.25, "box": [0.0, 1.0, 2.0, 3.0]}, {"label": "cat", "score": 1, "box": None}]
    ]
    (row,) = annotate(tmp_path, picture, pa.array(objects, kind))
    assert row["objects"] == [
        {"label": "dog", "score": 0.25, "box": [0.0, 1.0, 2.0, 3.0]},
        {"label": "cat", "score": 1.0, "box": None},
    ]


def test_objects_may_be_structs_with_a_label_alone(tmp_path, picture):
    kind = pa.list_(pa.struct([("label", pa.string())]))
    (row,) = annotate(tmp_path, picture, pa.array([[{"label": "dog"}]], kind))
    assert row["objects"] == [{"label": "dog", "score": 1.0, "box": None}]


BOX = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 2.0, 2.0]]


TEXTS, NUMBERS = ["dog", "person"], [1, 0]


CLASS_NAMES = {"names": ["person", "dog"], "_type": "ClassLabel"}
LIST_OF = {"feature": {"category": CLASS_NAMES, "bbox": {"length": 4, "_type": "List"}}, "_type": "List"}
CATEGORIES = pa.dictionary(pa.int32(), pa.string())
FORMS = {
    "struct of lists": (pa.array([{"bbox": BOX, "label": TEXTS}]), None),
    "struct of lists, class numbers": (
        pa.array([{"bbox": BOX, "category": NUMBERS, "area": [12.0, 4.0]}]),
        {"feature": {"category": CLASS_NAMES, "area": {"dtype": "float32", "_type": "Value"}}, "_type": "Sequence"},
    ),
    "list of structs, class numbers": (pa.array([[{"category": n, "bbox": BOX[0]} for n in NUMBERS]]), LIST_OF),
    "list of structs, older note": (pa.array([[{"category": n} for n in NUMBERS]]), [{"category": CLASS_NAMES}]),
    "list of class numbers": (pa.array([NUMBERS]), {"feature": CLASS_NAMES, "_type": "Sequence"}),
    "category as text beside its number": (pa.array([[{"category_id": 7, "category": t} for t in TEXTS]]), None),
    "categories of pandas": (pa.array([TEXTS]).cast(pa.list_(CATEGORIES)), None),
    "texts of another type": (pa.array([TEXTS], pa.large_list(pa.large_string())), None),
    "list of a fixed size": (pa.array([TEXTS], pa.list_(pa.string(), 2)), None),
    "struct with nulls": (pa.array([{"label": TEXTS, "score": None, "box": None}]), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_objects_are_read_in_the_forms_that_datasets_and_pandas_write(tmp_path, picture, form):
    objects, features = FORMS[form]
    (row,) = annotate(tmp_path, picture, objects, features)
    assert row["objects"] == [{"label": label, "score": 1.0, "box": None} for label in TEXTS]


def test_scores_and_boxes_of_a_struct_of_lists_stay_with_their_labels(tmp_path, picture):
    (row,) = annotate(tmp_path, picture, pa.array([{"label": TEXTS, "score": [0.25, 1.0], "box": BOX}]))
    assert [(o["label"], o["score"], o["box"]) for o in row["objects"]] == [
        ("dog", 0.25, BOX[0]),
        ("person", 1.0, BOX[1]),
    ]


def test_class_numbers_that_have_no_name_are_refused(tmp_path, picture):
    with pytest.raises(InputError, match="does not say which names they stand for"):
        annotate(tmp_path, picture, pa.array([NUMBERS]))
    with pytest.raises(InputError, match="row 0: the class number 2 has no name among the 2"):
        annotate(tmp_path, picture, pa.array([[2]]), {"feature": CLASS_NAMES, "_type": "Sequence"})
    (row,) = annotate(tmp_path, picture, pa.array([[-1]]), {"feature": CLASS_NAMES, "_type": "Sequence"})
    assert row["objects"] == [{"label": None, "score": 1.0, "box": None}]


@pytest.mark.parametrize("score", [float("nan"), 87.0, -0.5, float("inf"), None])
def test_a_score_that_is_none_is_refused_naming_the_row(tmp_path, picture, score):
    objects = [[{"label": "dog", "score": 0.5}], [], [{"label": "cat", "score": score}]]
    with pytest.raises(InputError, match=r"'objects', row 2: the score .* is no number from 0 to 1"):
        annotate(tmp_path, picture, pa.array(objects))


@pytest.mark.parametrize("columns", [{"caption": ["a"], "caption.en": [list("abc")]}, {"caption": [["a"]]}])
def test_a_column_whose_name_has_a_dot_is_not_a_part_of_another(tmp_path, columns):
    pq.write_table(pa.table({"image": [b"x"], **columns}), tmp_path / "raw.parquet")
    dotted = Columns("image", "caption.en" if "caption.en" in columns else "caption")
    counts = take_inventory({"raw": str(tmp_path / "raw.parquet")}, dotted, every_caption=True)
    assert counts == {"raw": 3 if "caption.en" in columns else 1}
    if "caption.en" in columns:
        counts = take_inventory({"raw": str(tmp_path / "raw.parquet")}, Columns("image", "caption"), True)
        assert counts == {"raw": 1}


def test_two_columns_of_one_name_are_refused_where_they_are_used(tmp_path):
    arrays = [pa.array([b"x"]), pa.array(["a dog"]), pa.array(["un chien"])]
    pq.write_table(pa.Table.from_arrays(arrays, ["image", "caption", "caption"]), tmp_path / "raw.parquet")
    with pytest.raises(InputError, match="has 2 columns 'caption', so columns.caption is ambiguous"):
        take_inventory({"raw": str(tmp_path / "raw.parquet")}, Columns("image", "caption"))


@pytest.mark.parametrize(
    "objects",
    [
        pa.array(["dog"]),
        pa.array([[1, 2]]),
        pa.array([{"label": "dog"}]),
        pa.array([[{"colour": "dog"}]]),
        pa.array([[{"label": 3}]]),
        pa.array([[{"label": "dog", "score": "high"}]]),
    ],
    ids=["string", "numbers", "struct", "no_label", "label_is_a_number", "score_is_a_text"],
)
def test_objects_of_another_type_are_refused_with_a_sentence(tmp_path, picture, objects):
    with pytest.raises(InputError) as error:
        annotate(tmp_path, picture, objects)
    message = sentence(error)
    assert str(tmp_path / "raw.parquet") in message
    assert "'objects'" in message
    assert "columns.objects" in message


def test_a_raw_file_that_lost_rows_since_it_was_ingested_is_refused(tmp_path, picture):
    annotate(tmp_path, picture, pa.array([["dog"], ["cat"], ["fox"]]))
    raw = tmp_path / "raw.parquet"
    pq.write_table(pq.read_table(raw).slice(0, 2), raw)
    columns = Columns("image", "caption", objects="objects")
    with pytest.raises(InputError) as error:
        annotate_file(raw, columns, tmp_path / "samples.parquet", tmp_path / "objects.parquet", progress())
    assert str(raw) in sentence(error)
