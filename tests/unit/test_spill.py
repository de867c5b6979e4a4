"""More rows than memory holds: on disk in even parts, every row once, and nothing is left behind."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from dejavu.data.spill import folder_beside, in_order, parts_for, spill_by_range, spill_by_value

ROWS = 200_000


def names(numbers: np.ndarray) -> list[str]:
    return [hashlib.blake2b(number.tobytes(), digest_size=8).hexdigest() for number in numbers]


def in_tables(table: pa.Table, rows: int) -> list[pa.Table]:
    return [table.slice(start, rows) for start in range(0, table.num_rows, rows)]


@pytest.mark.parametrize("kind", ["rows of one file", "rows of many files", "hashes", "strings"])
def test_parts_are_even_and_equal_values_are_in_one(tmp_path, kind):
    numbers = np.random.default_rng(0).integers(0, ROWS // 2, ROWS)
    values = {
        "rows of one file": lambda: pa.array((12345 << 32) + numbers),
        "rows of many files": lambda: pa.array(((numbers % 1000) << 32) + numbers // 1000),
        "hashes": lambda: pa.array(np.random.default_rng(1).integers(0, 2**64, ROWS, dtype=np.uint64)[numbers]),
        "strings": lambda: pa.array(names(numbers)),
    }[kind]()
    table = pa.table({"value": values, "place": np.arange(ROWS)})
    spill = spill_by_value(tmp_path / "s", table.schema, in_tables(table, 30_000), "value", parts_for(ROWS))
    parts = list(spill)
    assert spill.rows == ROWS and len(parts) == parts_for(ROWS) > 5
    assert max(part.num_rows for part in parts) < 1.2 * ROWS / len(parts)
    assert pa.concat_tables(parts).sort_by("place").equals(table)
    assert sum(len(part["value"].unique()) for part in parts) == len(values.unique())
    assert [part.num_rows for part in spill] == [part.num_rows for part in parts]


def test_ranges_come_back_in_order(tmp_path):
    rng = np.random.default_rng(0)
    places = rng.choice(rng.uniform(0.2, 0.4, ROWS // 4), ROWS)
    table = pa.table({"place": places, "row": rng.permutation(ROWS), "uid": [f"uid {i}" for i in range(ROWS)]})
    tables = in_tables(table, 30_000)
    spill = spill_by_range(tmp_path / "s", table.schema, tables, "place", (0.2, 0.4), parts_for(ROWS))
    parts = list(in_order(spill, ["place", "row"]))
    assert max(part.num_rows for part in parts) < 1.2 * ROWS / len(parts)
    order = np.lexsort((table["row"].to_numpy(), places))
    assert pa.concat_tables(parts).equals(table.take(pa.array(order)))


def test_no_rows_are_parts_without_rows(tmp_path):
    schema = pa.schema([("value", pa.string())])
    spill = spill_by_value(tmp_path / "s", schema, [schema.empty_table()], "value", 3)
    assert spill.rows == 0 and [part.num_rows for part in spill] == [0, 0, 0]


def test_the_temporary_folder_is_beside_the_result_and_goes_whatever_happens(tmp_path):
    with pytest.raises(KeyError), folder_beside(tmp_path / "new" / "result.parquet") as folder:
        assert folder.parent == tmp_path / "new"
        (folder / "s").write_bytes(b"x")
        raise KeyError
    assert list((tmp_path / "new").iterdir()) == []
