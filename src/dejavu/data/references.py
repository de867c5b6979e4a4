"""Images of a samples file that only refers to them, fetched from the raw file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.footers import rows_per_batch
from dejavu.data.images import BadImage
from dejavu.data.sources import ImageSource, Place
from dejavu.errors import InputError
from dejavu.files import first_line


class ReferencedImages:
    """The images of a samples file that holds none, fetched from its raw file.

    Rows that ascend from call to call are read in one pass: the raw file in batches, a tar by offset.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._source = ImageSource(place)
        self._group = -1
        self._start = self._stop = 0
        self._values: pa.Array = pa.nulls(0)
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def read(self, source_rows: Sequence[int]) -> list[bytes]:
        """The encoded images of the given rows of the raw file.

        Raises:
            InputError: when the raw file or an image is not there any more.
        """
        images: list[bytes] = []
        last = -1
        for row in source_rows:
            # the captions of one image follow each other
            images.append(images[-1] if row == last else self._read(row))
            last = row
        return images

    def _read(self, row: int) -> bytes:
        try:
            return self._source.read(self._value(row))
        except BadImage as bad:
            raise self._gone(row, str(bad)) from None
        except (pa.ArrowException, OSError, StopIteration, IndexError) as error:
            raise self._gone(row, first_line(error)) from None

    def _gone(self, row: int, why: str) -> InputError:
        return InputError(
            f"the image of row {row:,} of {self._place.raw}, to which store: reference only refers, cannot be read "
            f"any more ({why}): bring it back, or delete the dataset's samples folder and run again."
        )

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._place.raw)

    @cached_property
    def _size(self) -> int:
        return rows_per_batch(self._file, [self._place.column])

    @cached_property
    def _starts(self) -> list[int]:
        groups = range(self._file.num_row_groups)
        return [0, *accumulate(self._file.metadata.row_group(group).num_rows for group in groups)]

    def _value(self, row: int) -> object:
        if not self._start <= row < self._stop:
            self._seek(row)
        return self._values[row - self._start].as_py()

    def _seek(self, row: int) -> None:
        """Moves on to the batch that holds a row; only a step back begins a row group anew."""
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._start:
            self._group, self._stop = group, self._starts[group]
            self._batches = self._file.iter_batches(
                batch_size=self._size, row_groups=[group], columns=[self._place.column]
            )
        while row >= self._stop:
            values = next(self._batches).column(0)
            self._start, self._stop, self._values = self._stop, self._stop + len(values), values
