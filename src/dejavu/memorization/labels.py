"""Object labels and captions in one normal form; this module alone decides which labels count as the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dejavu.memorization.tokens import WORD, cut, fold, places_of, words_of
from dejavu.memorization.words import CaptionWords, Phrase, phrase_of, plain, readings, shipped

# Cost of reading one label from compressed rows, relative to one entry of a table.
COST_BEYOND = 6
# A word of a caption may be a compound of two halves (*hotdog*). A half has at least three letters and is not in this
# list of common short words.
_NO_HALVES = frozenset(
    [
        "all",
        "and",
        "any",
        "are",
        "but",
        "for",
        "had",
        "has",
        "her",
        "him",
        "his",
        "not",
        "off",
        "one",
        "out",
        "the",
        "two",
        "was",
        "you",
    ]
)
_SHORTEST_HALF = 3
_NOTHING: frozenset[str] = frozenset()


def normal_words(text: str) -> list[str]:
    """Return the words of a text: Unicode NFKC, case folded, each in its singular."""
    return [plain(word) for word in WORD.findall(fold(text))]


class Normalizer:
    """Maps labels to normal labels.

    Args:
        synonyms: label -> label that it counts as. Both labels are normalised, and chains of synonyms are followed.
            Labels that form a circle count as the first of them in the alphabet.
    """

    def __init__(self, synonyms: Mapping[str, str] | None = None) -> None:
        self._synonyms = {self._plain(a): self._plain(b) for a, b in (synonyms or {}).items()}
        self._known: dict[str, str] = {}

    @staticmethod
    def _plain(label: str) -> str:
        return " ".join(normal_words(label))

    def __call__(self, label: str) -> str:
        """Return the normal form of a label; the empty string when it has no word."""
        normal = self._known.get(label)
        if normal is None:
            normal = self._plain(label)
            seen = [normal]
            while normal in self._synonyms:
                normal = self._synonyms[normal]
                if normal in seen:
                    normal = min(seen[seen.index(normal) :])
                    break
                seen.append(normal)
            self._known[label] = normal
        return normal

    def surface_forms(self, normal: str) -> list[str]:
        """Return what a caption may call a normal label: the label itself and every synonym that counts as it."""
        return [normal, *(synonym for synonym in self._synonyms if self(synonym) == normal)]


@dataclass(frozen=True)
class LabelSets:
    """The distinct labels of many images, as a compressed sparse row (CSR) array.

    Attributes:
        rows: int64 (n,), the rows of the samples, ascending.
        starts: int64 (n + 1,); image i has the labels ``labels[starts[i]:starts[i + 1]]``.
        labels: int32, indices into ``names``; ascending within an image.
        names: the vocabulary in alphabetical order: ascending indices are labels in alphabetical order.
    """

    rows: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def counts(self) -> np.ndarray:
        """Return the number of labels of each image; int64 (n,)."""
        return np.diff(self.starts)

    def indices_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the index in ``self.rows`` of each of ``rows``, int64 (n,); -1 where it is absent."""
        if len(self.rows) == 0:
            return np.full(np.shape(rows), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, -1)

    def part(self, start: int, stop: int) -> LabelSets:
        """Return the labels of the images from ``start`` up to, but without, ``stop``."""
        first, last = self.starts[start], self.starts[stop]
        starts = self.starts[start : stop + 1] - first
        return LabelSets(self.rows[start:stop], starts, self.labels[first:last], self.names)

    @cached_property
    def head_and_tail(self) -> tuple[np.ndarray, LabelSets]:
        """Return the labels in two parts: a table with the first few labels of each image, and the rest.

        A table is read faster than compressed rows. Its width is the one with the lowest total cost of reading, which
        one image with very many labels hardly changes.

        Returns:
            ``head`` int32 (n, width): the first labels of each image, and ``len(names)`` in empty entries;
            ``tail``: the labels that the table has no room for.
        """
        images, most = len(self.counts), int(self.counts.max(initial=0))
        wider = images - np.cumsum(np.bincount(self.counts, minlength=most + 1))
        beyond = np.cumsum(wider[::-1])[::-1]
        width = int((np.arange(most + 1) * images + COST_BEYOND * beyond).argmin())
        head = np.full((images, width), len(self.names), dtype=np.int32)
        for place in range(width):
            wide = np.flatnonzero(self.counts > place)
            head[wide, place] = self.labels[self.starts[wide] + place]
        beyond_head = np.maximum(self.counts - width, 0)
        starts = np.concatenate([[0], np.cumsum(beyond_head)])
        wide = np.flatnonzero(beyond_head)
        kept = np.repeat(self.starts[wide] + width - starts[wide], beyond_head[wide]) + np.arange(starts[-1])
        return head, LabelSets(self.rows, starts, self.labels[kept], self.names)

    def names_at(self, index: int) -> list[str]:
        """Return the labels of image ``index``."""
        return [self.names[i] for i in self.labels[self.starts[index] : self.starts[index + 1]]]

    def expand(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels of many images one after the other.

        Args:
            indices: int64 (m,), indices of images; an image may occur several times.

        Returns:
            ``owner`` int64: for every label the position in ``indices`` of its image, ascending; and ``label`` int32.
        """
        counts = self.counts[indices]
        owner = np.repeat(np.arange(len(indices)), counts)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, self.labels[self.starts[indices][owner] + offset]


def label_sets(rows: Sequence[int], labels: Iterable[Sequence[str]], names: Sequence[str] | None = None) -> LabelSets:
    """Build :class:`LabelSets` from normal labels; duplicates within an image count once, empty labels not at all.

    Args:
        rows: the rows of the samples, distinct, in any order.
        labels: the labels of each sample.
        names: a vocabulary that holds every label; None: the labels that occur.
    """
    distinct = [sorted(set(of_sample) - {""}) for of_sample in labels]
    vocabulary = sorted({label for of_sample in distinct for label in of_sample} if names is None else names)
    index = {name: i for i, name in enumerate(vocabulary)}
    order = np.argsort(np.asarray(rows, dtype=np.int64), kind="stable")
    starts = np.concatenate([[0], np.cumsum([len(distinct[i]) for i in order])]).astype(np.int64)
    flat = np.fromiter((index[label] for i in order for label in distinct[i]), dtype=np.int32, count=int(starts[-1]))
    return LabelSets(np.asarray(rows, dtype=np.int64)[order], starts, flat, tuple(vocabulary))


class NamedInCaption:
    """Finds which labels of a vocabulary a caption names.

    A label is named by its own words, by the words of a synonym of the configuration, and by the words that
    :mod:`dejavu.memorization.words` lists: *man* names person. The longest known phrase counts, and its words are used
    up: *hot dog* names no dog. A phrase names what its last word names (*coffee table* names table), unless the tables
    list the phrase as something else. A noun that stands as an adjective (*an orange cat*) names nothing.

    In scripts without blanks between words, such as Chinese, a label is named where its characters stand in the
    caption, also within another word. In Korean, Arabic and Hebrew, a label is also named by a noun with the particles
    that are joined to it. In doubt a label counts as named, so that ``unnamed`` holds no object that the caption gives
    away.

    Args:
        names: normal labels.
        normalizer: gives the synonyms that a caption may use.
        caption_words: whether the tables of :mod:`dejavu.memorization.words` count; otherwise only labels and synonyms.
    """

    def __init__(self, names: Iterable[str], normalizer: Normalizer, caption_words: bool = True) -> None:
        self._words = shipped() if caption_words else CaptionWords({}, frozenset(), {}, frozenset())
        labels = _named_by_phrase(names, normalizer, self._words)
        # First word of a phrase -> (the words after it, the labels that the phrase names), longest phrases first.
        self._after: dict[str, list[tuple[Phrase, frozenset[str]]]] = {}
        for phrase, named in sorted(labels.items(), key=lambda item: -len(item[0])):
            self._after.setdefault(phrase[0], []).append((phrase[1:], named))

    def __call__(self, caption: str) -> set[str]:
        """Return the labels that the caption names."""
        return set().union(*(labels for _, _, labels in self._mentions(words_of(caption))))

    def remainder(self, caption: str) -> str:
        """Return the caption without the words that name labels; everything else stays as written, blanks squeezed.

        The remainder names no label: where removing words joins two others that together name a label, these are
        removed as well. The remainder is empty where no word is left.
        """
        while True:
            places = places_of(caption)
            mentions = list(self._mentions(places.words))
            if not mentions:
                return " ".join(caption.split()) if places.words else ""
            caption = cut(caption, [(places.starts[first], places.stops[stop - 1]) for first, stop, _ in mentions])

    def _mentions(self, words: list[str]) -> Iterator[tuple[int, int, frozenset[str]]]:
        """Yield each phrase that names labels: index of its first word, index after its last word, its labels."""
        after = self._after
        place = 0
        for at, word in enumerate(words):
            if at < place:
                continue
            for reading in readings(word):
                if reading in after:
                    length, labels = self._longest(words, at)
                    place = at + length
                    if labels and not (length == 1 and self._words.is_adjective(words, at)):
                        yield at, place, labels
                    break

    def _longest(self, words: list[str], at: int) -> tuple[int, frozenset[str]]:
        """Return the number of words of the longest known phrase that begins at ``at``, and the labels it names."""
        longest, labels = 1, _NOTHING
        for reading in readings(words[at]):
            for rest, named in self._after.get(reading, ()):
                if len(rest) + 1 < longest:
                    break
                following = words[at + 1 : at + 1 + len(rest)]
                if len(following) == len(rest) and all(map(_may_be, following, rest)):
                    labels = labels | named if len(rest) + 1 == longest else named
                    longest = len(rest) + 1
        return longest, labels


def _may_be(word: str, plain: str) -> bool:
    return plain in readings(word)


def _named_by_phrase(names: Iterable[str], normalizer: Normalizer, words: CaptionWords) -> dict[Phrase, frozenset[str]]:
    """Return phrase -> the labels that it names; a phrase without labels only uses up its words (*hot dog*)."""
    called: dict[Phrase, set[str]] = {}
    for name in names:
        for form in normalizer.surface_forms(name):
            called.setdefault(phrase_of(form), set()).add(name)
    called.pop((), None)
    named: dict[Phrase, frozenset[str]] = {}
    for phrase in sorted({*words.names, *called}, key=len):
        targets = words.names.get(phrase, (phrase,))
        labels = _NOTHING.union(*(called[target] for target in targets if target in called))
        if phrase not in words.apart:
            tails = (phrase[start:] for start in range(1, len(phrase)))
            labels = labels.union(next((named[tail] for tail in tails if tail in named), ()))
        if labels or len(phrase) > 1:
            named[phrase] = labels
    for phrase, labels in list(named.items()):
        for variant in _written_otherwise(phrase):
            named.setdefault(variant, labels)
    return named


def _written_otherwise(phrase: Phrase) -> Iterator[Phrase]:
    """Yield the other spellings of a compound: its words written together, or one word written as two."""
    if len(phrase) > 1:
        yield ("".join(phrase),)
        return
    (word,) = phrase
    if word.isascii() and word.isalpha():
        for end in range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1):
            halves = (word[:end], word[end:])
            if _NO_HALVES.isdisjoint(halves):
                yield halves
