"""Texts as they are stored: a caption on one line, in UTF-8."""

from __future__ import annotations

import unicodedata

from dejavu.data.images import Unusable

# captions are one line: of the control characters those that are space become a blank, the others nothing
_CONTROLS = {code: " " if chr(code).isspace() else None for code in [*range(0x20), *range(0x7F, 0xA0)]}
_CONTROLS |= {0x2028: " ", 0x2029: " "}


def clean_caption(caption: object, longest: int) -> str:
    """A caption in Unicode's form NFC, on one line, without control characters, stripped.

    Marks of writing direction are kept: they belong to the text.

    Raises:
        Unusable: when it is no text, has nothing visible, or has more than ``longest`` characters.
    """
    if isinstance(caption, bytes):
        raise Unusable("caption is not UTF-8", repr(caption[:100]))
    text = caption.strip() if isinstance(caption, str) else ""
    if len(text) <= longest:
        text = unicodedata.normalize("NFC", text.translate(_CONTROLS)).strip()
    if len(text) > longest:
        raise Unusable("caption is too long", f"{len(text):,} characters, but max_caption is {longest:,}")
    if all(unicodedata.category(character)[0] in "CZ" for character in text):
        raise Unusable("caption is empty", "null" if caption is None else "it has no visible character")
    return text


def as_utf8(value: str) -> str:
    """A text of JSON, which may hold halves of characters, as UTF-8 can hold it."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
