"""Words of texts in any script, in one spelling, with the places where they stand."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dejavu.memorization.scripts import UNSPACED


def _class(codes: set[int]) -> str:
    """Characters as the inside of a character class, neighbours as a range."""
    ordered = sorted(codes)
    firsts = [code for code in ordered if code - 1 not in codes]
    lasts = [code for code in ordered if code + 1 not in codes]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(firsts, lasts, strict=True))


# accents, vowel signs and the like belong to the letter before them, which \\w does not say
_MARK_CODES = {code for code in range(0x300, 0x1E950) if unicodedata.category(chr(code)) in ("Mn", "Mc")}
# optional code points: Arabic and Hebrew vowel signs, tatweel, soft hyphens, joiners, variation selectors
_OPTIONAL_CODES = {
    *(code for code in range(0x591, 0x6EE) if code in _MARK_CODES),
    *(0x640, 0xAD, 0x200D, 0x2060, 0xFEFF),
    *range(0xFE00, 0xFE10),
}
_OPTIONAL = re.compile(f"[{_class(_OPTIONAL_CODES)}]+")
_MARKS = _class(_MARK_CODES)
_LETTER = rf"(?:[^\W_]|[{_MARKS}])"
_SPACED = rf"(?!{UNSPACED.pattern}){_LETTER}"
# a letter of a script without blanks, with its marks and what the sign before it puts under it (Khmer, Burmese)
_SYLLABLE = rf"{UNSPACED.pattern.removesuffix('+')}(?:[{_MARKS}]|(?<=[\u17d2\u1039]){_LETTER})*"
_WORD = re.compile(rf"{_SYLLABLE}|(?:{_SPACED})+(?:'(?:{_SPACED})+)*")
# the same with words of scripts without blanks whole, as a label is shown
WORD = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)*")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_APOSTROPHES = str.maketrans("\u2019\u02bc", "''")
# a character with all that composes with it: marks, the rest of a Korean syllable, voicing of narrow Japanese
_CLUSTER = re.compile(rf".[{_MARKS}\u1160-\u11ff\uff9e\uff9f]*", re.DOTALL)


def fold(text: str) -> str:
    """A text in Unicode NFKC, case folded, without signs that are written at will, with straight apostrophes."""
    if text.isascii():
        return text.lower()
    return _OPTIONAL.sub("", unicodedata.normalize("NFKC", text).casefold()).translate(_APOSTROPHES)


def words_of(text: str) -> list[str]:
    """The words of a text, folded; in scripts without blanks between words every letter, with its marks, is one."""
    folded = fold(text)
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


@dataclass(frozen=True)
class Places:
    """The words of a text, as of :func:`words_of`, and where they stand: word i is ``text[starts[i]:stops[i]]``."""

    words: list[str]
    starts: list[int]
    stops: list[int]


def places_of(text: str) -> Places:
    """The words of a text with their places in it."""
    if text.isascii():
        found = list(_ASCII_WORD.finditer(text.lower()))
        return Places([m[0] for m in found], [m.start() for m in found], [m.end() for m in found])
    parts: list[str] = []
    first: list[int] = []
    last: list[int] = []
    for cluster in _CLUSTER.finditer(text):
        part = fold(cluster[0])
        parts.append(part)
        first += [cluster.start()] * len(part)
        last += [cluster.end()] * len(part)
    found = list(_WORD.finditer("".join(parts)))
    return Places([m[0] for m in found], [first[m.start()] for m in found], [last[m.end() - 1] for m in found])


def cut(text: str, spans: list[tuple[int, int]]) -> str:
    """A text without some of its parts, blanks squeezed; words of scripts with blanks never grow together.

    Args:
        text: any text.
        spans: (start, stop) of each part, ascending and apart.
    """
    kept = ""
    before = 0
    for start, stop in [*spans, (len(text), len(text))]:
        part = text[before:start]
        joined = kept and part and UNSPACED.match(kept[-1]) and UNSPACED.match(part[0])
        kept += part if joined or not kept else f" {part}"
        before = stop
    return " ".join(kept.split())
