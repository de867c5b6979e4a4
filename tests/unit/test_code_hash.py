"""The code hash of a step changes with what it computes, and with nothing else."""

from __future__ import annotations

import ast
import os
from functools import cache
from pathlib import Path

import pytest
from tests.harness.project import ROOT

import dejavu
from dejavu import paths
from dejavu.code_hash import HOW, READ_AS_CODE, SAYING, WORDED, code_hash, imported_modules, step_code

SOURCES = ROOT / "src"
# without the one whose result is never kept
SCRIPTS = [path for path in sorted((ROOT / "workflow" / "scripts").glob("*.py")) if path.stem != "check"]

# every call has a folder of its own, because files that were read are cached
MODULE = '''\
"""What it is for."""
from __future__ import annotations
from dejavu.errors import InputError, words
from dejavu.progress import Progress, say
COLUMNS = ["row", "uid"]
def f(x: int, y: float = 1.0) -> float:
    """A function."""
    progress = Progress("count", 2, "rows")
    if x < 0:
        raise InputError(f"{x} is below zero: raise it.")
    if x == 7:
        raise ValueError("seven is of ours")
    assert x != 8, "nor eight"
    told = words(f"{x:,} rows")
    say(f"counted {told}")
    progress.advance(x, "one more")
    return x + 2 * y
class A:
    """A class."""
    def g(self) -> str:
        return f"{self!r:>10} and ''"
'''
TREE = {
    "scripts/step.py": "from dejavu.floor.one import thing\n",
    "src/dejavu/__init__.py": "",
    "src/dejavu/floor/__init__.py": "",
    "src/dejavu/floor/one.py": "def f():\n    from dejavu.floor import two\n",
    "src/dejavu/floor/two.py": "import dejavu.three\n",
    "src/dejavu/three.py": MODULE,
    "src/dejavu/unrelated.py": "Y = 1\n",
    "src/dejavu/errors.py": "Z = 1\n",
    "sql/a.sql": "select 1",
}


@pytest.fixture
def hash_of(tmp_path):
    made = iter(range(100))

    def make(*others: str, **changes: str) -> str:
        root = tmp_path / str(next(made))
        for name, text in (TREE | changes).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return code_hash(root / "scripts/step.py", root / "src", *(root / other for other in others))

    return make


def changed(old: str, new: str) -> dict[str, str]:
    assert MODULE.count(old) == 1, old
    return {"src/dejavu/three.py": MODULE.replace(old, new)}


IN_ALL = ["scripts/step.py", *(f"src/dejavu/{name}.py" for name in ("floor/one", "floor/two", "three"))]


@pytest.mark.parametrize("name", [*IN_ALL, "src/dejavu/floor/__init__.py"])
def test_it_changes_with_the_script_and_all_that_it_imports_directly_or_not(hash_of, name):
    assert hash_of(**{name: TREE[name] + "W = 1\n"}) != hash_of()


@pytest.mark.parametrize("name", IN_ALL)
def test_a_comment_changes_it_nowhere(hash_of, name):
    assert hash_of(**{name: "# a comment\n" + TREE[name] + "\n\n# another\n"}) == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is for.", "What it is good for."),
        ('    """A function."""\n', ""),
        ('    """A function."""\n', '    """A function\n\n    Of two numbers.\n    """\n'),
        ("is below zero: raise it.", "is negative ({x * 2}): raise it."),
        ('f"{x} is below zero: raise it."', '"negative", x'),
        ("seven is of ours", "it is seven"),
        (', "nor eight"', ""),
        ("{x:,} rows", "{x} rows of many"),
        ('say(f"counted {told}")', 'say("counted")'),
        ('    say(f"counted {told}")\n', ""),
        ('progress.advance(x, "one more")', "progress.advance(x)"),
        ('"count", 2, "rows"', '"counting", 0, "rows"'),
        ("from dejavu.progress import Progress, say\n", "from dejavu.progress import Progress, say, shout\n"),
        ('["row", "uid"]', '[\n    "row",\n    "uid",\n]'),
    ],
)
def test_words_and_formatting_do_not_change_it(hash_of, old, new):
    assert hash_of(**changed(old, new)) == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 2 * y", "x - 2 * y"),
        ("x + 2 * y", "(x + 2) * y"),
        ("2 * y", "3 * y"),
        ("2 * y", "2.0 * y"),
        ("y: float = 1.0", "y: float = 2.0"),
        ('["row", "uid"]', '["uid", "row"]'),
        ('["row", "uid"]', '["row", "uid", ""]'),
        ('["row", "uid"]', '["row", "uid", None]'),
        ('["row", "uid"]', '("row", "uid")'),
        ("x < 0", "x <= 0"),
        ("    if x < 0:\n", "    if x < 0 and y:\n"),
        ("raise ValueError", "raise KeyError"),
        ("assert x != 8", "assert x != 9"),
        ("{self!r:>10}", "{self!s:>10}"),
        ("{self!r:>10}", "{self!r:>11}"),
        (" and ''", " and '"),
        ("class A", "class A(int)"),
        ("    def g(self)", "    @property\n    def g(self)"),
        ("return x + 2 * y", "yield x + 2 * y"),
        # another module may read the name
        ("COLUMNS =", "TABLES ="),
    ],
)
def test_what_computes_changes_it(hash_of, old, new):
    assert hash_of(**changed(old, new)) != hash_of()


def test_it_stays_when_an_unrelated_module_changes_or_appears(hash_of):
    assert hash_of(**{"src/dejavu/unrelated.py": "Y = 2\n"}) == hash_of()
    assert hash_of(**{"src/dejavu/floor/new.py": "Z = 1"}) == hash_of()


def test_it_stays_when_the_package_s_own_file_changes(hash_of):
    assert hash_of(**{"src/dejavu/__init__.py": "from dejavu.unrelated import Y\n__version__ = '9'\n"}) == hash_of()


def test_it_stays_when_a_module_changes_that_decides_how_a_job_runs(hash_of):
    assert hash_of(**{"src/dejavu/errors.py": "Z = 2\nfrom dejavu.unrelated import Y\n"}) == hash_of()


def test_it_is_the_same_in_another_clone_with_other_times(hash_of, tmp_path):
    before = hash_of()
    root = tmp_path / "clone"
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_000_000, 1_000_000))
    assert code_hash(root / "scripts/step.py", root / "src") == before


def test_it_covers_the_other_files_that_a_step_reads_as_code_byte_by_byte(hash_of):
    with_sql = hash_of("sql")
    assert with_sql != hash_of()
    assert with_sql == hash_of("sql/a.sql")
    assert hash_of("sql", **{"sql/a.sql": "select 1\n"}) != with_sql
    assert hash_of("sql", **{"sql/b.sql": "select 1"}) != with_sql
    assert hash_of("sql", **{"sql/__pycache__/a.pyc": "x"}) == with_sql


def test_a_relative_import_is_refused_since_it_would_miss_it(hash_of):
    with pytest.raises(ValueError, match="relative import"):
        hash_of(**{"src/dejavu/floor/one.py": "from . import two\n"})


# the library itself


def test_every_script_has_a_hash_of_its_own_and_names_itself():
    found = {script.name: step_code(script.name, ROOT) for script in SCRIPTS}
    assert len(set(found.values())) == len(SCRIPTS) > 5
    assert all(code.split() == [name, code.split()[1]] and len(code.split()[1]) == 16 for name, code in found.items())


def test_what_scripts_read_as_code_is_there_and_is_named_by_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    for script, others in READ_AS_CODE.items():
        assert f'code("{script}")' in rules
        assert all((ROOT / other).exists() for other in others)
    # scripts that read SQL queries or templates by their folder
    for script in SCRIPTS:
        reads = {part for part in ("sql", "report") if f'"{part}"' in script.read_text()}
        folders = [Path(other).parts for other in READ_AS_CODE.get(script.name, ())]
        # a script may also hand the whole folder of the workflow on
        assert reads <= {second for first, second, *_ in folders if first == "workflow"}


def test_a_report_s_column_is_in_no_hash_before_the_database():
    reading = {
        script.name for script in SCRIPTS if SOURCES / "dejavu/tables/database.py" in imported_modules(script, SOURCES)
    }
    # what may leave the house is a copy of the database
    assert reading == {"database.py", "share.py"}


@cache
def steps() -> list[tuple[Path, ast.Module]]:
    """The files that count in the hash of a step, as trees."""
    paths = {path for script in SCRIPTS for path in [script, *imported_modules(script, SOURCES)]}
    return [(path, ast.parse(path.read_text())) for path in sorted(paths)]


def test_steps_name_the_module_of_tables_that_they_use_since_the_package_hides_it():
    for path, tree in steps():
        taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "dejavu.tables"]
        assert not taken, f"{path} imports from dejavu.tables: name its module, or the code hash misses it"


def test_steps_take_only_the_version_from_the_package_s_own_file():
    for path, tree in steps():
        taken = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "dejavu"
            for alias in node.names
        }
        assert not taken & set(dejavu.__all__) - {"__version__"}, f"{path}: import from the module that defines it"
        whole = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert "dejavu" not in whole, f"{path} imports dejavu: import names of its modules"


# (file, name from a module of HOW) -> why the name reaches no result, although it is more than words
KNOWN = {
    ("train.py", "CLUSTER_JOB"): "says whether the job's nodes are Slurm's",
    ("files.py", "refused_writing"): "chooses the error",
    ("torchrun.py", "STARTER"): "is handed to processes that are started",
    ("distributed.py", "die_with_parent"): "is run in processes that are started",
    ("model.py", "closest"): "is part of a sentence",
    **{(file, name): "says where a file lies" for file in ("base.py", "webdataset.py") for name in ("RAW", "at")},
    # of the database
    **{("run.py", name): "says where a file lies" for name in ("at", *filter(str.isupper, vars(paths)))},
    **{
        (f"{script}.py", name): "says where embeddings are kept"
        for script in ("embed", "embed_queries")
        for name in ("KEPT_EMBEDDING", "MANIFEST", "at")
    },
    **{("provenance.py", name): "says where a checkpoint lies" for name in ("CHECKPOINTS", "at")},
    **{("roles.py", name): "says in which split a side is trained" for name in ("TRAINING", "TRAINING_STATE", "at")},
    **{("benchmarks.py", name): "says where a file lies" for name in ("EVALUATION", "at")},
}


def test_modules_outside_of_the_hash_give_no_value_that_reaches_an_output():
    for path, tree in steps():
        above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in HOW
            for alias in node.names
        }
        assert not [
            node for node in ast.walk(tree) if isinstance(node, ast.Import) and HOW & {a.name for a in node.names}
        ], f"{path} imports a whole module: import names of it"
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in names and (path.name, node.id) not in KNOWN:
                assert is_harmless(node, above), f"{path}:{node.lineno}: {node.id} could reach an output"


def is_harmless(node: ast.Name, above: dict[ast.AST, ast.AST]) -> bool:
    """Whether a name is used for words, for the course of a job, or for its progress."""
    inner: ast.AST = node
    while (outer := above.get(inner)) is not None:
        called = outer.func if isinstance(outer, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in WORDED | {"isinstance"} and (inner is called or called.id):
            return called.id != "Progress" or kept_as_progress(outer, above)
        if isinstance(outer, ast.Raise | ast.ExceptHandler | ast.arg) or field_of(outer, inner) in (
            "returns",
            "annotation",
        ):
            return True
        if isinstance(outer, ast.withitem) and inner is outer.context_expr:
            return outer.optional_vars is None
        if isinstance(outer, ast.Expr):
            return True
        if isinstance(outer, ast.stmt):
            return False
        inner = outer
    return False


def field_of(outer: ast.AST, inner: ast.AST) -> str:
    return next((name for name, value in ast.iter_fields(outer) if value is inner), "")


def kept_as_progress(call: ast.Call, above: dict[ast.AST, ast.AST]) -> bool:
    statement = above[call]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [getattr(target, "attr", getattr(target, "id", "")) for target in targets] == ["progress"]


def test_what_is_left_out_of_the_hash_has_no_effect():
    """A line of progress, or the words of an error, may not change a variable or draw the next value of something."""
    for path, tree in steps():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            of_progress = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("progress")
            if name in WORDED | SAYING or of_progress:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    effects = [
                        part
                        for part in ast.walk(argument)
                        if isinstance(part, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Await)
                        or (isinstance(part, ast.Call) and ast.unparse(part.func).split(".")[-1] in EFFECTS)
                    ]
                    assert not effects, f"{path}:{node.lineno}: {ast.unparse(argument)}"


EFFECTS = {
    "next",
    "pop",
    "append",
    "add",
    "update",
    "write",
    "read",
    "readline",
    "send",
    "random",
    "unlink",
    "write_text",
}


def test_no_step_writes_what_an_error_of_ours_says():
    for path, tree in steps():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and node.type is not None and "InputError" in ast.unparse(node.type):
                assert node.name is None or path.name == "worker.py", f"{path}:{node.lineno}"


def test_it_changes_with_the_tables_beside_a_package_that_is_imported(hash_of):
    table = "src/dejavu/floor/words.txt"
    assert len({hash_of(), hash_of(**{table: "a: b\n"}), hash_of(**{table: "a: c\n"})}) == 3
    assert hash_of(**{"src/dejavu/other/words.txt": "a: b\n", "src/dejavu/other/__init__.py": ""}) == hash_of()
