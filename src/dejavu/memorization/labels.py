"""Object labels and captions in one normal form; the only place where it is decided what counts as the same label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dejavu.memorization.tokens import WORD, cut, fold, places_of, words_of
from dejavu.memorization.words import CaptionWords, Phrase, phrase_of, plain, readings, shipped

# time to read a label from rows of unequal length, in units of a place in a table
COST_BEYOND = 6
# halves of a compound that are written apart have three letters at least, and are none of these
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
    """The words of a text: Unicode NFKC, case folded, each in its singular."""
    return [plain(word) for word in WORD.findall(fold(text))]


class Normalizer:
    """Maps labels to normal labels.

    Args:
        synonyms: label -> label that it counts as; both sides are normalised, chains are followed, and
            labels that name each other in a circle count as the first of them in the alphabet.
    """

    def __init__(self, synonyms: Mapping[str, str] | None = None) -> None:
        self._synonyms = {self._plain(a): self._plain(b) for a, b in (synonyms or {}).items()}
        self._known: dict[str, str] = {}

    @staticmethod
    def _plain(label: str) -> str:
        return " ".join(normal_words(label))

    def __call__(self, label: str) -> str:
        """The normal form of a label; the empty string when it has no word."""
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
        """The normal label itself and every synonym that counts as it: what a caption may call it."""
        return [normal, *(other for other in self._synonyms if self(other) == normal)]


@dataclass(frozen=True)
class LabelSets:
    """The distinct labels of many images, in compressed rows.

    Attributes:
        rows: int64 (n,), ascending, the samples.
        starts: int64 (n + 1,), image i has the labels ``labels[starts[i]:starts[i + 1]]``.
        labels: int32, indices into ``names``; ascending within an image.
        names: the vocabulary, in alphabetical order, so that the order of indices is the order of labels.
    """

    rows: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 (n,): the number of labels of each image."""
        return np.diff(self.starts)

    def indices_of(self, rows: np.ndarray) -> np.ndarray:
        """int64, the position of each of ``rows`` here, or -1 where it is absent."""
        if len(self.rows) == 0:
            return np.full(np.shape(rows), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, -1)

    def part(self, start: int, stop: int) -> LabelSets:
        """The images from ``start`` up to ``stop``."""
        first, last = self.starts[start], self.starts[stop]
        starts = self.starts[start : stop + 1] - first
        return LabelSets(self.rows[start:stop], starts, self.labels[first:last], self.names)

    @cached_property
    def head_and_tail(self) -> tuple[np.ndarray, LabelSets]:
        """The same labels with the first few of each image in a table, whose rows are read faster than unequal ones.

        Returns:
            ``head`` int32 (n, width): the first labels of each image, ``len(names)`` in the places that stay empty; and
            the labels beyond. The width is the one that costs least to read, so that one image with very many labels
            does not widen the table.
        """
        images, most = len(self.counts), int(self.counts.max(initial=0))
        wider = images - np.cumsum(np.bincount(self.counts, minlength=most + 1))
        beyond = np.cumsum(wider[::-1])[::-1]
        width = int((np.arange(most + 1) * images + COST_BEYOND * beyond).argmin())
        place = np.arange(len(self.labels)) - np.repeat(self.starts[:-1], self.counts)
        head = np.full((images, width), len(self.names), dtype=np.int32)
        head[np.arange(width) < self.counts[:, None]] = self.labels[place < width]
        starts = np.concatenate([[0], np.cumsum(np.maximum(self.counts - width, 0))])
        return head, LabelSets(self.rows, starts, self.labels[place >= width], self.names)

    def names_at(self, index: int) -> list[str]:
        """The labels of image ``index``."""
        return [self.names[i] for i in self.labels[self.starts[index] : self.starts[index + 1]]]

    def expand(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The labels of many images one after the other.

        Args:
            indices: int64 (m,), images, repeats allowed.

        Returns:
            ``owner`` int64: for every label, which entry of ``indices`` it belongs to (ascending); ``label`` int32.
        """
        counts = self.counts[indices]
        owner = np.repeat(np.arange(len(indices)), counts)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, self.labels[self.starts[indices][owner] + offset]


def label_sets(rows: Sequence[int], labels: Iterable[Sequence[str]], names: Sequence[str] | None = None) -> LabelSets:
    """Builds :class:`LabelSets` from normal labels; duplicates within an image count once, empty labels not at all.

    Args:
        rows: the samples, distinct, in any order.
        labels: the labels of each.
        names: a vocabulary that holds every label, or None to make one.
    """
    distinct = [sorted(set(found) - {""}) for found in labels]
    vocabulary = sorted({label for found in distinct for label in found} if names is None else names)
    index = {name: i for i, name in enumerate(vocabulary)}
    order = np.argsort(np.asarray(rows, dtype=np.int64), kind="stable")
    starts = np.concatenate([[0], np.cumsum([len(distinct[i]) for i in order])]).astype(np.int64)
    flat = np.fromiter((index[label] for i in order for label in distinct[i]), dtype=np.int32, count=int(starts[-1]))
    return LabelSets(np.asarray(rows, dtype=np.int64)[order], starts, flat, tuple(vocabulary))


class NamedInCaption:
    """Finds which labels of a vocabulary a caption names.

    A label is named by its own words, by those of a synonym of the configuration, and by the words that
    :mod:`dejavu.memorization.words` lists: man names person. The longest words that mean something count, and are used
    up: *hot dog* names no dog. Several words name what their last one says, unless they are listed as something else. A
    noun that stands as an adjective (*an orange cat*) names nothing.

    In scripts without blanks between words, as Chinese, a label is named where its characters stand in the caption,
    also within another word. In Korean, Arabic and Hebrew also with what is joined to a noun. In doubt a label is
    rather named than a secret.

    Args:
        names: normal labels.
        normalizer: gives the synonyms that a caption may use.
        caption_words: whether the words that come along count; else only labels and synonyms do.
    """

    def __init__(self, names: Iterable[str], normalizer: Normalizer, caption_words: bool = True) -> None:
        self._words = shipped() if caption_words else CaptionWords({}, frozenset(), {}, frozenset())
        labels = _named_by_phrase(names, normalizer, self._words)
        # first word -> (the words after it, the labels), the longest first
        self._after: dict[str, list[tuple[Phrase, frozenset[str]]]] = {}
        for phrase, named in sorted(labels.items(), key=lambda item: -len(item[0])):
            self._after.setdefault(phrase[0], []).append((phrase[1:], named))

    def __call__(self, caption: str) -> set[str]:
        """The labels that the caption names."""
        return set().union(*(labels for _, _, labels in self._found(words_of(caption))))

    def remainder(self, caption: str) -> str:
        """The caption without the words that name labels, as it was written otherwise, its blanks squeezed.

        It names no label: where words that were apart name one together, they are taken out as well. It is empty where
        no word is left.
        """
        while True:
            places = places_of(caption)
            found = list(self._found(places.words))
            if not found:
                return " ".join(caption.split()) if places.words else ""
            caption = cut(caption, [(places.starts[first], places.stops[stop - 1]) for first, stop, _ in found])

    def _found(self, words: list[str]) -> Iterator[tuple[int, int, frozenset[str]]]:
        """Yields what names labels: from which word, up to which word, and the labels."""
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
        """How many words from ``at`` on mean something together, and the labels that they name."""
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
    """All that means something in a caption: phrase -> the labels that it names, none for what only uses words up."""
    called: dict[Phrase, set[str]] = {}
    for name in names:
        for form in normalizer.surface_forms(name):
            called.setdefault(phrase_of(form), set()).add(name)
    called.pop((), None)
    found: dict[Phrase, frozenset[str]] = {}
    for phrase in sorted({*words.names, *called}, key=len):
        targets = words.names.get(phrase, (phrase,))
        labels = _NOTHING.union(*(called[target] for target in targets if target in called))
        if phrase not in words.apart:
            tails = (phrase[start:] for start in range(1, len(phrase)))
            labels = labels.union(next((found[tail] for tail in tails if tail in found), ()))
        if labels or len(phrase) > 1:
            found[phrase] = labels
    for phrase, labels in list(found.items()):
        for other in _written_otherwise(phrase):
            found.setdefault(other, labels)
    return found


def _written_otherwise(phrase: Phrase) -> Iterator[Phrase]:
    """A compound whose words are written together, or apart."""
    if len(phrase) > 1:
        yield ("".join(phrase),)
        return
    (word,) = phrase
    if word.isascii() and word.isalpha():
        for end in range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1):
            halves = (word[:end], word[end:])
            if _NO_HALVES.isdisjoint(halves):
                yield halves
