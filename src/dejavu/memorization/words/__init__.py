"""English words: their singulars, which words of a caption name a label, and which words are adjectives before a noun.

The tables are text files in this folder, made to be read and corrected by people.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from dejavu.memorization.tokens import words_of

# words in their singular that stand together
Phrase = tuple[str, ...]
FOLDER = Path(__file__).parent

# endings of plurals in order, the first that fits counts: what is cut off, and what is put in its place
_RULES = tuple(
    (re.compile(pattern), cut, put)
    for pattern, cut, put in (
        # firemen, women
        (r"[a-z]{2}men$", 2, "an"),
        # glass, bus, tennis: already singular
        (r"(ss|us|is)$", 0, ""),
        # ties, berries
        (r"^.ies$", 1, ""),
        (r"ies$", 3, "y"),
        # churches, brushes, boxes, glasses, quizzes
        (r"(ch|sh|x|ss|zz)es$", 2, ""),
        # houses and pauses, but walruses
        (r"[ao]uses$", 1, ""),
        (r"uses$", 2, ""),
        # potatoes, but shoes, which the table has
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
    """The singular of an English word, folded: from ``plurals.txt`` where it stands there, else by its ending.

    What is no plural stays as it is, and so do words of up to three letters and words that end in no letter of English.
    """
    known = _irregular().get(word)
    if known is not None:
        return known
    if len(word) > 3 and word.endswith(("s", "men")):
        for pattern, cut, put in _RULES:
            if pattern.search(word):
                return word[: len(word) - cut] + put
    return "man" if word == "men" else word


# dog's and l'orange; what is before the apostrophe of other words belongs to them
_POSSESSIVE = re.compile(r"'s?$")
_ELIDED = re.compile(r"^(?:qu|[cdjlmnst])'(?=..)")
# what Korean joins to a noun: plural, then a particle
_KOREAN = re.compile(
    r"(?<=[\uac00-\ud7a3])(?:들)?(?:이|가|은|는|을|를|의|에|에서|에게|께|한테|와|과|도|만|으로|로|이랑|랑|하고|이나|나|부터|까지|처럼|보다|마다|이다)?$"
)
# what Arabic and Hebrew join to the front of a noun: and, in, as, for, the
_JOINED = re.compile(r"^(?:[وف]?(?:[بك]?ال|لل)|[وفبكل](?=[\u0621-\u064a]{3})|[והבלכמש](?=[א-ת]{2}))")


def plain(word: str) -> str:
    """A word of :func:`dejavu.memorization.tokens.words_of` as labels are compared: without possessive, singular."""
    if "'" in word:
        word = _ELIDED.sub("", _POSSESSIVE.sub("", word)) or word
    return singular_of(word)


@lru_cache(maxsize=1_000_000)
def readings(word: str) -> tuple[str, ...]:
    """What a word of a caption may be: its plain form; in Korean, Arabic, Hebrew also without what is joined to it."""
    if word.isascii():
        return (plain(word),)
    found = [plain(word)]
    for joined in (_KOREAN, _JOINED):
        # two at most: a plural with a particle, an "and" with a "the"
        for _ in range(2):
            found.append(joined.sub("", found[-1], count=1))
    return tuple(dict.fromkeys(found))


def phrase_of(text: str) -> Phrase:
    """The plain words of a text."""
    return tuple(plain(word) for word in words_of(text))


@dataclass(frozen=True)
class CaptionWords:
    """What words of captions mean.

    Attributes:
        names: phrase -> all that it names, itself first among them: man names man and person.
        apart: phrases that are not what their last word says.
        adjectives: word -> nouns before which it is no adjective.
        colours: words after which an adjective is one too, as white in orange and white.
    """

    names: Mapping[Phrase, frozenset[Phrase]]
    apart: frozenset[Phrase]
    adjectives: Mapping[str, frozenset[str]]
    colours: frozenset[str]

    def is_adjective(self, words: list[str], place: int) -> bool:
        """Whether the word at ``place``, one of ``adjectives``, stands before a noun as an adjective."""
        if words[place] not in self.adjectives or place + 1 == len(words):
            return False
        after = plain(words[place + 1])
        if after in ("and", "or", "with"):
            return after != "with" and place + 2 < len(words) and plain(words[place + 2]) in self.colours
        return after not in self.adjectives[words[place]] and (after in self.colours or (after,) in self.names)


@cache
def shipped() -> CaptionWords:
    """The tables of this folder."""
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
    found = {phrase}
    waiting = [phrase, *alone]
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting += named_by.get(one, set()) - found
    return frozenset(found)


def _texts(name: str) -> Iterator[str]:
    """The lines of a table, without comments and empty ones."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _lines(name: str) -> Iterator[tuple[str, str]]:
    """The lines of a table, each as what stands before and after its colon."""
    for line in _texts(name):
        left, colon, right = line.partition(":")
        if not colon:
            raise ValueError(f"{name}: {line!r} has no colon")
        yield left.strip(), right.strip()
