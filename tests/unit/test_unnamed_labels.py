"""What the report shows of the objects that captions do not name."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from tests.harness.project import ROOT

from dejavu.report.queries import Queries


def rows_of(folder, samples):
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("role", pa.string()),
            ("caption", pa.string()),
            ("objects", pa.list_(pa.string())),
            ("unnamed", pa.list_(pa.string())),
        ]
    )
    table = pa.Table.from_pylist(samples, schema)
    with duckdb.connect(str(folder / "d.duckdb")) as connection:
        connection.register("given", table)
        connection.execute("CREATE TABLE samples AS SELECT * FROM given")
    return Queries(folder / "d.duckdb", ROOT / "workflow" / "sql").rows("unnamed_labels")


def sample(row, role, caption, objects, unnamed):
    return {"row": row, "role": role, "caption": caption, "objects": objects, "unnamed": unnamed}


def test_labels_are_ordered_by_how_often_captions_leave_them_unnamed(tmp_path):
    samples = [sample(i, "ab"[i % 2], f"caption {i // 2}", ["dog", "cat"], ["dog"]) for i in range(10)]
    samples += [sample(20 + i, "a", f"a {i}", [f"thing {i:02d}"], [f"thing {i:02d}"]) for i in range(12)]
    samples += [sample(40 + i, role, "x", ["cat"], ["cat"]) for i, role in enumerate(["public", "holdout"] * 20)]
    samples += [sample(90, "a", "nothing", [], [])]
    found = rows_of(tmp_path, samples)
    assert found[0] == {"label": "dog", "unnamed": 10, "images": 10, "captions": [f"caption {i}" for i in range(3)]}
    assert [row["label"] for row in found[1:]] == [f"thing {i:02d}" for i in range(9)]
    assert {row["images"] for row in found[1:]} == {1} and found[1]["captions"] == ["a 0"]


def test_captions_that_name_everything_leave_no_label(tmp_path):
    assert rows_of(tmp_path, [sample(1, "a", "a dog", ["dog"], [])]) == []
