"""Object labels and captions in one normal form; the only place where it is decided what counts as the same label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import typeguard

from dejavu.memorization.tokens import WORD, cut, fold, merged, places_of, words_of

# inflect has the types of its arguments checked, which takes seconds to prepare at every start
_checked, typeguard.typechecked = typeguard.typechecked, lambda target: target  # type: ignore[assignment]
try:
    import inflect
finally:
    typeguard.typechecked = _checked

_ENGINE = inflect.engine()
# time to read a label from rows of unequal length, in units of a place in a table
COST_BEYOND = 6


# what inflect gets wrong: plural -> singular; the singulars stay as they are
_IRREGULAR = {
    **{f"{noun}es": noun for noun in ("atlas", "canvas", "lens", "pancreas", "trellis", "iris", "pelvis")},
    **{
        f"{noun}s": noun
        for noun in ("bikini", "hoodie", "khaki", "kiwi", "martini", "selfie", "ski", "taxi", "zucchini")
    },
    "operas": "opera",
    "dies": "die",
}
_SINGULAR = {*_IRREGULAR.values(), "does", "they", "them"}


@lru_cache(maxsize=1_000_000)
def _singular(word: str) -> str:
    # inflect takes a plural to its singular; repeated until nothing changes, so that a singular that looks like a
    # plural and its plural meet; short words in -s and those in -ss, -us, -is stay as they are
    seen = [word]
    while word not in _SINGULAR:
        if word in _IRREGULAR:
            return _IRREGULAR[word]
        if word.endswith(("ss", "us", "is")) or (len(word) <= 3 and word.endswith("s")):
            break
        shorter = str(_ENGINE.singular_noun(word) or word)  # type: ignore[arg-type]
        if shorter in seen:
            break
        word = shorter
        seen.append(word)
    return word


def normal_words(text: str) -> list[str]:
    """The words of a text: Unicode NFKC, case folded, each in its singular."""
    words = WORD.findall(fold(text))
    return [_singular(word) for word in words]


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
    """Finds which labels of a vocabulary a caption names, after the same normalisation.

    In scripts without blanks between words, as Chinese, a label is named where its characters stand in the caption,
    also within another word: rather named than a secret.

    Args:
        names: normal labels.
        normalizer: gives the synonyms that a caption may use.
    """

    def __init__(self, names: Iterable[str], normalizer: Normalizer) -> None:
        self._labels: dict[tuple[str, ...], str] = {}
        for name in names:
            for form in normalizer.surface_forms(name):
                self._labels[tuple(map(_singular, words_of(form)))] = name
        self._longest = max((len(words) for words in self._labels), default=0)

    def __call__(self, caption: str) -> set[str]:
        """The labels whose words stand in the caption one after the other."""
        words = [_singular(word) for word in words_of(caption)]
        return {self._labels[tuple(words[start:stop])] for start, stop in self._parts(words)}

    def remainder(self, caption: str) -> str:
        """The caption without the words that name labels, as it was written otherwise, its blanks squeezed.

        It names no label: where the words that were apart name one together, they are taken out as well.
        """
        while True:
            places = places_of(caption)
            named = list(self._parts([_singular(word) for word in places.words]))
            if not named:
                return " ".join(caption.split())
            caption = cut(caption, merged((places.starts[first], places.stops[stop - 1]) for first, stop in named))

    def _parts(self, words: list[str]) -> Iterator[tuple[int, int]]:
        for start in range(len(words)):
            for stop in range(start + 1, min(start + self._longest, len(words)) + 1):
                if tuple(words[start:stop]) in self._labels:
                    yield start, stop
