"""Lists of samples that users bring, as of what a checkpoint was trained on, and which samples they mean."""

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
# of what is listed and not found, so many are looked for in other spellings
LOOKED_FOR = 1000
# where more is missing, nobody means to leave it out
HALF = 0.5


@dataclass(frozen=True)
class MemberList:
    """A file that lists samples.

    Attributes:
        key: of the configuration, for messages, as ``splits.default.roles.a``.
        path: parquet, CSV, TSV, or a text with one uid per line.
        column: of a table, where the uids are.
        max_missing: share of the list, in [0, 1], that the dataset may lack.
        of_images: whether the numbers of captions are left out, so that uids are those of images.
    """

    key: str
    path: Path
    column: str = "uid"
    max_missing: float = 0.01
    of_images: bool = False

    def read(self) -> set[str]:
        """The uids that are listed, each in its plain form, see :func:`plain`.

        Raises:
            InputError: when the file cannot be read, lacks the column, or lists nothing.
        """
        kind = self.path.suffix.lower()
        if kind == ".parquet":
            values = self._of_parquet()
        elif kind in TABLES:
            values = self._of_table()
        else:
            # not splitlines, which also splits at characters that a uid may hold
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
        # commas and tabs, or what Excel writes in many countries
        lines = csv.reader(text, delimiter=max(",;\t|", key="".join(text[:1]).count))
        try:
            header = [name.strip() for name in next(lines, [])]
            at = self._place(header)
            for line in lines:
                yield line[at] if at < len(line) else ""
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
        found = [at for at, name in enumerate(names) if name == self.column]
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"{self.path} has {'no column' if not found else 'several columns'} {self.column!r}"
            f"{'' if found else closest(self.column, names)}, but {', '.join(names)}: name the column of the uids as "
            f"{self.key}.uids_column, or give a text file with one uid per line."
        )


_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def plain(uid: str) -> str:
    """A uid as lists and samples are compared: in Unicode's form NFC, without white space around it."""
    return uid.strip() if uid.isascii() else unicodedata.normalize("NFC", uid).strip("\ufeff").strip()


@dataclass(frozen=True)
class Members:
    """The samples that a list means.

    Attributes:
        rows: int64 (n,), ascending.
        listed: number of uids in the list.
        missing: number of those that no sample has.
    """

    rows: np.ndarray
    listed: int
    missing: int


def find_members(members: MemberList, samples: Sequence[str | Path], most: int | None = None) -> Members:
    """Looks a list up in a dataset. Where every caption is a sample, an image's uid without number means all of them.

    Args:
        members: the list.
        samples: batch folders of the samples table; the columns row and uid will do.
        most: so many uids of a longer list are looked up, evenly spaced; then more may be missing than the allowed
            share, by as much as luck makes of it (three standard deviations).

    Raises:
        InputError: when more than the allowed share is missing: it would be taken for what is not listed.
    """
    every = wanted = members.read()
    allowed = members.max_missing * len(wanted)
    if most is not None and len(wanted) > most:
        ordered = sorted(wanted)
        wanted = {ordered[number * len(ordered) // most] for number in range(most)}
        allowed = most * members.max_missing + 3 * math.sqrt(most * members.max_missing * (1 - members.max_missing))
    store = SampleStore(samples)
    rows: list[np.ndarray] = []
    found: set[str] = set()
    for table in store.scan(["row", "uid"]):
        # Arrow's is_in would build its table of a long list anew for every part
        names = [name.to_pylist() for name in _plain_names(table["uid"])]
        listed = [one in wanted or other in wanted for one, other in zip(*names, strict=True)]
        rows.append(table["row"].to_numpy()[np.array(listed, dtype=bool)])
        found.update(*(wanted.intersection(name) for name in names))
    missing = sorted(wanted - found)
    if len(missing) > allowed:
        told = (
            f"{len(wanted):,}"
            if len(every) == len(wanted)
            else f"{len(wanted):,} that were looked for of {len(every):,}"
        )
        raise InputError(_too_many_missing(members, told, len(wanted), missing, store))
    return Members(np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *rows])), len(wanted), len(missing))


def _plain_names(uids: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Uids in their plain form, as they are, and without the number of a caption."""
    normal = pc.utf8_trim(pc.utf8_normalize(uids, form="NFC"), characters="\ufeff")
    trimmed = pc.utf8_trim_whitespace(normal)
    return trimmed, pc.replace_substring_regex(trimmed, "#[0-9]+$", "")


# what may be between a list's spelling of a uid and the dataset's
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


def _too_many_missing(members: MemberList, told: str, listed: int, missing: Sequence[str], store: SampleStore) -> str:
    share = len(missing) / listed
    return words(
        f"{members.key}.uids: {len(missing):,} of {told} uids of {members.path} ({share:.1%}) are not in the "
        f"dataset, for instance {missing[0]!r}; what is not found would be taken for samples that are not listed. "
        f"{_remedy(members, missing, store)}"
        + (
            f" If these samples really are not in the dataset, set {members.key}.max_missing to a share from "
            f"{share:.3f} on."
            if share < HALF
            else ""
        )
    )


def _remedy(members: MemberList, missing: Sequence[str], store: SampleStore) -> str:
    """What the list's spelling and the dataset's have to do with each other, by some examples."""
    tried: dict[tuple[str, str], str] = {}
    for spelling, change in _SPELLINGS.items():
        for uid in islice(missing, LOOKED_FOR):
            tried.setdefault((spelling, change(uid)), uid)
    example = ""
    names = (_plain_names(table["uid"]) for table in store.scan(["uid"]))
    for theirs, image in (
        pair for one, other in names for pair in zip(one.to_pylist(), other.to_pylist(), strict=True)
    ):
        example = example or theirs
        for spelling, change in _SPELLINGS.items():
            for name in (theirs, image):
                ours = tried.get((spelling, change(name))) or tried.get((spelling, name))
                if ours is not None and ours != name:
                    return words(
                        f"The list's {ours!r} is in the dataset as {name!r} ({spelling}): write the uids as the "
                        "dataset has them" + (", or bring the list as .csv with a header." if "," in ours else ".")
                    )
    if len(example) == 32 and set(example) <= set("0123456789abcdef"):
        return words(
            f"The dataset's uids are hashes of content, as {example!r}, since datasets.*.columns.key names no column: "
            "name the one that the list has the values of."
        )
    return words(f"The dataset has uids as {example!r}: write the list's in the same form.")
