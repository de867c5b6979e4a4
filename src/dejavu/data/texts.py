"""Normalisation of texts before they are stored."""

from __future__ import annotations

import unicodedata

from dejavu.data.images import Unusable

# Control characters in captions: those that are white space, such as a line break, become a blank; others are removed.
_CONTROLS = {code: " " if chr(code).isspace() else None for code in [*range(0x20), *range(0x7F, 0xA0)]}
_CONTROLS |= {0x2028: " ", 0x2029: " "}


def clean_caption(caption: object, longest: int) -> str:
    """Return a caption in Unicode's form NFC, on one line, without control characters and outer white space.

    Marks of writing direction stay, since they belong to the text.

    Raises:
        Unusable: when the caption is no text, has no visible character, or has more than ``longest`` characters.
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
    """Replace what UTF-8 cannot encode: a text from JSON may contain single surrogates, halves of a character."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
