"""Encoded images of a raw file: in its column, in files that the column names, or in a tar beside the raw file."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from dejavu.data.images import BadImage
from dejavu.data.tars import Member, index_tar, tar_beside

MAX_BYTES = 256 * 2**20

# metadata key of a samples file with store: reference; its value is the place of the images
REFERENCE = b"dejavu.images"

# (path, size in bytes, modification time in ns) of a file; size and time are -1 if it does not exist
Stamp = tuple[str, int, int]


def stamp(path: str | Path) -> Stamp:
    """Return the stamp of a file: path, size and modification time, which change when the file does."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return str(path), -1, -1
    return str(path), status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Place:
    """The place of one raw file's images.

    Attributes:
        raw: path of the raw parquet file.
        column: its column of image bytes, of structs ``{bytes, path}``, of paths, or of the keys of a tar's members.
        tar: whether the images are in the tar beside the raw file.
        root: folder that paths are relative to, and may not lead out of.
        links: further folders that links below the root may lead into.
    """

    raw: str
    column: str
    tar: bool
    root: str
    links: Sequence[str] = ()

    def noted(self) -> dict[bytes, bytes]:
        """Return the place as metadata of a samples file that only references its images."""
        return {REFERENCE: json.dumps(asdict(self), sort_keys=True).encode()}

    @classmethod
    def read_from(cls, metadata: dict[bytes, bytes] | None) -> Place | None:
        """Return the place in the metadata of a samples file; None where the file contains its images."""
        noted = (metadata or {}).get(REFERENCE)
        return None if noted is None else cls(**json.loads(noted))


class ImageSource:
    """Reads the encoded images of one raw file.

    Attributes:
        visited: stamps of the image files that were opened or searched, taken at that moment.
        escaped: whether a path was refused because it leads out of the root.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.visited: list[Stamp] = []
        self.escaped = False
        self._root = os.path.realpath(place.root)
        self._looked_up = 0

    def read(self, value: object) -> bytes:
        """Return the encoded image that a value of the image column contains or names.

        Raises:
            BadImage: when there is no image, or its path leads out of the root.
            InputError: when the tar is missing or damaged.
        """
        if self.place.tar:
            data = self._member(value)
        elif isinstance(value, dict):
            content = value.get("bytes")
            data = content if isinstance(content, bytes) else self._file(value.get("path"))
        else:
            data = value if isinstance(value, bytes) else self._file(value)
        if not data:
            raise BadImage("image is missing", "it has no bytes")
        if len(data) > MAX_BYTES:
            raise BadImage("image file is too large", f"{len(data):,} bytes")
        return data

    def _member(self, key: object) -> bytes:
        member = self._index.get(str(key))
        if member is None or member.image is None:
            raise BadImage("image is missing", f"{os.path.basename(self._tar_path)} has no image of key {str(key)!r}")
        if member.image[1] > MAX_BYTES:
            raise BadImage("image file is too large", f"{member.image[1]:,} bytes")
        return self._at(*member.image)

    @property
    def has_notes(self) -> bool:
        """Whether the tar has a JSON member beside an image."""
        return any(member.note for member in self._index.values())

    def note(self, key: object) -> bytes | None:
        """Return the JSON member of a key in the tar; None where the key has none."""
        member = self._index.get(str(key))
        return None if member is None or member.note is None else self._at(*member.note)

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
        reason = "is no path"
        for spelled in _spellings(name, os.path.basename(self.place.root)) if "\0" not in name else ():
            path = self._inside(spelled)
            self.visited.append(stamp(path))
            try:
                return _plain_file(path)
            except OSError as error:
                if spelled == name or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    reason = f"is not in {self.place.root}" if error.errno == errno.ENOENT else f"{error.strerror}"
        raise BadImage("image is missing", f"{shown} {reason}{self._similar_name(name)}")

    def _similar_name(self, name: str) -> str:
        """Return words about a file whose name differs in case only; look it up for the first few missing files."""
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
            names = sorted(entry for entry in os.listdir(folder) if entry.casefold() == base.casefold())
            return f", but {names[0]!r} is" if names else ""
        return ""

    def _inside(self, name: str) -> str:
        """Return the real path of a file, which must be below the root, or in a folder that links may lead to."""
        path = os.path.realpath(os.path.join(self._root, name))
        named = os.path.normpath(os.path.join(self._root, name))
        linked = self._is_below(named) and path != named and any(_below(path, folder) for folder in self._linked)
        if self._is_below(path) or linked:
            return path
        self.escaped = True
        if self._is_below(named):
            remedy = f"{name[:200]!r} is a link to {path}: name the folder that it leads into in image_links"
            raise BadImage("image is a link out of its root", remedy)
        raise BadImage("image path leaves its root", f"{name[:200]!r} is not below {self.place.root}")

    def _is_below(self, path: str) -> bool:
        return _below(path, self._root)

    @cached_property
    def _linked(self) -> list[str]:
        return [os.path.realpath(folder) for folder in (*self.place.links, *_stores(self._root))]


# number of missing files for which the folder is searched for a similar name
LOOKED_UP = 10
_ADDRESS = re.compile(r"(https?|ftp|s3|gs|az|hf|data):", re.IGNORECASE)
# The base64 of a JPEG, of a PNG and of a WebP begins with one of these.
_ENCODED = ("/9j/", "iVBORw0KGgo", "UklGR")


def _embedded(text: str) -> bytes | None:
    """Return the image that a text contains as base64 or as a data address; None for any other text."""
    header = re.match(r"data:image/[a-z+.-]+;base64,", text[:64])
    encoded = text[header.end() :] if header else text
    if header or (len(encoded) > 64 and encoded.startswith(_ENCODED)):
        with suppress(ValueError):
            return base64.b64decode("".join(encoded.split()), validate=True)
    return None


def _spellings(name: str, root: str) -> Iterator[str]:
    """Yield a path as written, and then other spellings of it, which are tried if no file has the earlier ones.

    Args:
        name: the path as written.
        root: name of the folder that the path is relative to; the path may wrongly begin with it.
    """
    if name.startswith("file://"):
        name = unquote(name.removeprefix("file://").removeprefix("localhost"))
    seen: set[str] = set()
    slashed = name.strip().replace("\\", "/")
    for path in (name, name.strip(), slashed, slashed.removeprefix("./").removeprefix(f"{root}/"), unquote(name)):
        for form in (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)):
            if form and form not in seen:
                seen.add(form)
                yield form


def _below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def _stores(root: str) -> Iterator[str]:
    """Yield folders that links in ``root`` may lead to: the stores of Hugging Face, git-annex and DVC."""
    for folder in (Path(root), *Path(root).parents):
        if folder.parent.name == "snapshots":  # a folder in Hugging Face's cache
            yield str(folder.parent.parent / "blobs")
        yield from (str(folder / store) for store in (".git/annex/objects", ".dvc/cache") if (folder / store).is_dir())


def _plain_file(path: str) -> bytes:
    # The path is already resolved, so a link here was put in since and must not be followed. Opening a pipe must not
    # block.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        if status.st_size > MAX_BYTES:
            raise BadImage("image file is too large", f"{status.st_size:,} bytes")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)
