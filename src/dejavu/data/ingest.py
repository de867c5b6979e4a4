"""Ingest: raw files become the samples table; unusable rows go to the quarantine with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.downloads import NOTED, Notes
from dejavu.data.footers import BYTES_PER_BATCH
from dejavu.data.images import BadImage, Unusable, decode_rgb, open_image, shrink
from dejavu.data.quarantine import FAILED
from dejavu.data.raw import Columns, file_id, open_raw, python_values, read_raw
from dejavu.data.reuse import Kept
from dejavu.data.sources import ImageSource, stamp
from dejavu.data.tars import tar_beside
from dejavu.data.texts import clean_caption
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.progress import Progress
from dejavu.tables.data import QUARANTINE, SAMPLES

USES = ("image", "caption", "key", "status", "error", *NOTED)
# largest number of captions of a raw row that are used or kept
CAPTIONS_PER_ROW = 64
LONGEST_KEY = 1000


@dataclass(frozen=True)
class Ingestion:
    """Options of ingest, which turns the pairs of raw files into samples.

    Attributes:
        captions: what becomes of an image's captions: the ``first`` that is not blank makes the sample; ``all`` make a
            sample each; or a ``hash`` of the key chooses one, or a hash of the image where there is no key. A sample
            also keeps the other captions among the first 64.
        store: what samples hold of an image: a ``copy``; a copy that ``shrink`` scales down if the image is larger than
            ``short_side``; or only a ``reference`` to it.
        short_side: pixels, for ``shrink``.
        min_side: pixels; an image with a shorter side goes to the quarantine.
        max_caption: characters; a longer caption goes to the quarantine.
        image_root: folder that paths of images are relative to, and may not lead out of.
        image_links: further folders that links below ``image_root`` may lead into.
        key_unique_in: ``dataset`` if a key names one image in the whole dataset; ``file`` if it does so only within its
            raw file. In the second case, uids begin with the file's name without ending.
    """

    captions: str = "first"
    store: str = "copy"
    short_side: int | None = None
    min_side: int = 1
    max_caption: int = 10_000
    image_root: str = "."
    image_links: Sequence[str] = ()
    key_unique_in: str = "dataset"


@dataclass(frozen=True)
class RawFile:
    """A raw file to ingest.

    Attributes:
        path: path of the file.
        name: path relative to the dataset's root; a hash of the name is the upper half of each ``row``.
        columns: columns of the file by use.
    """

    path: Path
    name: str
    columns: Columns


@dataclass(frozen=True)
class Ingested:
    """The parquet files that ingest makes of a raw file: ``samples``, and ``quarantine`` with the unusable pairs."""

    samples: Path
    quarantine: Path


def ingest_file(raw: RawFile, outputs: Ingested, progress: Progress, options: Ingestion = Ingestion()) -> ImageSource:
    """Read one raw file, and write its samples and its quarantine.

    - Captions are normalised by :func:`dejavu.data.texts.clean_caption`; without a column of captions, all are empty.
    - An image must decode.
    - ``uid`` is the value of the key column, or a hash of image and caption where the row has no key. If every caption
      is a sample, ``#`` and the caption's number follow.
    - The lower half of ``row`` is the number of the raw row. If every caption is a sample, it is 64 times that number
      plus the caption's number.

    Args:
        raw: the raw file.
        outputs: the files to write.
        progress: counts the pairs.
        options: treatment of captions and images.

    Returns:
        The source of the images, which lists the image files that were read.

    Raises:
        InputError: when the raw file or its tar is damaged, or has too many rows.
    """
    path, name, columns = raw.path, raw.name, raw.columns
    place = columns.place(path, options.image_root, options.image_links)
    reader = _Reader(name, ImageSource(place), options)
    _check_number(path, columns, reader.captions_per_row)
    refused = [QUARANTINE.empty_table()]

    def parts() -> Iterator[pa.Table]:
        for start, batch in read_raw(path, columns, USES):
            rows = enumerate(_rows(batch), start)
            for records in _in_parts(record for number, row in rows for record in reader.read(number, row)):
                yield pa.Table.from_pylist(records, schema=SAMPLES)
                progress.advance(len(records))
            refused.append(pa.Table.from_pylist(reader.refused, schema=QUARANTINE))
            progress.advance(len(reader.refused))
            reader.refused = []

    schema = SAMPLES.with_metadata(place.noted()) if options.store == "reference" else SAMPLES
    write_table(outputs.samples, parts(), schema)
    write_table(outputs.quarantine, pa.concat_tables(refused), QUARANTINE)
    return reader.source


def ingest_changed(kept: Kept, raw: RawFile, outputs: Ingested, progress: Progress, options: Ingestion) -> None:
    """Ingest a raw file by :func:`ingest_file`, or reuse the outputs of an earlier job if no input has changed since.

    Args:
        kept: the outputs of earlier jobs.
        raw: the raw file.
        outputs: the files to write.
        progress: counts the pairs.
        options: treatment of captions and images.
    """
    files = {"samples": outputs.samples, "quarantine": outputs.quarantine}
    inputs = [str(raw.path)] if raw.columns.image is not None else [str(raw.path), str(tar_beside(raw.path))]
    before = [stamp(file) for file in inputs]
    if kept.restore(raw.name, inputs, files):
        progress.skip(sum(pq.read_metadata(file).num_rows for file in files.values()))
        return
    source = ingest_file(raw, outputs, progress, options)
    # A path that led out of the root may stay inside it later, and no file's time would show that. So nothing is kept.
    if not source.escaped:
        kept.keep(raw.name, dict.fromkeys([*before, *source.visited]), files)


def _check_number(path: Path, columns: Columns, captions_per_row: int) -> None:
    with open_raw(path, columns) as file:
        rows, most = file.metadata.num_rows, 2**32 // captions_per_row
    if rows > most:
        raise InputError(f"{path} has {rows:,} rows, but one file may have {most:,}: split it into several.")


def _rows(batch: dict[str, pa.Array]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch as use -> value."""
    values = [python_values(array) for array in batch.values()]
    for row in zip(*values, strict=True):
        yield dict(zip(batch, row, strict=True))


def _in_parts(records: Iterator[dict]) -> Iterator[list[dict]]:
    """Yield the records in lists; each ends when its images and texts reach :data:`BYTES_PER_BATCH`."""
    part: list[dict] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record["image"] or b"") + sum(map(len, record["other_captions"]))
        if size >= BYTES_PER_BATCH:
            yield part
            part, size = [], 0
    if part:
        yield part


@dataclass(frozen=True)
class _Picture:
    """A usable image: its encoded bytes, the bytes to store (None for a reference), and the stored image's size."""

    data: bytes
    stored: bytes | None
    width: int
    height: int


class _Reader:
    """Turns raw rows into records of the samples table, and collects records of the quarantine in ``refused``."""

    def __init__(self, name: str, source: ImageSource, options: Ingestion) -> None:
        self.name, self.source, self.options = name, source, options
        self.captions_per_row = CAPTIONS_PER_ROW if options.captions == "all" else 1
        place = source.place
        self._notes = Notes(Path(place.raw), place.column, source) if place.tar else None
        self._before_key = f"{PurePosixPath(name).with_suffix('')}/" if options.key_unique_in == "file" else ""
        self.refused: list[dict] = []
        self._captioned = True

    def read(self, number: int, row: dict[str, Any]) -> Iterator[dict]:
        """Yield the samples of one raw row."""
        key: str | None = None
        picture: _Picture | Unusable
        try:
            key = _key(row)
            key = None if key is None else self._before_key + key
            _check_status(row)
            picture = self._picture(row)
        except Unusable as unusable:
            picture = unusable
        usable = self._usable_captions(row)
        self._captioned = "caption" in row
        for index, caption in enumerate(self._captions(row, key, picture)):
            suffix = f"#{index}" if self.options.captions == "all" else ""
            identity = {"source": self.name, "source_row": number, "uid": None if key is None else key + suffix}
            try:
                sample = self._sample(picture, caption, index)
            except Unusable as unusable:
                reason = {"reason": unusable.reason, "detail": unusable.detail[:500]}
                self.refused.append({**identity, "stage": "ingest", **reason})
            else:
                row_number = file_id(self.name) << 32 | number * self.captions_per_row + index
                others = [text for text in usable if text != sample["caption"]]
                uid = (key or sample["uid"]) + suffix
                yield {**identity, **sample, "row": row_number, "uid": uid, "other_captions": others}

    def _picture(self, row: dict[str, Any]) -> _Picture:
        data = self.source.read(row["key"] if self.source.place.tar else row["image"])
        header = open_image(data)
        if self._notes is not None:
            self._notes.check(row, data, header.size)
        if min(header.size) < self.options.min_side:
            raise BadImage("image is too small", f"{header.width} x {header.height}")
        image = decode_rgb(data)
        if self.options.store == "reference":
            return _Picture(data, None, *image.size)
        side = self.options.short_side
        if self.options.store == "shrink" and side is not None and min(image.size) > side:
            stored, size = shrink(image, side)
            return _Picture(data, stored, *size)
        return _Picture(data, data, *image.size)

    def _captions(self, row: dict[str, Any], key: str | None, picture: _Picture | Unusable) -> list:
        """Return the captions that make pairs: one of them or all; None stands for a missing caption."""
        value = row.get("caption")
        captions = (value if isinstance(value, list) else [value]) or [None]
        if self.options.captions == "all":
            return captions
        usable = [caption for caption in captions if isinstance(caption, str) and caption.strip()] or captions[:1]
        if self.options.captions == "first" or len(usable) == 1:
            return usable[:1]
        seed = key.encode() if key is not None else picture.data if isinstance(picture, _Picture) else b""
        return [min(usable, key=lambda caption: _digest(seed, caption))]

    def _usable_captions(self, row: dict[str, Any]) -> list[str]:
        """Return the distinct usable captions of a list, normalised; none where the row has a single text."""
        value = row.get("caption")
        texts: dict[str, None] = {}
        for caption in value[:CAPTIONS_PER_ROW] if isinstance(value, list) else []:
            with suppress(Unusable):
                texts[clean_caption(caption, self.options.max_caption)] = None
        return list(texts)

    def _sample(self, picture: _Picture | Unusable, caption: object, index: int) -> dict:
        if isinstance(picture, Unusable):
            raise picture
        if index >= self.captions_per_row:
            raise Unusable("row has too many captions", f"caption {index + 1}, but {CAPTIONS_PER_ROW} are taken")
        text = clean_caption(caption, self.options.max_caption) if self._captioned else ""
        content = hashlib.blake2b(picture.data + text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        size = {"width": picture.width, "height": picture.height}
        return {"uid": content, "caption": text, "image": picture.stored, **size}


def _check_status(row: dict[str, Any]) -> None:
    status = row.get("status", "success")
    if status is None:
        raise Unusable("status is empty", "it is success where a download succeeded")
    if status != "success":
        raise Unusable(FAILED, f"{status}: {row.get('error')}")


def _key(row: dict[str, Any]) -> str | None:
    """Return the user's key; None where there is none, or it is empty."""
    key = row.get("key")
    if isinstance(key, bytes):
        raise Unusable("key is not UTF-8", repr(key[:100]))
    text = "" if key is None else str(key)
    if len(text) > LONGEST_KEY:
        raise Unusable("key is too long", f"{len(text):,} characters, but {LONGEST_KEY:,} are allowed")
    return text or None


def _digest(seed: bytes, caption: str) -> bytes:
    return hashlib.blake2b(seed + b"\0" + caption.encode("utf-8", "surrogatepass"), digest_size=8).digest()
