"""The captions of figures, which the site and Snakemake's report both show, and the order of the figures.

A caption is a file ``<name>.rst``, which Snakemake reads itself. The first line of the file is a comment,
``.. place: <number>``; figures are shown in ascending order of place.
"""

from __future__ import annotations

import re
from pathlib import Path

# Content of a figure's file where the run has nothing to show; the site leaves such figures out.
BLANK = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="420" height="40" viewBox="0 0 420 40">'
    '<text x="10" y="25" font-family="sans-serif" font-size="14">This run has nothing to show here.</text></svg>\n'
)
_PLACE = re.compile(r"\.\. place: (\d+)\n")


def captions(folder: Path) -> dict[str, str]:
    """Return name of a figure -> its caption as one line, in the order of the figures.

    Raises:
        ValueError: when a caption does not begin with its place.
    """
    placed = []
    for file in folder.glob("*.rst"):
        text = file.read_text(encoding="utf-8")
        place = _PLACE.match(text)
        if place is None:
            raise ValueError(f"{file} does not begin with a line like '.. place: 10'")
        placed.append((int(place.group(1)), file.stem, " ".join(text[place.end() :].split())))
    return {name: text for _, name, text in sorted(placed)}


def is_blank(figure: Path) -> bool:
    """Return whether a figure's file is :data:`BLANK`."""
    return figure.stat().st_size == len(BLANK) and figure.read_text(encoding="utf-8") == BLANK
