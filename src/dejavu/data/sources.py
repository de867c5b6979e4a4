"""Where the encoded images of a raw file are: in its column, in files that the column names, or in a tar beside it."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import stat
import tarfile
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dejavu.data.images import BadImage
from dejavu.errors import InputError
from dejavu.files import first_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_BYTES = 256 * 2**20
MAX_NOTE_BYTES = 2**20
ROWS_PER_BATCH = 512
BYTES_PER_BATCH = 64 * 2**20

# key of a samples file's metadata that says where the images are to which the file only refers
REFERENCE = b"dejavu.images"

# (path, bytes, modification time in ns); a file that is not there has -1 for both
Stamp = tuple[str, int, int]


def stamp(path: str | Path) -> Stamp:
    """What changes when a file does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns


def tar_beside(raw: str | Path) -> Path:
    """The WebDataset tar of a raw file: of the same name."""
    return Path(raw).with_suffix(".tar")


@dataclass(frozen=True)
class Place:
    """Where the images of one raw file are.

    Attributes:
        raw: path of the raw parquet file.
        column: its column of image bytes, of structs ``{bytes, path}``, of paths, or of the keys of a tar's members.
        tar: whether the images are in the tar beside the raw file.
        root: folder that paths are relative to, and may not leave.
        links: further folders that links below the root may lead into.
    """

    raw: str
    column: str
    tar: bool
    root: str
    links: Sequence[str] = ()

    def noted(self) -> dict[bytes, bytes]:
        """As metadata of a samples file that only refers to its images."""
        return {REFERENCE: json.dumps(asdict(self), sort_keys=True).encode()}

    @classmethod
    def read_from(cls, metadata: dict[bytes, bytes] | None) -> Place | None:
        """From the metadata of a samples file; None where it holds its images itself."""
        noted = (metadata or {}).get(REFERENCE)
        return None if noted is None else cls(**json.loads(noted))


class ImageSource:
    """Reads the encoded images of one raw file.

    Attributes:
        visited: the files of single images that were looked for, as they were then.
        escaped: whether a path was refused because it leaves the root.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.visited: list[Stamp] = []
        self.escaped = False
        self._root = os.path.realpath(place.root)
        self._looked_up = 0

    def read(self, value: object) -> bytes:
        """The encoded image that a value of the place's column holds or names.

        Raises:
            BadImage: when there is none, or its path leaves the root.
            InputError: when the tar is missing or damaged.
        """
        if self.place.tar:
            data = self._member(value)
        elif isinstance(value, dict):
            held = value.get("bytes")
            data = held if isinstance(held, bytes) else self._file(value.get("path"))
        else:
            data = value if isinstance(value, bytes) else self._file(value)
        if not data:
            raise BadImage("image is missing", "it has no bytes")
        if len(data) > MAX_BYTES:
            raise BadImage("image file is too large", f"{len(data):,} bytes")
        return data

    def _member(self, key: object) -> bytes:
        found = self._index.get(str(key))
        if found is None or found.image is None:
            raise BadImage("image is missing", f"{os.path.basename(self._tar_path)} has no image of key {str(key)!r}")
        if found.image[1] > MAX_BYTES:
            raise BadImage("image file is too large", f"{found.image[1]:,} bytes")
        return self._at(*found.image)

    @property
    def has_notes(self) -> bool:
        """Whether the tar has a JSON member beside an image."""
        return any(member.note for member in self._index.values())

    def note(self, key: object) -> bytes | None:
        """The JSON that the tar has of a key; None where there is none."""
        found = self._index.get(str(key))
        return None if found is None or found.note is None else self._at(*found.note)

    def _at(self, offset: int, size: int) -> bytes:
        return os.pread(self._tar.fileno(), size, offset)

    @property
    def _tar_path(self) -> Path:
        return tar_beside(self.place.raw)

    @cached_property
    def _index(self) -> dict[str, Member]:
        return index_tar(self._tar_path)

    @cached_property
    def _tar(self):
        return open(self._tar_path, "rb")

    def _file(self, name: object) -> bytes:
        if not isinstance(name, str) or not name:
            raise BadImage("image is missing", f"{type(name).__name__} where bytes or a path are expected")
        if (data := _embedded(name)) is not None:
            return data
        shown = repr(name[:200])
        if _ADDRESS.match(name):
            raise BadImage("image is an address", f"{shown}: nothing is downloaded here; bring the files, or bytes")
        why = "is no path"
        for spelled in _spellings(name, os.path.basename(self.place.root)) if "\0" not in name else ():
            path = self._inside(spelled)
            self.visited.append(stamp(path))
            try:
                return _plain_file(path)
            except OSError as error:
                if spelled == name or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    why = f"is not in {self.place.root}" if error.errno == errno.ENOENT else f"{error.strerror}"
        raise BadImage("image is missing", f"{shown} {why}{self._like(name)}")

    def _like(self, name: str) -> str:
        """What is there of almost that name, looked up for the first few."""
        self._looked_up += 1
        folder, base = os.path.split(os.path.join(self._root, name))
        if (
            self._looked_up > LOOKED_UP
            or len(name) > 1000
            or "\0" in name
            or not self._is_below(os.path.join(folder, base))
        ):
            return ""
        with suppress(OSError):
            there = sorted(entry for entry in os.listdir(folder) if entry.casefold() == base.casefold())
            return f", but {there[0]!r} is" if there else ""
        return ""

    def _inside(self, name: str) -> str:
        """The real path of a named file, which must lie below the root, or where links of the root may lead."""
        path = os.path.realpath(os.path.join(self._root, name))
        named = os.path.normpath(os.path.join(self._root, name))
        linked = self._is_below(named) and path != named and any(_below(path, folder) for folder in self._linked)
        if self._is_below(path) or linked:
            return path
        self.escaped = True
        if self._is_below(named):
            told = f"{name[:200]!r} is a link to {path}: name the folder that it leads into in image_links"
            raise BadImage("image is a link out of its root", told)
        raise BadImage("image path leaves its root", f"{name[:200]!r} is not below {self.place.root}")

    def _is_below(self, path: str) -> bool:
        return _below(path, self._root)

    @cached_property
    def _linked(self) -> list[str]:
        return [os.path.realpath(folder) for folder in (*self.place.links, *_stores(self._root))]


# single names that are looked up in their folder, to say what is there instead
LOOKED_UP = 10
_ADDRESS = re.compile(r"(https?|ftp|s3|gs|az|hf|data):", re.IGNORECASE)
# how the base64 of a JPEG, a PNG and a WebP begins
_ENCODED = ("/9j/", "iVBORw0KGgo", "UklGR")


def _embedded(text: str) -> bytes | None:
    """The image that a text holds itself, as base64 or a data address; None where it is something else."""
    found = re.match(r"data:image/[a-z+.-]+;base64,", text[:64])
    encoded = text[found.end() :] if found else text
    if found or (len(encoded) > 64 and encoded.startswith(_ENCODED)):
        with suppress(ValueError):
            return base64.b64decode("".join(encoded.split()), validate=True)
    return None


def _spellings(name: str, root: str) -> Iterator[str]:
    """A path as it is written, then as it may have been meant: each is tried where the one before is not there.

    ``root`` is the name of the folder that it is relative to, which may stand before it.
    """
    if name.startswith("file://"):
        name = unquote(name.removeprefix("file://").removeprefix("localhost"))
    seen: set[str] = set()
    slashed = name.strip().replace("\\", "/")
    for meant in (name, name.strip(), slashed, slashed.removeprefix("./").removeprefix(f"{root}/"), unquote(name)):
        for form in (meant, unicodedata.normalize("NFC", meant), unicodedata.normalize("NFD", meant)):
            if form and form not in seen:
                seen.add(form)
                yield form


def _below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def _stores(root: str) -> Iterator[str]:
    """Where the tools that keep files in a store of their own, and links to it in folders, have that of a folder."""
    for folder in (Path(root), *Path(root).parents):
        if folder.parent.name == "snapshots":  # of Hugging Face's cache
            yield str(folder.parent.parent / "blobs")
        yield from (str(folder / store) for store in (".git/annex/objects", ".dvc/cache") if (folder / store).is_dir())


def _plain_file(path: str) -> bytes:
    # links were followed before, inside the root; a pipe must not make us wait
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        if found.st_size > MAX_BYTES:
            raise BadImage("image file is too large", f"{found.st_size:,} bytes")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


@dataclass
class Member:
    """What a tar has under a key: the places of the image and of a JSON, each (offset, size) in bytes."""

    image: tuple[int, int] | None = None
    note: tuple[int, int] | None = None


def index_tar(path: Path) -> dict[str, Member]:
    """Reads the headers of a tar once: key, the name without ending -> what there is.

    Only plain files count: what a link points to is not read. Of two images of a key the first counts.

    Raises:
        InputError: when it is missing, compressed, or damaged.
    """
    index: dict[str, Member] = {}
    for name, place in read_members(path):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            found = index.setdefault(stem, Member())
            found.image = found.image or place
        elif suffix.lower() == ".json" and place[1] <= MAX_NOTE_BYTES:
            index.setdefault(stem, Member()).note = place
    return index


def read_members(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields name and place, (offset, size) in bytes, of every plain file of a tar; what a link points to is not read.

    Raises:
        InputError: when it is missing, compressed, or damaged.
    """
    last, length = -1, 0
    try:
        length = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.offset <= last or not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"member {member.name[:100]!r} does not lie in the file")
                last = member.offset
                if member.isreg() and not member.issparse():
                    yield member.name.removeprefix("./"), (member.offset_data, member.size)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist, but images: tar looks for it beside the parquet file of the same name: "
            "bring it, or take the parquet file out of datasets.*.raw."
        ) from None
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is not a whole, uncompressed tar ({first_line(error)}): replace it, or take it, and a parquet "
            "file beside it, out of datasets.*.raw."
        ) from None


def column_chunks(file: pq.ParquetFile, name: str) -> list[pq.ColumnChunkMetaData]:
    """What the footer says of a column, all its parts, in every row group."""
    # not by the parts' paths: a column named a.b looks like a part of the column a
    parts: list[int] = []
    start = 0
    for field in file.schema_arrow:
        size = _parts(field.type)
        if field.name == name:
            parts += range(start, start + size)
        start += size
    groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
    return [group.column(part) for group in groups for part in parts]


def _parts(kind: pa.DataType) -> int:
    """In how many columns parquet stores values of a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return _parts(kind.storage_type)
    below = [kind.field(at).type for at in range(kind.num_fields)] if not pt.is_dictionary(kind) else []
    return sum(map(_parts, below)) if below else 1


def rows_per_batch(file: pq.ParquetFile, names: Sequence[str]) -> int:
    """How many rows of some columns to read at a time: fewer where they are large, by the sizes in the footer."""
    size = sum(chunk.total_uncompressed_size for name in names for chunk in column_chunks(file, name))
    per_row = max(1, size // max(1, file.metadata.num_rows))
    return max(1, min(ROWS_PER_BATCH, BYTES_PER_BATCH // per_row))


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
