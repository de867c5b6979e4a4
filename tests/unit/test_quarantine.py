"""The quarantine: too large a share of unusable rows stops a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.harness.messages import sentence

from dejavu.data.quarantine import check_quarantine
from dejavu.errors import InputError
from dejavu.tables import QUARANTINE


def quarantine_file(path: Path, reasons: list[str]) -> Path:
    rows = [
        {"source": "x.parquet", "source_row": i, "uid": None, "stage": "ingest", "reason": r, "detail": f"d{i}"}
        for i, r in enumerate(reasons)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), path)
    return path


def test_too_large_a_quarantine_stops_with_the_commonest_reasons(tmp_path):
    file = quarantine_file(tmp_path / "q.parquet", ["caption is empty", "image is missing", "image is missing"])
    with pytest.raises(InputError) as error:
        check_quarantine([file], 100, 0.02, "mine")
    message = sentence(error)
    assert "3 of 100 raw rows" in message
    assert "2 x image is missing (first: x.parquet row 1, d1); 1 x caption is empty (first: x.parquet row 0" in message
    assert "datasets.mine.max_quarantined" in message


def test_a_quarantine_of_exactly_the_allowed_share_goes_on(tmp_path):
    file = quarantine_file(tmp_path / "q.parquet", ["caption is empty"] * 3)
    check_quarantine([file], 100, 0.03, "mine")
    check_quarantine([], 0, 0.0, "mine")
