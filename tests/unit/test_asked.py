"""Of a large role, the samples with the smallest positions are asked about; of a small one all, as ever."""

from __future__ import annotations

import copy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.project import CONFIG

from dejavu.data.asked import write_asked
from dejavu.data.split import manifest_counts
from dejavu.plan.asked import may_exceed_limit
from dejavu.tables.data import MANIFEST


def test_what_is_asked_is_the_beginning_of_the_manifest_and_nested(tmp_path):
    positions = [0.01 * number for number in range(50)]
    columns = {
        "row": [(7 * number) % 50 for number in range(50)],
        "uid": [f"u{number}" for number in range(50)],
        "group_id": [f"g{number // 2}" for number in range(50)],
        "position": positions,
    }
    pq.write_table(pa.table(columns, schema=MANIFEST), tmp_path / "a.parquet", row_group_size=8)
    for limit, number in ((20, 20), (1, 1), (50, 50), (80, 50)):
        assert write_asked(tmp_path / "a.parquet", tmp_path / f"{limit}.parquet", limit) == (number, 50)
        asked = pq.read_table(tmp_path / f"{limit}.parquet")
        assert manifest_counts(tmp_path / f"{limit}.parquet") == {
            "rows_in": 50,
            "in_interval": 50,
            "distinct": 50,
            "rows_out": number,
        }
        assert asked.to_pydict() == {name: values[:number] for name, values in columns.items()}


@pytest.mark.parametrize(
    ("limit", "role_limit", "pairs", "expected"),
    [
        (40, 50, 400, True),
        (50, 50, 400, False),
        (40, None, 400, True),
        (400, None, 400, False),
        (None, None, 400, False),
    ],
)
def test_a_role_has_a_manifest_of_what_is_asked_only_where_it_may_be_larger(limit, role_limit, pairs, expected):
    config = copy.deepcopy(CONFIG)
    config["measure"]["query_limit"] = limit
    config["datasets"]["demo"]["synthetic"].update(pairs=pairs, captions=1)
    for section in config["splits"]["default"]["roles"].values():
        section.update(limit=role_limit, dataset="demo")
    assert may_exceed_limit(config, "default", "holdout") is expected
    assert not may_exceed_limit(config, "default", "public")
