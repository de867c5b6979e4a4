"""Scripts that put no blanks between words."""

from __future__ import annotations

import re

# Thai, Lao, Tibetan, Burmese and Khmer with their marks; the syllables of Japanese; Chinese characters.
_RANGES = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# A sequence of characters of such scripts.
UNSPACED = re.compile(f"[{_RANGES}]+")
