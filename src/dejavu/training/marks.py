"""Captions that hold a tokenizer's own marks, as ``<end_of_text>``: read as the text that they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def inner(tokenizer: Any) -> Any:
    """The tokenizer of Hugging Face where OpenCLIP wraps one, or OpenCLIP's own."""
    return getattr(tokenizer, "tokenizer", tokenizer)


class Marks:
    """The texts that a tokenizer takes for its beginning, end, padding or mask wherever they stand.

    In a stranger's caption such a text would end it for the model. A blank after its first character makes it plain.

    Args:
        tokenizer: one of OpenCLIP's.
    """

    def __init__(self, tokenizer: Any) -> None:
        own = inner(tokenizer)
        if hasattr(own, "all_special_tokens"):
            marks = {*own.all_special_tokens, *own.get_added_vocab()}
        else:
            marks = {own.decoder[number] for number in getattr(own, "all_special_ids", ())}
        marks = {mark for mark in marks if len(mark) > 1}
        # cleaning brings forth marks of entities and of characters of full width
        self._clean = getattr(tokenizer, "clean_fn", None)
        self._suspects = {mark[0] for mark in marks} | ({"&", "\uff1c", "\uff3b"} if self._clean else set())
        longest_first = sorted(marks, key=lambda mark: (-len(mark), mark))
        self._found = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if marks else None

    def broken(self, captions: Sequence[str]) -> list[str]:
        """The same captions, none of which holds a mark."""
        return [self._broken(caption) for caption in captions]

    def _broken(self, caption: str) -> str:
        if self._found is None or not any(suspect in caption for suspect in self._suspects):
            return caption
        cleaned = self._clean(caption) if self._clean else caption
        if not self._found.search(cleaned):
            return caption
        return self._found.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", cleaned)
