"""Lists of uids that users bring, such as a checkpoint's training samples, and the samples that a list means."""

from __future__ import annotations

import codecs
import csv
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dejavu.data.raw import is_text
from dejavu.data.samples import SampleStore
from dejavu.errors import InputError, closest, words
from dejavu.files import first_line

TABLES = (".parquet", ".csv", ".tsv")
# number of missing uids that are compared with the dataset's in other spellings
LOOKED_FOR = 1000
# From this missing share on, the list is likely wrong, so the error does not suggest to raise max_missing.
HALF = 0.5


@dataclass(frozen=True)
class MemberList:
    """A file that lists samples.

    Attributes:
        key: key of the role in the configuration, for messages, such as ``splits.default.roles.a``.
        path: a file in parquet, CSV or TSV, or a text file with one uid per line.
        column: name of the column of uids, in a table.
        max_missing: largest share of the list, in [0, 1], that the dataset may lack.
        of_images: whether the number of a caption at a uid's end is dropped, so that the uids name images.
    """

    key: str
    path: Path
    column: str = "uid"
    max_missing: float = 0.01
    of_images: bool = False

    def read(self) -> set[str]:
        """Return the listed uids in the plain form of :func:`plain`.

        Raises:
            InputError: when the file cannot be read, lacks the column, or has no uid.
        """
        kind = self.path.suffix.lower()
        if kind == ".parquet":
            values = self._of_parquet()
        elif kind in TABLES:
            values = self._of_table()
        else:
            # splitlines() would also split at other characters, such as U+2028, which a uid may contain.
            values = (line.strip("\r") for line in self._text().split("\n"))
        uids = {uid for value in values if (uid := plain(value))}
        if not uids:
            raise InputError(f"{self.path} lists no uid: add one per line.")
        return {re.sub("#[0-9]+$", "", uid) for uid in uids} if self.of_images else uids

    def _text(self) -> str:
        try:
            data = self.path.read_bytes()
            for mark, encoding in _MARKS.items():
                if data.startswith(mark):
                    return data.decode(encoding)
            return data.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read as UTF-8 text ({first_line(error)}): mend it.") from None

    def _of_table(self) -> Iterator[str]:
        text = self._text().splitlines(keepends=True)
        # Besides commas and tabs there are semicolons, which Excel writes in many countries, and bars.
        lines = csv.reader(text, delimiter=max(",;\t|", key="".join(text[:1]).count))
        try:
            header = [name.strip() for name in next(lines, [])]
            place = self._place(header)
            for line in lines:
                yield line[place] if place < len(line) else ""
        except csv.Error as error:
            raise InputError(f"{self.path} line {lines.line_num} cannot be read ({error}): mend it.") from None

    def _of_parquet(self) -> Iterator[str]:
        try:
            with pq.ParquetFile(self.path) as file:
                schema = file.schema_arrow
                kind = schema.field(self._place(schema.names)).type
                kind = kind.value_type if pt.is_dictionary(kind) else kind
                if not (is_text(kind) or pt.is_integer(kind)):
                    raise InputError(
                        f"{self.path}: column {self.column!r} is {kind}, but uids are texts (string) or whole numbers: "
                        "write it anew as one of them (pandas makes numbers with a gap floats; dtype=str does not)."
                    )
                for batch in file.iter_batches(columns=[self.column]):
                    yield from (str(uid) for uid in batch.column(0).to_pylist() if uid is not None)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path} is not a whole parquet file ({first_line(error)}): replace it.") from None

    def _place(self, names: Sequence[str]) -> int:
        places = [place for place, name in enumerate(names) if name == self.column]
        if len(places) == 1:
            return places[0]
        raise InputError(
            f"{self.path} has {'no column' if not places else 'several columns'} {self.column!r}"
            f"{'' if places else closest(self.column, names)}; it has {', '.join(names)}: name the column of the uids "
            f"in {self.key}.uids_column, or give a text file with one uid per line."
        )


# byte order mark -> encoding; UTF-32's is tested before UTF-16's, which is its beginning
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def plain(uid: str) -> str:
    """Return the form of a uid in which lists and samples are compared: Unicode NFC, without white space around it."""
    return uid.strip() if uid.isascii() else unicodedata.normalize("NFC", uid).strip("\ufeff").strip()


@dataclass(frozen=True)
class Members:
    """The samples that a list means.

    Attributes:
        rows: int64 (n,), rows of the samples, ascending.
        listed: number of uids that were looked up.
        missing: number of these uids that no sample has.
    """

    rows: np.ndarray
    listed: int
    missing: int


def find_members(members: MemberList, samples: Sequence[str | Path], most: int | None = None) -> Members:
    """Look up the listed uids in a dataset.

    If every caption is a sample, the uid of an image without a caption's number means all samples of the image.

    Args:
        members: the list.
        samples: batch folders of the samples table, or of a table with its columns row and uid.
        most: of a longer list, only so many uids are looked up, evenly spaced. By chance, a larger share of these than
            of the list may be missing, so three standard deviations are added to the allowed share.

    Raises:
        InputError: when more than the allowed share is missing, since missing uids would count as not listed.
    """
    listed_uids = wanted = members.read()
    allowed = members.max_missing * len(wanted)
    if most is not None and len(wanted) > most:
        ordered = sorted(wanted)
        wanted = {ordered[number * len(ordered) // most] for number in range(most)}
        allowed = most * members.max_missing + 3 * math.sqrt(most * members.max_missing * (1 - members.max_missing))
    store = SampleStore(samples)
    rows: list[np.ndarray] = []
    present: set[str] = set()
    for table in store.scan(["row", "uid"]):
        # Arrow's is_in would build its hash table of a long list again for every part, so Python's set is faster.
        names = [name.to_pylist() for name in _plain_names(table["uid"])]
        is_listed = [name in wanted or image in wanted for name, image in zip(*names, strict=True)]
        rows.append(table["row"].to_numpy()[np.array(is_listed, dtype=bool)])
        present.update(*(wanted.intersection(name) for name in names))
    missing = sorted(wanted - present)
    if len(missing) > allowed:
        number = (
            f"{len(wanted):,}"
            if len(listed_uids) == len(wanted)
            else f"{len(wanted):,} that were looked for of {len(listed_uids):,}"
        )
        raise InputError(_too_many_missing(members, number, len(wanted), missing, store))
    return Members(np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *rows])), len(wanted), len(missing))


def _plain_names(uids: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return uids in their plain form, and the same without the number of a caption."""
    normal = pc.utf8_trim(pc.utf8_normalize(uids, form="NFC"), characters="\ufeff")
    trimmed = pc.utf8_trim_whitespace(normal)
    return trimmed, pc.replace_substring_regex(trimmed, "#[0-9]+$", "")


# how the dataset may spell a uid of the list -> the function that makes both spellings equal
_SPELLINGS: dict[str, Callable[[str], str]] = {
    words("in other case"): str.casefold,
    words("with zeros in front"): lambda uid: uid.lstrip("0"),
    words("as a whole number"): lambda uid: uid.removesuffix(".0"),
    words("without the file's ending"): lambda uid: _without_suffix(uid),
    words("without its folder"): lambda uid: PurePosixPath(uid.replace("\\", "/")).name,
    words("without folder and ending"): lambda uid: _without_suffix(PurePosixPath(uid.replace("\\", "/")).name),
    words("without quotation marks"): lambda uid: uid.strip("\"'"),
    words("without what follows its first comma, semicolon, tab or blank"): lambda uid: _first_field(uid),
}


def _without_suffix(uid: str) -> str:
    stem, dot, suffix = uid.rpartition(".")
    return stem if dot and suffix.isalnum() and len(suffix) <= 5 else uid


def _first_field(uid: str) -> str:
    for mark in ",;\t ":
        uid = uid.partition(mark)[0]
    return uid.strip("\"'")


def _too_many_missing(members: MemberList, number: str, listed: int, missing: Sequence[str], store: SampleStore) -> str:
    share = len(missing) / listed
    return words(
        f"{members.key}.uids: {len(missing):,} of {number} uids of {members.path} ({share:.1%}) are not in the "
        f"dataset, for instance {missing[0]!r}; their samples would count as not listed. "
        f"{_remedy(members, missing, store)}"
        + (
            f" If these samples really are not in the dataset, set {members.key}.max_missing to a share from "
            f"{share:.3f} on."
            if share < HALF
            else ""
        )
    )


def _remedy(members: MemberList, missing: Sequence[str], store: SampleStore) -> str:
    """Return a sentence on how the list's spelling of uids differs from the dataset's, and what to do."""
    tried: dict[tuple[str, str], str] = {}
    for spelling, change in _SPELLINGS.items():
        for uid in islice(missing, LOOKED_FOR):
            tried.setdefault((spelling, change(uid)), uid)
    example = ""
    names = (_plain_names(table["uid"]) for table in store.scan(["uid"]))
    for uid_there, image in (
        pair for uids, images in names for pair in zip(uids.to_pylist(), images.to_pylist(), strict=True)
    ):
        example = example or uid_there
        for spelling, change in _SPELLINGS.items():
            for name in (uid_there, image):
                listed = tried.get((spelling, change(name))) or tried.get((spelling, name))
                if listed is not None and listed != name:
                    return words(
                        f"The list's {listed!r} is in the dataset as {name!r} ({spelling}): write the uids as the "
                        "dataset has them" + (", or bring the list as .csv with a header." if "," in listed else ".")
                    )
    if len(example) == 32 and set(example) <= set("0123456789abcdef"):
        return words(
            f"The dataset's uids are hashes of content, such as {example!r}, since datasets.*.columns.key names no "
            "column: name the column that has the uids of the list."
        )
    return words(f"The dataset has uids such as {example!r}: write the list's uids in the same form.")
