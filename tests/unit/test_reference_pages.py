"""Pages of the docs that are made from code, or that name what is elsewhere: tables, flags, SQL, examples, pictures."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
import yaml
from tests.harness.databases import write_database

from dejavu.config.schema import read_schema
from dejavu.tables.database import DATABASE
from dejavu.tables.reference import tables_reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STATEMENTS = re.findall(r"```sql\n(.*?)```", (DOCS / "reproduce.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_reference_of_the_tables_is_that_of_their_schemas() -> None:
    shown = (DOCS / "reference" / "tables.md").read_text(encoding="utf-8")
    assert shown == tables_reference(), "run: make reference"
    for name, (_, schema) in DATABASE.items():
        (section,) = re.findall(rf"^### `{name}`\n(.*?)(?=^##|\Z)", shown, re.MULTILINE | re.DOTALL)
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == schema.names


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = write_database(tmp_path_factory.mktemp("reproduce") / "memorization.duckdb", {})
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_every_sql_query_for_the_papers_fits_the_tables(empty: duckdb.DuckDBPyConnection, number: int) -> None:
    assert empty.execute(STATEMENTS[number]).fetchall() in ([], [(0, 0, 0, 0)])


def test_every_openclip_flag_that_is_named_exists() -> None:
    (folder,) = find_spec("open_clip_train").submodule_search_locations or ()  # type: ignore[union-attr]
    known = set(re.findall(r"""["'](--[a-z0-9-]+)["']""", (Path(folder) / "params.py").read_text(encoding="utf-8")))
    page = (DOCS / "reference" / "openclip.md").read_text(encoding="utf-8")
    named = {flag for line in flag_rows(page) for flag in re.findall(r"`(--[a-z0-9-]+[a-z0-9])", line[0])}
    named |= set(re.findall(r" (--[a-z0-9-]+) ", re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0]))
    # a family of flags is named by its beginning
    assert {flag for flag in named - known if not any(other.startswith(f"{flag}-") for other in known)} == set()
    assert len(named) > 40


def test_every_key_beside_a_flag_of_openclip_is_in_the_schema() -> None:
    schema = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    page = (DOCS / "reference" / "openclip.md").read_text(encoding="utf-8")
    model = schema["properties"]["models"]["additionalProperties"]["properties"]
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert set(yaml.safe_load(example)["models"]["vit-b-32"]) <= set(model)
    named = [key for line in flag_rows(page) for key in re.findall(r"`([a-z_.<>]{2,})[:`]", line[1])]
    assert len(named) > 25
    for key in named:
        assert key in model or reaches(schema, schema, key.split(".")), key


def flag_rows(page: str) -> list[list[str]]:
    """Return the cells of the tables of flags, without their heads."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "flag" and len(row) >= 2]


def reaches(part: dict, schema: dict, keys: list[str]) -> bool:
    """Whether a path of keys, with ``<name>`` for names of the user, leads through the schema."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    if not keys:
        return True
    key, *more = keys
    below = part.get("additionalProperties") if key == "<name>" else part.get("properties", {}).get(key)
    return isinstance(below, dict) and reaches(below, schema, more)


def test_the_example_of_the_library_gives_what_it_says() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "reference" / "api.md").read_text(), re.DOTALL)
    values: dict = {}
    exec(example, values)
    # side a finds dog and tree of the first, car of the second; side b finds dog of the first alone
    assert values["aucg"] == (1 + 1) / 2 - (1 / 2 + 0) / 2 == float(re.findall(r"# ([\d.]+)$", example.strip())[0])


def test_every_module_of_the_reference_of_the_library_exists() -> None:
    names = re.findall(r"^::: (\S+)$", (DOCS / "reference" / "api.md").read_text(), re.MULTILINE)
    for name in names:
        where = ROOT.joinpath("src", *name.split("."))
        assert where.with_suffix(".py").is_file() or (where / "__init__.py").is_file(), name
    assert len(names) > 10


def test_the_picture_of_the_graph_has_every_box_of_its_source() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```mermaid\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    picture = (DOCS / "images" / "graph.svg").read_text(encoding="utf-8")
    drawn = set(re.findall(r"[\w.-]+", " ".join(re.findall(r">([^<>]+)<", picture))))
    titles = re.findall(r'\["([^"]+)"\]', source)
    wanted = {word for title in titles for word in re.findall(r"[\w.-]+", title.replace("<br/>", " "))}
    assert wanted <= drawn, f"run make graph: {sorted(wanted - drawn)}"


def test_pictures_follow_the_colours_of_the_page_and_are_small() -> None:
    for name in ("method.svg", "steps.svg", "graph.svg"):
        picture = (DOCS / "images" / name).read_text(encoding="utf-8")
        assert "prefers-color-scheme: dark" in picture and "://" not in picture.replace("http://www.w3.org/", ""), name
    for picture in (DOCS / "images").glob("*.jpg"):
        assert picture.stat().st_size <= 150_000, picture.name


def test_the_lock_of_the_site_has_what_its_group_names_with_hashes() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["docs"]
    text = (ROOT / "requirements-docs.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks)
    locked = {block.partition("==")[0] for block in blocks}
    assert {re.split(r"[><=]", line)[0] for line in group} <= locked
