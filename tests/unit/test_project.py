"""What the project promises about itself: locked versions, environments in step, imports that go down only."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

FLOORS = [
    {
        "errors",
        "files",
        "progress",
        "tables",
        "paths",
        "project",
        "code_hash",
        "devices",
        "processes",
        "slurm",
        "arguments",
    },
    {"data"},
    {"memorization"},
    {"training", "encoders", "retrieval"},
    {"measurement", "utility"},
    {"database"},
    {"report", "results"},
    {"check", "costs"},
    {"cli", "__main__"},
]
# modules that the Snakefile uses -> the floor up to which they import
BESIDE = {
    "checkpoints": 0,
    "config": 1,
    "digests": 0,
    "replicates": 0,
    "roles": 0,
    "sides": 0,
    "sweeps": 0,
    "plan": 1,
    "upgrade": 1,
}

CONDA_NAMES = {
    "python-duckdb": "duckdb",
    "matplotlib-base": "matplotlib",
    "pytorch": "torch",
    "pytorch-gpu": "torch",
}


def locked(name: str) -> dict[str, set[str]]:
    """Package -> versions, of which Python 3.11 takes the one without a marker for newer Pythons."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        found = re.match(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)(?: ; (.*?))? \\$", line)
        if found and not re.search(r"python_full_version >= '3\.1[2-9]'", found.group(3) or ""):
            versions.setdefault(found.group(1), set()).add(found.group(2))
    return versions


def floor_of(module: str) -> int:
    top = module.split(".")[1]
    return BESIDE[top] if top in BESIDE else next(i for i, names in enumerate(FLOORS) if top in names)


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def test_imports_go_down_only() -> None:
    for file in sorted((ROOT / "src" / "dejavu").rglob("*.py")):
        module = module_of(file)
        if module == "dejavu":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dejavu."):
                target = str(node.module)
                assert floor_of(target) <= floor_of(module), f"{module} imports {target}, which is on a higher floor"


def test_the_map_has_the_floors_of_the_library() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", page, re.MULTILINE)
    assert {int(floor): set(re.findall(r"`(\w+)`", names)) for floor, names in rows} == dict(enumerate(FLOORS))


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    files = {module_of(file): file for file in (ROOT / "src" / "dejavu").rglob("*.py")}
    for module, file in files.items():
        named: set[str] = set()
        # imports within functions count: they hide a circle and do not undo it
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names} & files.keys()
                named |= inside or {node.module}
        graph[module] = named & files.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


# lists with one entry a line
LISTS = {"src/dejavu/data/vocabularies", "src/dejavu/memorization/words"}


def test_no_file_has_more_than_300_lines() -> None:
    long = {}
    for folder in ("src", "workflow"):
        for file in (ROOT / folder).rglob("*"):
            name = file.relative_to(ROOT).as_posix()
            if file.is_file() and "__pycache__" not in file.parts and str(Path(name).parent) not in LISTS:
                lines = len(file.read_bytes().splitlines())
                if lines > 300 and ".egg-info" not in name:
                    long[name] = lines
    assert not long, f"cut them by what they are about: {long}"


@pytest.mark.parametrize(("environment", "lock"), [("cpu", "requirements.lock"), ("gpu", "requirements-gpu.lock")])
def test_conda_environments_are_in_step_with_the_lock_file(environment: str, lock: str) -> None:
    versions = locked(lock)
    pins = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    names = {}
    for pin in pins[1:]:
        name, version = pin.split("=")
        names[CONDA_NAMES.get(name, name)] = version
    for name, version in names.items():
        assert versions[name] == {version}, name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[><=]", line)[0].replace("_", "-") for line in project["dependencies"]} - {
        "snakemake",
        "snakemake-executor-plugin-slurm",
    }
    assert needed | {f"faiss-{environment}"} == set(names)


def test_both_lock_files_pin_the_same_versions() -> None:
    cpu, gpu = locked("requirements.lock"), locked("requirements-gpu.lock")
    assert {name: cpu[name] for name in cpu if name in gpu} == {name: gpu[name] for name in gpu if name in cpu}
    assert set(cpu) - set(gpu) == {"faiss-cpu"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-gpu.lock", "requirements-text-encoder.lock"])
def test_every_locked_version_has_hashes_and_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_names_of_tests_are_short_and_tests_import_none_of_each_other() -> None:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert len(node.name) <= 80, f"{file}: {node.name}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                assert str(node.module).startswith("tests.harness"), f"{file} imports {node.module}"
