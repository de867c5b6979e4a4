"""Makes raw parquet of a set that nobody here drew: Debian's packages openclipart-svg and openclipart-png.

The SVG files say in their RDF what they show: a title, keywords, the author and the licence. The PNG files are the
pictures. Every drawing becomes a row: ``id`` (its path), ``image`` (PNG), ``caption`` (the title) and ``objects`` (the
keywords). What is left out is counted, with the reason. The same packages give the same rows, whatever the clock says.

    PYTHONPATH=src .venv/bin/python examples/openclipart.py /usr/share/openclipart openclipart

docs/guides/openclipart.md says where the packages come from and what the set is good for.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import pyarrow as pa
from PIL import Image

from dejavu.data.images import BadImage, open_image
from dejavu.errors import InputError
from dejavu.files import write_table
from dejavu.progress import Progress

SIDE = 224
MIN_KEYWORDS = 2
# a title of more drawings than this names a collection, as "Lemon SVG theme", and not what one of them shows
MAX_SHARED = 12
MAX_SVG = 10 << 20
# where a drawing was filed, and what a faulty export wrote in place of a keyword
NO_OBJECTS = {"hash", "unsorted"}
ROWS_PER_PART = 200
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("image", pa.binary()),
        pa.field("caption", pa.string()),
        pa.field("objects", pa.list_(pa.string())),
    ]
)


class LeftOut(Exception):
    """Why a drawing is not in the set."""


@dataclass
class Drawing:
    """What an SVG file says of itself.

    Attributes:
        title: with single blanks, or empty.
        keywords: distinct, in small letters, without the author's name, in alphabetical order.
        public_domain: whether its licence is that.
    """

    title: str
    keywords: list[str]
    public_domain: bool


# metadata of SVG files from strangers


@dataclass
class _Work:
    """Collects the texts of the first ``Work`` of an RDF, by the path of local names below it."""

    texts: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    licences: list[str] = field(default_factory=list)
    _path: list[str] | None = None
    _over: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if self._path is None:
            self._path = [] if name == "Work" and not self._over else None
            return
        self._path.append(name)
        self.texts.setdefault(tuple(self._path), []).append("")
        if name == "license":
            self.licences += [value for key, value in attributes.items() if _local(key) == "resource"]

    def text(self, text: str) -> None:
        if self._path:
            self.texts[tuple(self._path)][-1] += text

    def end(self, _name: str) -> None:
        if self._path:
            self._path.pop()
        elif self._path is not None:
            self._path, self._over = None, True


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _refuse_entity(*_declaration: object) -> None:
    raise LeftOut("the SVG declares entities, which may expand without end")


def read_drawing(data: bytes) -> Drawing:
    """Reads the metadata of an SVG file that may come from anyone.

    Nothing is fetched, and no entity is ever expanded: a file that declares one is refused at the declaration.

    Args:
        data: the file's bytes.

    Raises:
        LeftOut: when the file is too large, declares entities, or is not well-formed.
    """
    if len(data) > MAX_SVG:
        raise LeftOut("the SVG is larger than 10 MiB")
    work = _Work()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.EntityDeclHandler = _refuse_entity
    parser.StartElementHandler = work.start
    parser.EndElementHandler = work.end
    parser.CharacterDataHandler = work.text
    try:
        parser.Parse(data, True)
    # an encoding that is not known is a LookupError
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise LeftOut("the SVG is not well-formed") from error
    titles = work.texts.get(("title",), [])
    creators = {_plain(name) for name in work.texts.get(("creator", "Agent", "title"), [])}
    return Drawing(
        title=" ".join(titles[0].split()) if titles else "",
        keywords=_keywords(work.texts.get(("subject", "Bag", "li"), []), creators),
        public_domain=any("publicdomain" in licence.casefold() for licence in work.licences),
    )


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _keywords(given: list[str], creators: set[str]) -> list[str]:
    """Keywords that may say what is seen: an author's name does not, nor a number or a single letter."""
    plain = {_plain(word) for entry in given for word in re.split("[,;]", entry)}
    return sorted(word for word in plain - creators - NO_OBJECTS if re.search(r"[^\W\d_]{2}", word))


# pictures


def picture(data: bytes) -> bytes:
    """A PNG as it goes into the set: a square of at most :data:`SIDE` pixels, with the drawing on white.

    Many drawings are a small thing on a large transparent page, so what is transparent around them is cut off. The
    square is filled up with white, since training takes the central square of an image.

    Raises:
        LeftOut: when it cannot be decoded, has more than 100 million pixels, or shows nothing.
    """
    try:
        image = open_image(data).convert("RGBA")
    except BadImage as error:
        raise LeftOut(f"the PNG: {error.reason}") from error
    except Exception as error:  # whatever Pillow raises for pixels that are damaged
        raise LeftOut("the PNG: image cannot be decoded") from error
    box = image.getchannel("A").getbbox() or (0, 0, 1, 1)
    width, height = box[2] - box[0], box[3] - box[1]
    side = min(SIDE, max(width, height))
    width, height = (max(1, round(length * side / max(width, height))) for length in (width, height))
    drawing = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    square = Image.new("RGB", (side, side), "white")
    square.paste(drawing, ((side - width) // 2, (side - height) // 2), mask=drawing)
    if all(low == high for low, high in square.getextrema()):
        raise LeftOut("the PNG has one colour only")
    buffer = io.BytesIO()
    square.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


# the set


def find_folder(given: Path) -> Path:
    """The folder with ``svg`` and ``png``: the one that is given, or where ``dpkg -x`` puts it below that.

    Raises:
        InputError: when neither has both.
    """
    for folder in (given, given / "usr" / "share" / "openclipart"):
        if (folder / "svg").is_dir() and (folder / "png").is_dir():
            return folder.resolve()
    raise InputError(
        f"{given} has no folders svg and png: unpack both packages there, with "
        f"`dpkg -x openclipart-svg_*.deb {given}` and `dpkg -x openclipart-png_*.deb {given}`."
    )


def read_all(folder: Path, left_out: Counter[str]) -> dict[str, Drawing]:
    """What every SVG file says of itself, by its path below ``svg`` without ending, in the order of the paths.

    Args:
        folder: see :func:`find_folder`.
        left_out: counts, by reason, what is not among them.
    """
    drawings: dict[str, Drawing] = {}
    files = sorted((folder / "svg").rglob("*.svg"), key=lambda path: path.relative_to(folder).as_posix())
    progress = Progress("openclipart", len(files), "SVG files")
    for path in files:
        progress.advance(1)
        name = path.relative_to(folder / "svg").with_suffix("").as_posix()
        try:
            if path.is_symlink():
                raise LeftOut("a link to another drawing")
            if any(part.endswith("-theme") for part in name.split("/")[:-1]):
                raise LeftOut("an icon theme")
            drawings[name] = read_drawing(path.read_bytes())
        except LeftOut as reason:
            left_out[str(reason)] += 1
    progress.finish()
    return drawings


def rows(folder: Path, drawings: dict[str, Drawing], left_out: Counter[str]) -> Iterator[dict]:
    """The rows of the set, with :data:`SCHEMA`'s columns.

    Args:
        folder: see :func:`find_folder`.
        drawings: see :func:`read_all`.
        left_out: counts, by reason, the drawings that are no row.
    """
    shared = Counter(_plain(drawing.title) for drawing in drawings.values())
    progress = Progress("openclipart", len(drawings), "drawings")
    for name, drawing in drawings.items():
        progress.advance(1)
        try:
            _require_described(drawing, shared[_plain(drawing.title)])
            image = picture(_png_of(folder / "png", name))
        except LeftOut as reason:
            left_out[str(reason)] += 1
            continue
        yield {"id": name, "image": image, "caption": drawing.title, "objects": drawing.keywords}
    progress.finish()


def _require_described(drawing: Drawing, shared: int) -> None:
    if not drawing.public_domain:
        raise LeftOut("the SVG does not say that it is in the public domain")
    if not drawing.title:
        raise LeftOut("no title")
    if shared > MAX_SHARED:
        raise LeftOut(f"a title that more than {MAX_SHARED} drawings have")
    if len(drawing.keywords) < MIN_KEYWORDS:
        raise LeftOut(f"fewer than {MIN_KEYWORDS} keywords")


def _png_of(folder: Path, name: str) -> bytes:
    """The PNG of a drawing; the packages hold equal ones once, with links, of which none may lead out of the folder."""
    path = (folder / f"{name}.png").resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise LeftOut("no PNG")
    return path.read_bytes()


def make(given: Path, output: Path) -> tuple[int, Counter[str]]:
    """Writes ``openclipart.parquet`` into a folder.

    Returns:
        The number of rows, and how many drawings were left out, by reason.

    Raises:
        InputError: when the packages are not there, or nothing of them can be used.
    """
    folder, left_out, number = find_folder(given), Counter[str](), 0
    drawings = read_all(folder, left_out)

    def parts() -> Iterator[pa.Table]:
        nonlocal number
        part: list[dict] = []
        for row in rows(folder, drawings, left_out):
            part.append(row)
            number += 1
            if len(part) == ROWS_PER_PART:
                yield pa.Table.from_pylist(part, schema=SCHEMA)
                part = []
        if not number:
            raise InputError(f"{folder} has no drawing that can be used:\n{described(0, left_out)}")
        yield pa.Table.from_pylist(part, schema=SCHEMA)

    output.mkdir(parents=True, exist_ok=True)
    write_table(output / "openclipart.parquet", parts(), SCHEMA, ROWS_PER_PART)
    return number, left_out


def described(number: int, left_out: Counter[str]) -> str:
    """The account of a set, a line for each reason, the commonest first."""
    lines = [f"{number + left_out.total():>6,}  SVG files and links to them", f"{number:>6,}  drawings in the set"]
    reasons = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(lines + [f"{count:>6,}  left out: {reason}" for reason, count in reasons])


def main(arguments: list[str]) -> None:
    """Makes the set and prints what is in it and what was left out."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument(
        "folder", type=Path, help="where both packages are: /usr/share/openclipart, or what dpkg -x made"
    )
    parser.add_argument("output", type=Path, help="folder to write openclipart.parquet into")
    given = parser.parse_args(arguments)
    try:
        print(described(*make(given.folder, given.output)))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
