"""Embeddings that an earlier job made are used again where all that they were made of is the same, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.data.kept_arrays import KeptArrays
from dejavu.data.samples import RoleSamples
from dejavu.files import write_array

# two files of samples, whose numbers are the upper halves of the rows
ROWS = np.array([(file << 32) + number for file in (3, 7) for number in range(10)])


class Job:
    """A job that embeds some rows in a folder, each as (row, factor)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = folder / "samples"
        for file in (3, 7):
            self.write_samples(file)

    def write_samples(self, file: int, captions: str = "c") -> None:
        self.samples.mkdir(exist_ok=True)
        pq.write_table(
            pa.table({"row": ROWS[file == ROWS >> 32], "caption": [captions] * 10}),
            self.samples / f"{file:08x}.parquet",
        )

    def run(
        self, rows: np.ndarray, settings: Mapping | None, factor: float = 1.0, texts: np.ndarray | None = None
    ) -> tuple[int, np.ndarray]:
        """The number of rows that were made anew, and the array."""
        manifest, output = self.folder / "manifest.parquet", self.folder / "images.npy"
        pq.write_table(pa.table({"row": rows}), manifest)
        output.unlink(missing_ok=True)

        def make(part: RoleSamples, arrays: Mapping[str, Path]) -> None:
            values = np.stack([part.rows() % 2**32, np.full(len(part.rows()), factor)], axis=1)
            write_array(arrays["images"], values.astype(np.float32))

        role = RoleSamples(manifest, [self.samples])
        number = KeptArrays(self.folder / "kept", settings).fill(role, {"images": output}, make, texts)
        return number, np.load(output)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_only_new_rows_are_made_and_each_is_in_its_place(job):
    assert job.run(ROWS[::3], {"code": 1}, 1.0)[0] == len(ROWS[::3])
    number, array = job.run(ROWS[::-1], {"code": 1}, 2.0)
    assert number == len(ROWS) - len(ROWS[::3])
    np.testing.assert_array_equal(array[:, 0], ROWS % 2**32)
    np.testing.assert_array_equal(array[:, 1], np.where(np.arange(len(ROWS)) % 3, 2.0, 1.0))
    # fewer rows need nothing new
    number, array = job.run(ROWS[5:9], {"code": 1}, 3.0)
    assert number == 0 and set(array[:, 1]) <= {1.0, 2.0}


def test_other_settings_or_unknown_weights_make_all_rows_anew(job):
    job.run(ROWS, {"code": 1})
    assert job.run(ROWS, {"code": 2}, 2.0)[0] == len(ROWS)
    assert job.run(ROWS, {"code": 2}, 3.0)[0] == 0
    assert job.run(ROWS, None, 4.0)[0] == len(ROWS)
    # what is not known to belong to the settings has been kept for nobody
    assert job.run(ROWS, {"code": 2}, 5.0)[0] == len(ROWS)


def test_a_changed_file_of_samples_makes_its_rows_anew(job):
    job.run(ROWS, {})
    job.write_samples(7, "another caption")
    number, array = job.run(ROWS, {}, 2.0)
    assert number == 10
    np.testing.assert_array_equal(array[:, 1], np.where(ROWS >> 32 == 7, 2.0, 1.0))


def test_a_changed_text_makes_its_row_anew(job):
    texts = np.array([f"{row:016d}" for row in range(len(ROWS))], dtype="S16").view("V16")
    job.run(ROWS, {}, texts=texts)
    changed = texts.copy()
    changed[4] = b"another text...."
    number, array = job.run(ROWS, {}, 2.0, changed)
    assert number == 1 and np.flatnonzero(array[:, 1] == 2.0).tolist() == [4]


def test_a_kept_array_that_was_changed_is_not_used(job):
    job.run(ROWS, {})
    path = job.folder / "kept" / "images.npy"
    kept = np.load(path)
    kept[3] = 9.0
    np.save(path, kept)
    assert job.run(ROWS, {}, 2.0)[0] == len(ROWS)
