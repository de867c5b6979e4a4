"""``make reference``: write docs/reference/configuration.md from the schema of the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dejavu.config.schema import read_schema
from dejavu.files import write_text
from dejavu.project import BASE

Schema = Mapping[str, Any]

SCHEMA_FILE = BASE / "workflow" / "schemas" / "config.schema.yaml"
PAGE = BASE / "docs" / "reference" / "configuration.md"

OPENING = """\
# Configuration reference

<!-- Made from workflow/schemas by `make reference`. Edit the schema, not this page. -->

Every key of the configuration, with its type, its range, its default and its meaning. *Required* keys must be written.
*None* as a default means that the key has no value until one is written; `null` writes none. Paths and glob patterns
are relative to the working directory where the text names no other folder.

[config/README.md](../../config/README.md) shows how the keys work together.
"""

NAMES = {
    "string": "text",
    "boolean": "`true` or `false`",
    "array": "list",
    "object": "section",
    "integer": "whole number",
    "number": "number",
}
PLURALS = {"text": "texts", "whole number": "whole numbers", "number": "numbers"}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "greater than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


@dataclass(frozen=True)
class Section:
    """A section of the configuration.

    Attributes:
        path: its keys from the top, joined by dots, with ``<name>`` for a name that the user chooses.
        description: text about the section.
        keys: key -> its schema.
        required: the keys that must be written.
    """

    path: str
    description: str
    keys: Mapping[str, Schema]
    required: frozenset[str]


def configuration_reference(schema: Schema) -> str:
    """Return the configuration reference as a page of Markdown.

    Args:
        schema: JSON schema, in which every key has a ``description``.
    """
    parts = [OPENING]
    for section in sections(schema):
        depth = "##" if not section.path or "." not in section.path.replace(".<name>", "") else "###"
        title = f"`{section.path}`" if section.path else "Top level"
        rows = [
            f"| `{key}` | {_cell(type_of(_resolved(part, schema)))} | {_cell(_default(key, part, section))} "
            f"| {_cell(description_of(part, schema))} |"
            for key, part in section.keys.items()
        ]
        table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
        parts.append("\n".join([f"{depth} {title}", "", section.description, "", *table, ""]))
    return "\n".join(parts)


def sections(schema: Schema) -> Iterator[Section]:
    """Yield every section of the configuration in the order of the schema, the top level first.

    Keys with the same schema, such as the four roles, share one section.
    """
    yield from _below("", schema, schema)


def description_of(part: Schema, root: Schema) -> str:
    """Return the description of a key, or else of the definition that it refers to; an empty text where none exists."""
    return str(part.get("description") or _resolved(part, root).get("description", ""))


def _below(path: str, part: Schema, root: Schema) -> Iterator[Section]:
    keys = part.get("properties", {})
    if keys:
        # A shared definition has a description of its own, which holds for all sections that refer to it.
        about = part.get("description", "")
        yield Section(path, about, keys, frozenset(part.get("required", ())))
    shared: dict[str, list[str]] = {}
    for key, below in keys.items():
        if "$ref" in below:
            shared.setdefault(below["$ref"], []).append(key)
    for key, below in keys.items():
        siblings = shared.get(below.get("$ref", ""), [key])
        if key == siblings[0]:
            name = key if len(siblings) == 1 else f"<{', '.join(siblings)}>"
            yield from _inner(f"{path}.{name}".lstrip("."), _resolved(below, root), root)


def _inner(path: str, part: Schema, root: Schema) -> Iterator[Section]:
    """Yield the sections below a key: the key's own section, or those that the user names."""
    named = part.get("additionalProperties")
    if isinstance(named, Mapping) and "properties" in named:
        yield from _below(f"{path}.<name>", {"description": part.get("description", "")} | dict(named), root)
    else:
        yield from _below(path, part, root)


def _resolved(part: Schema, root: Schema) -> Schema:
    """Return the schema of a key, or the definition that the key refers to."""
    return root["$defs"][part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part


def type_of(part: Schema) -> str:
    """Return the type and the range of a key in words."""
    if "enum" in part:
        return _alternatives([f"`{value}`" for value in part["enum"] if value is not None])
    if "anyOf" in part:
        return _alternatives([type_of(alternative) for alternative in part["anyOf"]])
    if "const" in part:
        return f"`{part['const']}`"
    kinds = part.get("type", "")
    named = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    return _alternatives([_one_type(kind, part) for kind in named])


def _one_type(kind: str, part: Schema) -> str:
    if kind == "array":
        return _list_type(part)
    if kind == "object" and "properties" not in part:
        named = part.get("additionalProperties", {})
        return "sections by name" if "properties" in named else f"{_plural(type_of(named))} by name"
    ranges = [f"{word} {part[key]:g}" for key, word in BOUNDS.items() if key in part and kind in ("integer", "number")]
    return ", ".join([NAMES[kind], *ranges])


def _list_type(part: Schema) -> str:
    least, most = part.get("minItems", 0), part.get("maxItems")
    size = f"{most} entries" if most == least and most else f"at least {least} entries" if least > 1 else ""
    words = f"list of {_plural(type_of(part['items']))}" if "items" in part else "list"
    return "; ".join([words, *([size] if size else []), *(["no repeats"] if part.get("uniqueItems") else [])])


def _plural(words: str) -> str:
    """Return a type in the plural. The noun stands before the first comma."""
    noun, comma, more = words.partition(",")
    return PLURALS.get(noun, noun) + comma + more


def _alternatives(words: list[str]) -> str:
    """Join alternatives with commas and "or", with a comma before "or" where an alternative itself has a comma."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])}{', or' if any(',' in word for word in words) else ' or'} {words[-1]}"


def _default(key: str, part: Schema, section: Section) -> str:
    if key in section.required:
        return "*required*"
    default = part.get("default")
    if default is None:
        return "none"
    holds_sections = "properties" in part or "properties" in part.get("additionalProperties", {})
    return "" if default == {} and holds_sections else f"`{_written(default)}`"


def _written(value: Any) -> str:
    """Return a value as the configuration writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _cell(text: str) -> str:
    """Return a text as a cell of a Markdown table. A bar would begin another cell, so it is escaped."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    write_text(PAGE, configuration_reference(read_schema(SCHEMA_FILE)))
