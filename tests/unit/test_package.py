"""What is installed: the wheel and the sdist hold all that the workflow needs, one version, a documented surface."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.harness.project import ROOT
from tests.harness.wheels import build, unpacked_wheel

import dejavu
from dejavu.code_hash import step_code
from dejavu.results import open_database, query_names

FOLDERS = ("workflow", "config", "profiles", "envs", ".test/config")
SCRIPTS = sorted(path.name for path in (ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_wheel(tmp_path_factory.mktemp("wheel"))


def files_below(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix() for path in files}


def test_the_wheel_holds_the_library_and_all_files_of_the_workflow(site: Path) -> None:
    package = site / "dejavu"
    assert files_below(package) - {f for f in files_below(package) if f.startswith("workflow_files/")} == files_below(
        ROOT / "src" / "dejavu"
    )
    shipped = package / "workflow_files"
    for folder in FOLDERS:
        assert files_below(shipped / folder) == files_below(ROOT / folder) != set()
    assert files_below(shipped) == {"Snakefile"} | {f"{name}/{f}" for name in FOLDERS for f in files_below(ROOT / name)}
    assert (package / "py.typed").is_file()


def test_a_step_has_the_same_code_hash_in_the_wheel_as_in_the_clone(site: Path) -> None:
    shipped = site / "dejavu" / "workflow_files"
    assert {name: step_code(name, shipped) for name in SCRIPTS} == {name: step_code(name, ROOT) for name in SCRIPTS}


def test_a_wheel_built_from_the_sdist_is_that_of_the_clone(site: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert files_below(unpacked_wheel(tmp_path / "wheel", source)) == files_below(site)
    # what the tests need comes along
    assert {"Makefile", "requirements.lock", "tests/conftest.py", "docs/README.md"} <= files_below(source)


def test_the_version_stands_in_one_place_and_the_other_files_say_the_same(site: Path) -> None:
    metadata = next(site.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    assert re.search(r"^Version: (.+)$", metadata, re.MULTILINE).group(1) == dejavu.__version__  # type: ignore[union-attr]
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]) == dejavu.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == dejavu.__version__


def test_no_dependency_is_pinned_where_others_install_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = [line for line in project["dependencies"] if "==" in line]
    assert not pinned, "the lock files pin; others may need another version"


# the public surface


def test_importing_the_package_imports_nothing_else() -> None:
    told = "import sys; before = set(sys.modules); import dejavu; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", told], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["dejavu"]


def test_the_package_lists_its_public_names_and_hides_no_module_of_its_own() -> None:
    named = set(re.findall(r"``(\w+)``", str(dejavu.__doc__).partition("Results of a finished run:")[2]))
    assert named == set(dejavu.__all__) - {"__version__"}
    modules = {path.stem for path in (ROOT / "src" / "dejavu").iterdir()}
    assert not modules & set(dejavu.__all__), "importing the module would put it in the place of the name"
    assert set(dejavu.__all__) <= set(dir(dejavu))


def public_callables() -> Iterator[tuple[str, object]]:
    """Yield the public functions and classes with their public methods and properties."""
    for name in dejavu.__all__:
        value = getattr(dejavu, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value
        for key, part in vars(value).items() if inspect.isclass(value) else ():
            function = part.fget if isinstance(part, property) else part
            if inspect.isfunction(function) and not key.startswith("_"):
                yield f"{name}.{key}", function


def test_every_public_docstring_has_the_shapes_and_types_of_its_arrays() -> None:
    seen = 0
    for name, function in public_callables():
        text = inspect.getdoc(function)
        assert text, name
        if inspect.isclass(function) and not hasattr(function, "__dataclass_fields__"):
            continue
        signature = inspect.signature(function)  # type: ignore[arg-type]
        arrays = [key for key, part in signature.parameters.items() if "ndarray" in str(part.annotation)]
        if arrays or "ndarray" in str(signature.return_annotation):
            seen += 1
            unnamed = [key for key in arrays if not re.search(rf"\b{key}\b", text)]
            assert not unnamed, f"{name} does not say what {', '.join(unnamed)} is"
            assert re.search(r"\((\.\.\.|\w+),( [\w` ]+)*\)", text), f"{name} names no shape"
            assert re.search(r"\b(float|int|bool|intp|float64|int32|int64)\b", text), f"{name} names no type"
    assert seen > 15


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(dejavu.InputError, match=r"there is no database .*none.duckdb: a run writes"):
        open_database(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(dejavu.InputError, match="text.duckdb cannot be opened as a DuckDB database"):
        open_database(tmp_path / "text.duckdb")
    assert {"result_table", "verdicts"} <= set(query_names())


# containers


@pytest.mark.parametrize(("container", "lock"), [("cpu", "requirements.lock"), ("gpu", "requirements-gpu.lock")])
def test_a_container_has_the_versions_of_its_lock_file(container: str, lock: str) -> None:
    text = (ROOT / "containers" / f"{container}.Dockerfile").read_text(encoding="utf-8")
    (python,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    assert f"--python-version {python} " in (ROOT / lock).read_text(encoding="utf-8").splitlines()[1]
    assert f"--extra {container} " in (ROOT / lock).read_text(encoding="utf-8").splitlines()[1]
    installs = re.findall(r"^RUN pip install (.+)$", text, re.MULTILINE)
    assert installs == [
        f"--no-deps --require-hashes -r /src/{lock}",
        "--no-deps --no-build-isolation /src",
    ]
    copied = {part for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for part in line.split()}
    build_of_wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = build_of_wheel["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert copied == {lock, "pyproject.toml", "README.md", "LICENSE", "src", *shipped}
    # the tool that builds the package is locked as well
    assert re.search(r"^hatchling==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
