"""Tables of words: English singulars, the words by which captions name a label, and nouns that stand as adjectives.

The tables are text files in this folder, for people to read and correct.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from dejavu.memorization.tokens import words_of

# Adjacent words, each in its singular.
Phrase = tuple[str, ...]
FOLDER = Path(__file__).parent

# Rules for plurals: pattern, number of letters to cut off, letters to put in their place. The first match counts.
_RULES = tuple(
    (re.compile(pattern), cut, put)
    for pattern, cut, put in (
        # firemen, women
        (r"[a-z]{2}men$", 2, "an"),
        # glass, bus, tennis: already singular
        (r"(ss|us|is)$", 0, ""),
        # ties; the next rule is for berries
        (r"^.ies$", 1, ""),
        (r"ies$", 3, "y"),
        # churches, brushes, boxes, glasses, quizzes
        (r"(ch|sh|x|ss|zz)es$", 2, ""),
        # houses, pauses; the next rule is for walruses
        (r"[ao]uses$", 1, ""),
        (r"uses$", 2, ""),
        # potatoes; shoes is in the table
        (r"oes$", 2, ""),
        (r"s$", 1, ""),
    )
)


@cache
def _irregular() -> dict[str, str]:
    table: dict[str, str] = {}
    for singular, forms in _lines("plurals.txt"):
        table |= dict.fromkeys([singular, *forms.split()], singular)
    return table


@lru_cache(maxsize=1_000_000)
def singular_of(word: str) -> str:
    """Return the singular of a folded English word: from ``plurals.txt`` if it lists the word, otherwise by its ending.

    Words that are no plural stay as they are, and so do words of up to three letters and words of other scripts.
    """
    known = _irregular().get(word)
    if known is not None:
        return known
    if len(word) > 3 and word.endswith(("s", "men")):
        for pattern, cut, put in _RULES:
            if pattern.search(word):
                return word[: len(word) - cut] + put
    return "man" if word == "men" else word


# Possessives (dog's) and elided articles (l'orange). In other words, the part before an apostrophe belongs to the word.
_POSSESSIVE = re.compile(r"'s?$")
_ELIDED = re.compile(r"^(?:qu|[cdjlmnst])'(?=..)")
# Korean joins to the end of a noun: a plural suffix, then a particle.
_KOREAN = re.compile(
    r"(?<=[\uac00-\ud7a3])(?:들)?(?:이|가|은|는|을|를|의|에|에서|에게|께|한테|와|과|도|만|으로|로|이랑|랑|하고|이나|나|부터|까지|처럼|보다|마다|이다)?$"
)
# Arabic and Hebrew join to the front of a noun: and, in, as, for, the.
_JOINED = re.compile(r"^(?:[وف]?(?:[بك]?ال|لل)|[وفبكل](?=[\u0621-\u064a]{3})|[והבלכמש](?=[א-ת]{2}))")


def plain(word: str) -> str:
    """Return a word of :func:`dejavu.memorization.tokens.words_of` in its singular, without possessive or article."""
    if "'" in word:
        word = _ELIDED.sub("", _POSSESSIVE.sub("", word)) or word
    return singular_of(word)


@lru_cache(maxsize=1_000_000)
def readings(word: str) -> tuple[str, ...]:
    """Return the possible plain forms of a word; in Korean, Arabic and Hebrew also without joined particles."""
    if word.isascii():
        return (plain(word),)
    forms = [plain(word)]
    for joined in (_KOREAN, _JOINED):
        # A noun has at most two joined parts: a plural with a particle, or an "and" with a "the".
        for _ in range(2):
            forms.append(joined.sub("", forms[-1], count=1))
    return tuple(dict.fromkeys(forms))


def phrase_of(text: str) -> Phrase:
    """Return the plain words of a text."""
    return tuple(plain(word) for word in words_of(text))


@dataclass(frozen=True)
class CaptionWords:
    """The meanings of words in captions.

    Attributes:
        names: phrase -> all phrases that it names, itself included: man names man and person.
        apart: phrases that do not name what their last word names, such as hot dog.
        adjectives: word that may be a noun or an adjective, such as orange -> nouns before which it is no adjective.
        colours: words that show a word of ``adjectives`` before them to be an adjective, as in orange and white.
    """

    names: Mapping[Phrase, frozenset[Phrase]]
    apart: frozenset[Phrase]
    adjectives: Mapping[str, frozenset[str]]
    colours: frozenset[str]

    def is_adjective(self, words: list[str], place: int) -> bool:
        """Return whether the word at ``place`` is listed in ``adjectives`` and stands before a noun as an adjective."""
        if words[place] not in self.adjectives or place + 1 == len(words):
            return False
        after = plain(words[place + 1])
        if after in ("and", "or", "with"):
            return after != "with" and place + 2 < len(words) and plain(words[place + 2]) in self.colours
        return after not in self.adjectives[words[place]] and (after in self.colours or (after,) in self.names)


@cache
def shipped() -> CaptionWords:
    """Return the tables of this folder, read once per process."""
    named_by: defaultdict[Phrase, set[Phrase]] = defaultdict(set)
    alone: defaultdict[Phrase, set[Phrase]] = defaultdict(set)
    phrases: set[Phrase] = set()
    for label, words in _lines("names.txt"):
        phrases.add(phrase_of(label))
        for word in filter(None, map(str.strip, words.split(","))):
            phrases.add(phrase_of(word))
            (alone if word.startswith("~") else named_by)[phrase_of(word)].add(phrase_of(label))
    apart = frozenset(phrase_of(line) for line in _texts("apart.txt"))
    adjectives = {word: frozenset(phrase_of(nouns)) for word, nouns in _lines("adjectives.txt")}
    return CaptionWords(
        {phrase: _upward(phrase, named_by, alone[phrase]) for phrase in phrases | apart},
        apart,
        adjectives,
        adjectives.pop("*"),
    )


def _upward(phrase: Phrase, named_by: Mapping[Phrase, set[Phrase]], alone: set[Phrase]) -> frozenset[Phrase]:
    """Return all that a phrase names: itself, its labels in ``alone``, and those that ``named_by`` leads to."""
    named = {phrase}
    waiting = [phrase, *alone]
    while waiting:
        following = waiting.pop()
        named.add(following)
        waiting += named_by.get(following, set()) - named
    return frozenset(named)


def _texts(name: str) -> Iterator[str]:
    """Yield the lines of a table, without comments and empty lines."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _lines(name: str) -> Iterator[tuple[str, str]]:
    """Yield the part before and the part after the colon of each line of a table."""
    for line in _texts(name):
        left, colon, right = line.partition(":")
        if not colon:
            raise ValueError(f"{name}: {line!r} has no colon")
        yield left.strip(), right.strip()
