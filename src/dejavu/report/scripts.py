"""Data of the report as script files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dejavu.files import write_text

# What could end a script, or a line within one, if a page ever held the data itself.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def script_of(name: str, data: Any) -> str:
    """Return a script that assigns data to ``window.<name>``; the data holds no character that HTML could read.

    The data is JSON in a string, which browsers read faster than the same data as part of the script.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"window.{name} = JSON.parse({json.dumps(text, ensure_ascii=False).translate(_ESCAPES)});\n"


def write_script(path: Path, name: str, data: Any) -> None:
    """Write data as a script file that a page opened from disk may load."""
    write_text(path, script_of(name, data))
