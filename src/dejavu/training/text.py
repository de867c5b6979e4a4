"""Text randomization, the mitigation of arXiv 2402.02103: training hides random parts of captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from dejavu.errors import InputError
from dejavu.training.draws import Purpose, generator
from dejavu.training.marks import Marks, inner
from dejavu.training.recipe import Recipe

MASK_WORD = "mask"
# Largest number of captions in the cache of tokens, about 20 MB.
REMEMBERED = 32_768


class TextRandomizer:
    """Turns captions into tokens, with parts of the captions hidden; draws depend on (seed, epoch, row) alone.

    Args:
        tokenizer: a tokenizer of OpenCLIP: captions -> int64 (n, context length).
        mask: probability that a part is hidden, in [0, 1); 0 hides none.
        unit: parts are ``words``, separated by space, or ``tokens`` between the tokenizer's start and end.
        replace: the replacement of a hidden part: ``nothing`` (then at least one part stays), ``mask``, or a
            ``random`` word or token. The mask is the tokenizer's own mask token where it has one that a caption may
            contain, otherwise the word :data:`MASK_WORD`.
        dropout: probability that the whole caption is replaced by an empty one.
        seed: seed of the model.
        purpose: purpose of the draws that hide parts; draws for different purposes are independent.

    Raises:
        InputError: when the tokenizer's start, end and padding cannot be separated from a caption's tokens, or the
            tokenizer has no words.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        mask: float,
        unit: str = "words",
        replace: str = "nothing",
        dropout: float = 0.0,
        seed: int,
        purpose: Purpose = Purpose.TEXT_MASK,
    ) -> None:
        self._tokenizer, self._mask, self._dropout, self._seed = tokenizer, mask, dropout, seed
        self._purpose = purpose
        self._marks = Marks(tokenizer)
        self._known: dict[str, torch.Tensor] = {}
        self._hide: Callable[[list, np.random.Generator], list] | None = None
        self._frame: _Frame | None = None
        if mask == 0:
            return
        self._frame = _Frame.of(tokenizer) if unit == "tokens" else None
        if replace == "nothing":
            self._hide = self._leave_out
        else:
            self._others = _OTHERS[unit, replace](tokenizer)
            self._hide = self._put_others

    @classmethod
    def of(cls, tokenizer: Any, recipe: Recipe, seed: int) -> TextRandomizer:
        """Return the text randomization of a recipe."""
        return cls(
            tokenizer,
            mask=recipe.text_mask,
            unit=recipe.text_mask_unit,
            replace=recipe.text_mask_with,
            dropout=recipe.caption_dropout,
            seed=seed,
        )

    def __call__(self, captions: Sequence[str], epochs: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """Return the tokens of captions as their epochs show them.

        Args:
            captions: n texts.
            epochs: the epoch of each caption, from 0.
            rows: the row of each caption's sample.

        Returns:
            int64 (n, context length).
        """
        keys = [(int(epoch), int(row)) for epoch, row in zip(epochs, rows, strict=True)]
        plain = self._marks.broken(captions)
        kept = ["" if self._dropped(*key) else caption for caption, key in zip(plain, keys, strict=True)]
        if self._hide is None:
            return self._tokenize(kept)
        if self._frame is None:
            return self._tokenizer([self._hidden_words(text, *key) for text, key in zip(kept, keys, strict=True)])
        parts = [self._frame.content(tokens) for tokens in self._tokenizer(kept).tolist()]
        return self._frame.tensor([self._hidden(part, *key) for part, key in zip(parts, keys, strict=True)])

    def _tokenize(self, captions: list[str]) -> torch.Tensor:
        """Return the tokens of unchanged captions, from a cache, because every epoch shows the same captions."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._known]:
            self._known |= dict(zip(new, self._tokenizer(new), strict=True))
        return torch.stack([self._known[caption] for caption in captions])

    def _dropped(self, epoch: int, row: int) -> bool:
        return bool(self._dropout) and self._generator(Purpose.CAPTION_DROPOUT, epoch, row).random() < self._dropout

    def _hidden_words(self, caption: str, epoch: int, row: int) -> str:
        return " ".join(self._hidden(caption.split(), epoch, row))

    def _hidden(self, parts: list, epoch: int, row: int) -> list:
        assert self._hide is not None
        return self._hide(parts, self._generator(self._purpose, epoch, row)) if parts else parts

    def _generator(self, purpose: Purpose, epoch: int, row: int) -> np.random.Generator:
        return generator(purpose, self._seed, epoch, row)

    def _leave_out(self, parts: list, rng: np.random.Generator) -> list:
        draws = rng.random(len(parts))
        kept = draws >= self._mask
        kept[int(draws.argmax())] = True
        return [part for part, keep in zip(parts, kept, strict=True) if keep]

    def _put_others(self, parts: list, rng: np.random.Generator) -> list:
        hidden = rng.random(len(parts)) < self._mask
        others = rng.integers(len(self._others), size=len(parts))
        return [self._others[other] if hide else part for part, hide, other in zip(parts, hidden, others, strict=True)]


@dataclass(frozen=True)
class _Frame:
    """The tokens around those of a caption: ``start`` before, ``end`` after, then ``pad`` up to ``length`` tokens."""

    start: tuple[int, ...]
    end: tuple[int, ...]
    pad: int
    length: int

    @classmethod
    def of(cls, tokenizer: Any) -> _Frame:
        """Return the frame of a tokenizer, found by comparing the tokens of captions that have no token in common."""
        probes = ["", "a", "dog", "a dog " * 2000]
        empty, one, other, _ = rows = tokenizer(probes).tolist()
        start = _common(one, other)
        frame = cls(start, (), empty[-1], len(empty))
        end = _common(*(frame.content(row)[::-1] for row in (one, other, empty)))[::-1]
        frame = cls(start, end, empty[-1], len(empty))
        found = [frame.content(row) for row in rows]
        if found[0] or not all(found[1:]) or frame.tensor(found).tolist() != rows:
            raise InputError(
                "text_mask_unit is tokens, but this architecture's tokenizer does not show where a caption's tokens "
                "begin and end: set text_mask_unit to words."
            )
        return frame

    def content(self, tokens: list[int]) -> list[int]:
        """Return the caption's own tokens, without start, end and padding."""
        stop = len(tokens)
        while stop > len(self.start) and tokens[stop - 1] == self.pad:
            stop -= 1
        return tokens[len(self.start) : max(len(self.start), stop - len(self.end))]

    def tensor(self, contents: list[list[int]]) -> torch.Tensor:
        """Return the captions' own tokens in their frame; int64 (n, length). No caption may be too long for it."""
        rows = [[*self.start, *content, *self.end] for content in contents]
        return torch.tensor([row + [self.pad] * (self.length - len(row)) for row in rows], dtype=torch.int64)


def _common(*rows: list[int]) -> tuple[int, ...]:
    """Return the longest common prefix of lists of tokens."""
    return tuple(tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*rows, strict=False)))


def _mask_word(tokenizer: Any) -> list[str]:
    """Return the text of the tokenizer's mask token where cleaning keeps it as one token, otherwise a plain word."""
    own = inner(tokenizer)
    text = getattr(own, "mask_token", None) or MASK_WORD
    token = getattr(own, "mask_token_id", None)
    return [text if token in tokenizer([text]).tolist()[0] else MASK_WORD]


def _mask_token(tokenizer: Any) -> list[int]:
    token = getattr(inner(tokenizer), "mask_token_id", None)
    tokens = [token] if token is not None else _Frame.of(tokenizer).content(tokenizer([MASK_WORD]).tolist()[0])
    if len(tokens) != 1:
        raise InputError(
            f"text_mask_with is mask, but this architecture's tokenizer has neither a mask token nor {MASK_WORD!r} as "
            "one token: set text_mask_unit to words."
        )
    return tokens


def _words(tokenizer: Any) -> list[str]:
    """Return the tokens that are whole words, in alphabetical order."""
    own = inner(tokenizer)
    if hasattr(own, "get_vocab"):
        pieces = own.get_vocab()
        # SentencePiece and byte-level BPE mark pieces that begin a word; WordPiece marks pieces that do not (##).
        first = [p for p in pieces if p.startswith(("\u2581", "\u0120"))] or [p for p in pieces if p[:2] != "##"]
        texts = [own.convert_tokens_to_string([piece]) for piece in first]
    else:
        texts = [own.decode([token]) for piece, token in own.encoder.items() if piece.endswith("</w>")]
    words = sorted({text.strip() for text in texts if text.strip().isalpha()})
    if not words:
        raise InputError(
            "text_mask_with is random, but this architecture's tokenizer has no whole words: set it to nothing or mask."
        )
    return words


def _tokens(tokenizer: Any) -> list[int]:
    """Return the tokens of the vocabulary without special tokens, start, end and padding."""
    own, frame = inner(tokenizer), _Frame.of(tokenizer)
    every = own.get_vocab().values() if hasattr(own, "get_vocab") else own.encoder.values()
    return sorted(set(every) - {*own.all_special_ids, *frame.start, *frame.end, frame.pad})


# (unit, replacement) -> function that returns the possible replacements of a hidden part.
_OTHERS: dict[tuple[str, str], Callable[[Any], list]] = {
    ("words", "mask"): _mask_word,
    ("words", "random"): _words,
    ("tokens", "mask"): _mask_token,
    ("tokens", "random"): _tokens,
}
