"""Referenced images: a samples file without images fetches them from its raw file."""

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
    """Reads the images of a samples file with ``store: reference`` from its raw file.

    If rows ascend from call to call, the raw file is read once, in batches. A tar is read at the images' offsets.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._source = ImageSource(place)
        self._group = -1
        self._start = self._stop = 0
        self._values: pa.Array = pa.nulls(0)
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def read(self, source_rows: Sequence[int]) -> list[bytes]:
        """Return the encoded images of rows of the raw file.

        Args:
            source_rows: numbers of the rows in the raw file.

        Raises:
            InputError: when the raw file or an image no longer exists.
        """
        images: list[bytes] = []
        last = -1
        for row in source_rows:
            # Samples with the same image, one for each caption, follow each other, so the image is read only once.
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

    def _gone(self, row: int, reason: str) -> InputError:
        return InputError(
            f"the image of row {row:,} of {self._place.raw}, which the samples only reference (store: reference), can "
            f"no longer be read ({reason}): bring it back, or delete the dataset's samples folder and run again."
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
        """Read on to the batch with a row; for a row before the present batch, begin its row group again."""
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._start:
            self._group, self._stop = group, self._starts[group]
            self._batches = self._file.iter_batches(
                batch_size=self._size, row_groups=[group], columns=[self._place.column]
            )
        while row >= self._stop:
            values = next(self._batches).column(0)
            self._start, self._stop, self._values = self._stop, self._stop + len(values), values
