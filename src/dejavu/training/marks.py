"""Special tokens in captions: a caption that contains ``<end_of_text>`` as text is read as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def inner(tokenizer: Any) -> Any:
    """Return the tokenizer of Hugging Face where OpenCLIP wraps one, or OpenCLIP's own."""
    return getattr(tokenizer, "tokenizer", tokenizer)


class Marks:
    """The marks of a tokenizer: texts that it reads as start, end, padding or mask token anywhere in a caption.

    Captions are untrusted: a mark inside a caption would end the caption early for the model. A blank after the first
    character of a mark turns the mark into plain text.

    Args:
        tokenizer: a tokenizer of OpenCLIP.
    """

    def __init__(self, tokenizer: Any) -> None:
        own = inner(tokenizer)
        if hasattr(own, "all_special_tokens"):
            marks = {*own.all_special_tokens, *own.get_added_vocab()}
        else:
            marks = {own.decoder[number] for number in getattr(own, "all_special_ids", ())}
        marks = {mark for mark in marks if len(mark) > 1}
        # Cleaning can create marks: from HTML entities (&lt;) and from full-width characters.
        self._clean = getattr(tokenizer, "clean_fn", None)
        self._suspects = {mark[0] for mark in marks} | ({"&", "\uff1c", "\uff3b"} if self._clean else set())
        longest_first = sorted(marks, key=lambda mark: (-len(mark), mark))
        self._found = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if marks else None

    def broken(self, captions: Sequence[str]) -> list[str]:
        """Return the captions with a blank inside each mark, so that the tokenizer reads no mark."""
        return [self._broken(caption) for caption in captions]

    def _broken(self, caption: str) -> str:
        if self._found is None or not any(suspect in caption for suspect in self._suspects):
            return caption
        cleaned = self._clean(caption) if self._clean else caption
        if not self._found.search(cleaned):
            return caption
        return self._found.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", cleaned)
