"""A hash of the code that a step runs, so that editing a library module reruns the steps that import it.

Snakemake compares a rule's script but does not look at what the script imports. Every rule therefore carries the hash
made here as a parameter. Only contents count: touching a file, or checking it out anew, changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = "dejavu"
# an import at the beginning of a line, on that line or in one pair of brackets, as the formatter writes it
IMPORT = re.compile(r"^[ \t]*((?:from|import)[ \t][^\n(]*(?:\([^)]*\))?)", re.MULTILINE)


def code_hash(script: Path, source_root: Path, *others: Path) -> str:
    """The hash of a script, of all modules of this package that it imports, directly or not, and of other files.

    Args:
        script: the Python file that the rule runs.
        source_root: the folder that holds the package ``dejavu``.
        others: files that the step reads as code (SQL, templates, styles); of a folder, every file in it.

    Returns:
        16 hexadecimal digits.
    """
    files = {script, *imported_modules(script, source_root)}
    for other in others:
        files |= {f for f in other.rglob("*") if f.is_file()} if other.is_dir() else {other}
    base = source_root.parent
    named = sorted((file.relative_to(base).as_posix(), file) for file in files if "__pycache__" not in file.parts)
    digest = hashlib.blake2b(digest_size=8)
    for name, file in named:
        digest.update(name.encode() + b"\0" + _digest(file) + b"\0")
    return digest.hexdigest()


@cache
def _digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()


def imported_modules(script: Path, source_root: Path) -> set[Path]:
    """The files of all modules of this package that a script imports, directly or not.

    Raises:
        ValueError: when a file has a relative import, or one of this package in another form, which is not followed.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        for module in _imports(waiting.pop(), source_root):
            if module not in found:
                found.add(module)
                waiting.append(module)
    return found


@cache
def _imports(file: Path, source_root: Path) -> frozenset[Path]:
    """The files of the package that one file imports anywhere in its text, with their packages' ``__init__``."""
    names: set[str] = set()
    # a tree of the whole text would take most of the time that planning takes
    for statement in IMPORT.findall(file.read_text(encoding="utf-8")):
        if PACKAGE in statement or statement.startswith("from ."):
            names |= _names(statement, file)
    files: set[Path] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == PACKAGE:
            for length in range(1, len(parts) + 1):
                stem = source_root.joinpath(*parts[:length])
                files |= {f for f in (stem.with_suffix(".py"), stem / "__init__.py") if f.is_file()}
    return frozenset(files)


def _names(statement: str, file: Path) -> set[str]:
    try:
        (node,) = ast.parse(statement).body
    except SyntaxError:
        raise ValueError(f"{file} has a line that begins as an import and goes on otherwise: {statement}") from None
    if isinstance(node, ast.ImportFrom):
        if node.level or node.module is None:
            raise ValueError(f"{file} uses a relative import, which the code hash does not follow: write it in full.")
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    assert isinstance(node, ast.Import)
    return {alias.name for alias in node.names}
