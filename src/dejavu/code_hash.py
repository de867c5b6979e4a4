"""The code hash of a step: editing a library module reruns exactly the steps whose code hash changes.

Snakemake compares a rule's script, but not the modules that the script imports. Every rule therefore carries the code
hash as a parameter. The hash covers the syntax trees of the script and of all modules that it imports. It leaves out
everything that changes no result: comments, docstrings, formatting, the words of errors and progress, and the modules
that decide how a job runs and never what it computes (:data:`HOW`). Touching a file or checking it out again keeps the
hash.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dejavu.project import sources_of

PACKAGE = "dejavu"
# These modules decide how a job runs and where its files are. A test refuses any use that could change an output.
HOW = frozenset(f"{PACKAGE}.{name}" for name in ("devices", "errors", "paths", "processes", "progress", "slurm"))
# The hash leaves out the arguments of calls to these names, since they are words for people; no step writes the text of
# such an error into an output.
ERRORS = ("InputError", "AssertionError", "KeyError", "RuntimeError", "SystemExit", "TypeError", "ValueError")
WORDED = frozenset(("Progress", "words", *ERRORS))
# The hash leaves out whole statements that call these functions, which only print.
SAYING = frozenset(("say", "print"))
PROGRESS = "progress"

# script -> files and folders that it reads as code besides its imports, relative to the project: SQL, templates,
# styles, texts, and modules whose names only the run knows.
READ_AS_CODE = {
    "database.py": ("workflow/sql/bands.sql", "workflow/sql/views"),
    "figures.py": ("workflow/sql", "src/dejavu/report/figures"),
    "report.py": (
        "workflow/sql",
        "workflow/report/site",
        "workflow/report/figures",
        "workflow/report/take-along",
        "workflow/schemas/audit.schema.json",
    ),
    "share.py": (
        "workflow/sql",
        "workflow/report",
        "workflow/share",
        "workflow/schemas/audit.schema.json",
        "src/dejavu/report/figures",
    ),
    "study.py": ("workflow/sql", "workflow/report/site", "workflow/report/studies"),
}


def step_code(script: str, base: Path, module: str | None = None, name: str | None = None) -> str:
    """Return the parameter ``code`` of a rule: the name of its script, and its code hash.

    Args:
        script: a file in ``workflow/scripts``.
        base: the project's folder.
        module: a module of this package that the script imports under a name from the job's parameters.
        name: the step's name, where several steps run one script; None takes the name of the script.
    """
    sources = sources_of(base)
    others = [_place(entry, base, sources) for entry in READ_AS_CODE.get(script, ())]
    step = script if name is None else f"{name}.py"
    path = base / "workflow" / "scripts" / script
    return f"{step} {code_hash(path, sources, *others, module=module, base=base)}"


def _place(entry: str, base: Path, sources: Path) -> Path:
    """Return where a file of the clone is, which an installed package has elsewhere if it is of the library."""
    return sources / entry.removeprefix("src/") if entry.startswith("src/") else base / entry


def code_hash(
    script: Path, source_root: Path, *others: Path, module: str | None = None, base: Path | None = None
) -> str:
    """Return the hash of a script, of the modules of this package that it imports, directly or not, and of other files.

    The text files beside the ``__init__.py`` of an imported package are tables that the package reads. They count byte
    by byte.

    Args:
        script: the Python file that the rule runs.
        source_root: the folder that holds the package ``dejavu``.
        others: files that the step reads as code; a folder stands for every file in it. Python modules count by their
            syntax trees, other files (SQL, templates, styles) byte by byte.
        module: a module that counts as imported, though no statement of the script names it.
        base: the project's folder; None takes the one above ``source_root``. Files count under their names in a
            clone, so an installed package has the hashes of the clone that it was built from.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: when a file has a relative import, which the hash cannot follow.
    """
    read = [file for entry in others for file in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])]
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
    base = base or source_root.parent
    pairs = sorted(
        (_name_in_clone(file, base, source_root), digest)
        for file, digest in digests.items()
        if "__pycache__" not in file.parts
    )
    whole = hashlib.blake2b(digest_size=8)
    for name, digest in pairs:
        whole.update(name.encode() + b"\0" + digest + b"\0")
    return whole.hexdigest()


def _name_in_clone(file: Path, base: Path, source_root: Path) -> str:
    inside = file.relative_to(base) if file.is_relative_to(base) else Path("src") / file.relative_to(source_root)
    return inside.as_posix()


def imported_modules(script: Path, source_root: Path) -> set[Path]:
    """Return the files of all modules of this package that a script imports, directly or not, except those in ``HOW``.

    Raises:
        ValueError: when a file has a relative import, which the hash cannot follow.
    """
    files: set[Path] = set()
    waiting = [script]
    while waiting:
        new = _module(waiting.pop(), source_root).imports - files
        files |= new
        waiting += new
    return files


@dataclass(frozen=True)
class _Module:
    """A Python file: a digest of what it computes, and the files of this package that it imports."""

    digest: bytes
    imports: frozenset[Path]


@cache
def _module(file: Path, source_root: Path) -> _Module:
    # The package's own file only names what other modules define, and no step takes a result from it: a test looks.
    text = b"" if file == source_root / PACKAGE / "__init__.py" else file.read_bytes()
    essence, imports = _essence(ast.parse(text, filename=str(file)))
    digest = hashlib.blake2b(essence.encode(errors="surrogatepass"), digest_size=16).digest()
    return _Module(digest, frozenset(path for name in _imported(imports, file) for path in _files(name, source_root)))


_Import = ast.Import | ast.ImportFrom


def _essence(tree: ast.AST) -> tuple[str, list[_Import]]:
    """Return a syntax tree as text, the same in every version of Python, and its imports.

    Both are without the parts that change no result.
    """
    words: list[str] = []
    imports: list[_Import] = []
    _spell(tree, words.append, imports)
    return " ".join(words), imports


def _spell(node: ast.AST, add: Callable[[str], None], imports: list[_Import]) -> None:
    kind = type(node)
    add(kind.__name__)
    # Names and constants are by far the most frequent nodes, so they are handled first.
    if isinstance(node, ast.Name):
        add(node.id)
        return
    if isinstance(node, ast.Constant):
        add(repr(node.value))
        return
    if isinstance(node, _Import):
        imports.append(node)
    worded = kind in _WORDY and _wording(node)
    for field in node._fields:
        value = getattr(node, field, None)
        # New versions of Python add fields that are None or empty, so the text leaves such fields out.
        if value is None or value == [] or field == "ctx" or (worded and field in worded):
            continue
        add(field)
        for part in value if type(value) is list else (value,):
            if not isinstance(part, ast.AST):
                add(repr(part))
            elif type(part) not in _MUTE or not _is_mute(part):
                _spell(part, add, imports)
    add(")")


_WORDY = frozenset((ast.Assert, ast.Call))
_MUTE = frozenset((ast.Expr, ast.ImportFrom))


def _wording(node: ast.AST) -> tuple[str, ...]:
    """Return the names of those fields of a node that hold only words for people."""
    if isinstance(node, ast.Assert):
        return ("msg",)
    assert isinstance(node, ast.Call)
    return ("args", "keywords") if _name(node.func) in WORDED else ()


def _is_mute(node: ast.AST) -> bool:
    """Return whether a statement changes no result: a docstring, a line of progress, an import from ``HOW``."""
    if isinstance(node, ast.ImportFrom):
        return node.module in HOW
    assert isinstance(node, ast.Expr)
    if isinstance(node.value, ast.Constant):
        return True
    if not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    return _name(function) in SAYING or (isinstance(function, ast.Attribute) and _name(function.value) == PROGRESS)


def _name(node: ast.AST) -> str:
    """Return the last part of a dotted name, or the name itself."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _imported(imports: list[_Import], file: Path) -> Iterator[str]:
    """Yield every imported name of a file that is a module, or may be one: ``from a import b`` yields a and a.b."""
    for node in imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        if node.level or node.module is None:
            raise ValueError(f"{file} has a relative import, which the code hash does not follow: write it in full.")
        yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@cache
def _files(name: str, source_root: Path) -> frozenset[Path]:
    """Return the file of a module of this package and the ``__init__.py`` of the packages above; none for ``HOW``."""
    package, _, rest = name.partition(".")
    if package != PACKAGE or f"{package}.{rest.partition('.')[0]}" in HOW:
        return frozenset()
    stem = source_root.joinpath(*name.split("."))
    above = _files(name.rpartition(".")[0], source_root) if rest else frozenset()
    return above.union(file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())
