"""A hash of what a step computes, so that editing a library module reruns the steps whose results it can change.

Snakemake compares a rule's script but does not look at what the script imports. Every rule therefore carries the hash
made here as a parameter. It is taken over the syntax of the script and of all that it imports, without what changes no
result: comments, docstrings, formatting, the words of errors and progress, and modules that decide how a job runs and
never what it makes (:data:`HOW`). Touching a file, or checking it out anew, changes nothing either.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "dejavu"
# how a job runs and where its files lie; a test refuses an import of theirs for a value that could reach an output
HOW = frozenset(f"{PACKAGE}.{name}" for name in ("devices", "errors", "paths", "processes", "progress", "slurm"))
# calls whose arguments are words: they are left out, the call itself stays. No step writes what an error of these says
ERRORS = ("InputError", "AssertionError", "KeyError", "RuntimeError", "SystemExit", "TypeError", "ValueError")
WORDED = frozenset(("Progress", "words", *ERRORS))
# statements that only say something are left out whole
SAYING = frozenset(("say", "print"))
PROGRESS = "progress"

# what the steps' scripts read as code besides the modules that they import, relative to the project: SQL, templates,
# styles, texts, and modules that are imported by a name which only the run knows
READ_AS_CODE = {
    "database.py": ("workflow/sql/bands.sql", "workflow/sql/views"),
    "figures.py": ("workflow/sql", "src/dejavu/report/figures"),
    "report.py": ("workflow/sql", "workflow/report/site", "workflow/report/figures"),
    "study.py": ("workflow/sql", "workflow/report/site", "workflow/report/studies"),
}


def step_code(script: str, base: Path, module: str | None = None, name: str | None = None) -> str:
    """What a rule carries as its parameter ``code``: the name of its script, and the hash of all that it runs.

    Args:
        script: a file in ``workflow/scripts``.
        base: the project's folder.
        module: a module of this package that the script imports by a name that its job is given.
        name: of the step, where several steps run one script; None: that of the script.
    """
    others = [base / other for other in READ_AS_CODE.get(script, ())]
    called = script if name is None else f"{name}.py"
    path = base / "workflow" / "scripts" / script
    return f"{called} {code_hash(path, base / 'src', *others, module=module)}"


def code_hash(script: Path, source_root: Path, *others: Path, module: str | None = None) -> str:
    """The hash of a script, of all modules of this package that it imports, directly or not, and of other files.

    Text files beside the ``__init__.py`` of an imported package count byte by byte: tables that it reads.

    Args:
        script: the Python file that the rule runs.
        source_root: the folder that holds the package ``dejavu``.
        others: files that the step reads as code; of a folder, every file in it. Python modules count as the script
            does, other files (SQL, templates, styles) byte by byte.
        module: a module that counts as imported, though no statement of the script names it.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: when a file has a relative import, which is not followed.
    """
    read = [file for other in others for file in (sorted(other.rglob("*")) if other.is_dir() else [other])]
    scripts = {
        script,
        *(file for file in read if file.suffix == ".py"),
        *(_files(module, source_root) if module else ()),
    }
    modules = scripts.union(*(imported_modules(file, source_root) for file in scripts))
    digests = {file: _module(file, source_root).digest for file in modules}
    tables = [table for file in modules if file.name == "__init__.py" for table in file.parent.glob("*.txt")]
    for file in {*read, *tables} - scripts:
        if file.is_file():
            digests[file] = hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
    base = source_root.parent
    pairs = sorted(
        (file.relative_to(base).as_posix(), digest)
        for file, digest in digests.items()
        if "__pycache__" not in file.parts
    )
    whole = hashlib.blake2b(digest_size=8)
    for name, digest in pairs:
        whole.update(name.encode() + b"\0" + digest + b"\0")
    return whole.hexdigest()


def imported_modules(script: Path, source_root: Path) -> set[Path]:
    """The files of all modules of this package that a script imports, directly or not, without those of ``HOW``.

    Raises:
        ValueError: when a file has a relative import, which is not followed.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        new = _module(waiting.pop(), source_root).imports - found
        found |= new
        waiting += new
    return found


@dataclass(frozen=True)
class _Module:
    """What a Python file computes, as a digest, and the files of the package that it imports."""

    digest: bytes
    imports: frozenset[Path]


@cache
def _module(file: Path, source_root: Path) -> _Module:
    tree = ast.parse(file.read_bytes(), filename=str(file))
    digest = hashlib.blake2b(_essence(tree).encode(errors="surrogatepass"), digest_size=16).digest()
    return _Module(digest, frozenset(path for name in _imports(tree, file) for path in _files(name, source_root)))


def _essence(tree: ast.AST) -> str:
    """The tree in words, the same for every version of Python, without what changes no result."""
    words: list[str] = []
    _spell(tree, words.append)
    return " ".join(words)


def _spell(node: ast.AST, add: Callable[[str], None]) -> None:
    kind = type(node)
    add(kind.__name__)
    # by far the most nodes are of these two kinds
    if isinstance(node, ast.Name):
        add(node.id)
        return
    if isinstance(node, ast.Constant):
        add(repr(node.value))
        return
    worded = kind in _WORDY and _wording(node)
    for field in node._fields:
        value = getattr(node, field, None)
        # None and empty lists are left out, since new versions add fields
        if value is None or value == [] or field == "ctx" or (worded and field in worded):
            continue
        add(field)
        for part in value if type(value) is list else (value,):
            if not isinstance(part, ast.AST):
                add(repr(part))
            elif type(part) not in _MUTE or not _is_mute(part):
                _spell(part, add)
    add(")")


_WORDY = frozenset((ast.Assert, ast.Call))
_MUTE = frozenset((ast.Expr, ast.ImportFrom))


def _wording(node: ast.AST) -> tuple[str, ...]:
    """The fields of a node that hold nothing but words for people."""
    if isinstance(node, ast.Assert):
        return ("msg",)
    assert isinstance(node, ast.Call)
    return ("args", "keywords") if _name(node.func) in WORDED else ()


def _is_mute(node: ast.AST) -> bool:
    """Whether a statement changes no result: a docstring, a line of progress, an import of how a job runs."""
    if isinstance(node, ast.ImportFrom):
        return node.module in HOW
    assert isinstance(node, ast.Expr)
    if isinstance(node.value, ast.Constant):
        return True
    if not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    return _name(called) in SAYING or (isinstance(called, ast.Attribute) and _name(called.value) == PROGRESS)


def _name(node: ast.AST) -> str:
    """The last part of a name with or without dots."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _imports(tree: ast.Module, file: Path) -> Iterator[str]:
    """The names of modules of the package, or of what may be one, that are imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(
                    f"{file} has a relative import, which the code hash does not follow: write it in full."
                )
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _files(name: str, source_root: Path) -> Iterator[Path]:
    """The file of a module of the package that counts, with those of the packages that it lies in."""
    parts = name.split(".")
    if parts[0] != PACKAGE or ".".join(parts[:2]) in HOW:
        return
    for length in range(1, len(parts) + 1):
        stem = source_root.joinpath(*parts[:length])
        yield from (file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())
