"""Text and tables as Markdown and LaTeX, in which names from elsewhere stay text."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Markdown(str):
    """Text that is Markdown already."""


# an interval of numbers, which no renderer takes for a link; what marks something within a line; and at its beginning
_INTERVAL = r"\[[-+0-9., –]*\](?![(\[:])"
_MARKDOWN = re.compile(rf"{_INTERVAL}|^[-+=](?=\s|$)|^\d+(?=[.)]\s)|[\\`*_{{}}\[\]<>#|~&$@^]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "≤": r"$\leq$",
    "±": r"$\pm$",
}


def markdown(value: object) -> Markdown:
    """Return a value as one line of Markdown that shows it as it is."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_MARKDOWN.sub(_escaped, _line(value)))


def _escaped(found: re.Match[str]) -> str:
    text = found.group()
    if text.isdigit():  # of a numbered list: the dot is what marks it
        return f"{text}\\"
    return text if len(text) > 1 else f"\\{text}"


def latex(value: object) -> str:
    """Return a value as one line of LaTeX that shows it as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in _line(value))


def _line(value: object) -> str:
    """Return a value as text in one line, without characters that control a terminal or the direction of text."""
    line = re.sub(r"\s+", " ", str(value))
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of Markdown (pipes), with a line break at its end."""
    lines = [header, ["---"] * len(header)]
    cells = [[markdown(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in [*lines, *cells])


def latex_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str, label: str) -> str:
    """Return a table of LaTeX with the rules of the package booktabs; the first column is text, the others are numbers.

    Args:
        header, rows: the cells.
        caption, label: of the table; the label is a name for ``\\ref``.
    """
    body = [" & ".join(map(latex, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{'l' * len(header)}}}",
            r"\toprule",
            " & ".join(map(latex, header)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
