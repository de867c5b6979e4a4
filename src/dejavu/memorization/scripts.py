"""Scripts that put no blanks between words, whose words cannot be told by them."""

from __future__ import annotations

import re

# Thai, Lao, Tibetan, Burmese, Khmer with their marks; the syllables of Japanese; Chinese characters
_RANGES = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# a run of such characters
UNSPACED = re.compile(f"[{_RANGES}]+")
