"""The pages of the project: their links, the pages and tests that they name, and the reference that is generated."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from dejavu.config.reference import configuration_reference
from dejavu.config.schema import read_schema

ROOT = Path(__file__).resolve().parents[2]


@cache
def project_files() -> list[Path]:
    """Return the files that git tracks, and new files that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("the files of the project are asked of git, and this is no clone")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def pages() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def prose(page: Path) -> str:
    """Return the text of a page without its blocks of code, which hold neither links nor headings."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, in GitHub's spelling."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose(page), flags=re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        repeated = sum(1 for one in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", one))
        found.add(f"{slug}-{repeated}" if repeated else slug)
    return found


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links into the project."""
    without_code = re.sub(r"`[^`\n]*`", "", prose(page))
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", without_code):
        if not re.match(r"[a-z]+:", target):
            yield target


def test_every_link_and_anchor_of_the_pages_resolves() -> None:
    broken = []
    for page in pages():
        for target in links(page):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                broken.append(f"{page.relative_to(ROOT)}: there is no {path}")
            elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target} has no such heading")
    assert not broken, "\n".join(broken)


def test_every_page_that_code_or_configuration_names_exists() -> None:
    suffixes = {".py", ".smk", ".yaml", ".sql", ".rst", ".j2", ".toml", ".md"}
    missing = []
    for file in project_files():
        if file.suffix not in suffixes and file.name not in ("Makefile", "Snakefile"):
            continue
        for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|svg|jpg)\b", file.read_text(encoding="utf-8")):
            if not (ROOT / name).is_file():
                missing.append(f"{file.relative_to(ROOT)} names {name}")
    assert not missing, "\n".join(missing)


def test_the_index_lists_every_page_of_docs() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} <= listed


def test_the_reference_of_the_configuration_is_that_of_its_schema() -> None:
    shown = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert shown == configuration_reference(schema()), "run: make reference"


def test_every_key_of_the_configuration_has_a_text() -> None:
    silent = sorted(set(keys_without_text(schema(), "")))
    assert not silent, ", ".join(silent)


def test_the_reference_names_every_key_of_the_schema() -> None:
    shown = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = {(name, key) for name, table in tables(shown) for key in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)}
    assert {key for _, key in rows} == set(all_keys(schema()))
    assert ("measure", "k") in rows and ("splits.<name>.roles.<a, b, public, holdout, shared>", "limit") in rows


def schema() -> dict:
    return read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")


def keys_without_text(part: object, where: str) -> Iterator[str]:
    """Yield the keys of the schema, at any depth, that have no description of their own."""
    if isinstance(part, dict):
        for key, below in part.get("properties", {}).items():
            if not str(below.get("description", "")).strip():
                yield f"{where}.{key}"
        for key, below in part.items():
            yield from keys_without_text(below, f"{where}.{key}")


def all_keys(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part.get("properties", {})
        for below in part.values():
            yield from all_keys(below)


def tables(page: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the sections of the reference."""
    for part in re.split(r"^##+ ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        yield heading.strip("`"), text


MAP = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md")
ROOMS = "src|workflow|tests|config|docs|benchmarks|profiles|envs|examples"


def test_every_test_that_a_page_names_exists() -> None:
    names = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {
        (page.relative_to(ROOT).as_posix(), name)
        for page in pages()
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    }
    assert {page for page, _ in named} >= {"docs/architecture.md"}
    assert not [f"{page} names {name}" for page, name in sorted(named) if name not in names]


def test_every_path_and_module_that_the_map_names_exists() -> None:
    missing = []
    for page in MAP:
        text = (ROOT / page).read_text(encoding="utf-8")
        paths = set(re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text)) | set(
            re.findall(r"^([\w./-]+/)  +", text, re.MULTILINE)
        )
        missing += [f"{page} names {path}" for path in sorted(paths) if not is_in_the_project(path)]
        for module in sorted(set(re.findall(r"`(dejavu(?:\.\w+)+)`", text))):
            if not exists_below_the_package(module.split(".")):
                missing.append(f"{page} names {module}")
    assert not missing, "\n".join(missing)


def test_the_tree_of_the_readme_has_every_room_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^## Where things are\n.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    files = [path.relative_to(ROOT) for path in project_files()]
    folders = {folder.as_posix() for file in files for folder in file.parents} - {"."}
    assert not named - folders - {"Snakefile", "results", "logs"}
    unnamed = sorted(
        folder
        for folder in folders - named
        # a folder needs no line where its rooms are named, or where it lies within a named room
        if not any(room.startswith(f"{folder}/") for room in named)
        and not any(parent.as_posix() in named for parent in Path(folder).parents)
    )
    # every package of the library has a line of its own, although the library has one
    packages = {Path(file.parent).as_posix() for file in files if file.parts[0] == "src" and file.name == "__init__.py"}
    assert not unnamed and not packages - named, unnamed + sorted(packages - named)


def is_in_the_project(path: str) -> bool:
    return path in ("results/", "logs/") or (ROOT / path).exists()


def exists_below_the_package(parts: list[str]) -> bool:
    """Whether a dotted name is a module, or a name that a module defines."""
    where = ROOT.joinpath("src", *parts)
    if where.is_dir() or where.with_suffix(".py").is_file():
        return True
    module = (
        where.parent.with_suffix(".py") if where.parent.with_suffix(".py").is_file() else where.parent / "__init__.py"
    )
    return module.is_file() and re.search(rf"\b{parts[-1]}\b", module.read_text(encoding="utf-8")) is not None


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == commands


def test_the_picture_of_the_graph_shows_every_rule() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"^```mermaid\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    titles = [title.split("<br/>")[0] for title in re.findall(r'\["([^"]+)"\]', picture)]
    shown = {name for title in titles for name in re.split(r", | or ", title) if " " not in name}
    rules = {
        name
        for file in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(
            r"^ *(?:use rule \w+ as|rule) (\w+)(?: with)?:", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    # the rules that forms of raw data bring stand in one box
    assert shown == rules - {"check"}
