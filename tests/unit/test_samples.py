"""Samples by row."""

from __future__ import annotations

import numpy as np
import pytest
from tests.harness.messages import sentence

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.tables import SAMPLES


def test_a_manifest_of_other_data_is_refused_naming_the_file(tmp_path, write_batch):
    folder = write_batch(tmp_path / "s", SAMPLES, [{"row": 1, "uid": "u", "caption": "c"}])
    with pytest.raises(InputError) as error:
        list(SampleStore([folder]).read(np.array([1, 2]), ["uid"]))
    assert "00000000.parquet" in sentence(error)
    with pytest.raises(InputError, match="1 rows of a manifest"):
        list(SampleStore([folder]).read(np.array([1, 5 << 32]), ["uid"]))


def test_no_rows_are_read_as_none(tmp_path, write_batch):
    folder = write_batch(tmp_path / "s", SAMPLES, [{"row": 1, "uid": "u", "caption": "c"}])
    assert list(SampleStore([folder]).read(np.array([], dtype=np.int64), ["uid"])) == []
