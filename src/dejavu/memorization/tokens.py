"""The words of texts in any script, in one spelling, with their places in the text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dejavu.memorization.scripts import UNSPACED


def _class(codes: set[int]) -> str:
    """Return the inside of a regular expression's character class; adjacent code points become a range."""
    ordered = sorted(codes)
    firsts = [code for code in ordered if code - 1 not in codes]
    lasts = [code for code in ordered if code + 1 not in codes]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(firsts, lasts, strict=True))


# Combining marks (accents, vowel signs) belong to the letter before them, but \\w does not match them.
_MARK_CODES = {code for code in range(0x300, 0x1E950) if unicodedata.category(chr(code)) in ("Mn", "Mc")}
# Code points that writers may omit: Arabic and Hebrew vowel signs, tatweel, soft hyphens, joiners, variation selectors.
_OPTIONAL_CODES = {
    *(code for code in range(0x591, 0x6EE) if code in _MARK_CODES),
    *(0x640, 0xAD, 0x200D, 0x2060, 0xFEFF),
    *range(0xFE00, 0xFE10),
}
_OPTIONAL = re.compile(f"[{_class(_OPTIONAL_CODES)}]+")
_MARKS = _class(_MARK_CODES)
_LETTER = rf"(?:[^\W_]|[{_MARKS}])"
_SPACED = rf"(?!{UNSPACED.pattern}){_LETTER}"
# One letter of a script without blanks, with its marks and with the letters that a stacking sign of Khmer (17d2) or
# Burmese (1039) puts below it.
_SYLLABLE = rf"{UNSPACED.pattern.removesuffix('+')}(?:[{_MARKS}]|(?<=[\u17d2\u1039]){_LETTER})*"
_WORD = re.compile(rf"{_SYLLABLE}|(?:{_SPACED})+(?:'(?:{_SPACED})+)*")
# A word of a label: a sequence of letters is one word also in scripts without blanks.
WORD = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)*")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_APOSTROPHES = str.maketrans("\u2019\u02bc", "''")
# A character with the characters that compose with it: marks, the rest of a Korean syllable, voicing marks of
# half-width Japanese. Folding may compose them, so they are folded together.
_CLUSTER = re.compile(rf".[{_MARKS}\u1160-\u11ff\uff9e\uff9f]*", re.DOTALL)


def fold(text: str) -> str:
    """Return a text in Unicode NFKC, case folded, with straight apostrophes and without optional code points."""
    if text.isascii():
        return text.lower()
    return _OPTIONAL.sub("", unicodedata.normalize("NFKC", text).casefold()).translate(_APOSTROPHES)


def words_of(text: str) -> list[str]:
    """Return the folded words of a text; in scripts without blanks, every letter with its marks is a word."""
    folded = fold(text)
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


@dataclass(frozen=True)
class Places:
    """The words of a text, as from :func:`words_of`, and their places: word i is ``text[starts[i]:stops[i]]``."""

    words: list[str]
    starts: list[int]
    stops: list[int]


def places_of(text: str) -> Places:
    """Return the words of a text with their places in it."""
    if text.isascii():
        matches = list(_ASCII_WORD.finditer(text.lower()))
        return Places([m[0] for m in matches], [m.start() for m in matches], [m.end() for m in matches])
    parts: list[str] = []
    first: list[int] = []
    last: list[int] = []
    for cluster in _CLUSTER.finditer(text):
        part = fold(cluster[0])
        parts.append(part)
        first += [cluster.start()] * len(part)
        last += [cluster.end()] * len(part)
    matches = list(_WORD.finditer("".join(parts)))
    return Places([m[0] for m in matches], [first[m.start()] for m in matches], [last[m.end() - 1] for m in matches])


def cut(text: str, spans: list[tuple[int, int]]) -> str:
    """Return a text without some of its parts, blanks squeezed; a blank replaces a part between two words.

    No blank is needed between two letters of a script without blanks.

    Args:
        text: any text.
        spans: (start, stop) of each part to remove, ascending and not overlapping.
    """
    kept = ""
    before = 0
    for start, stop in [*spans, (len(text), len(text))]:
        part = text[before:start]
        joined = kept and part and UNSPACED.match(kept[-1]) and UNSPACED.match(part[0])
        kept += part if joined or not kept else f" {part}"
        before = stop
    return " ".join(kept.split())
