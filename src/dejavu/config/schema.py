"""The JSON schema of the configuration gives types, ranges and defaults. Every breach of it becomes one sentence."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from dejavu.errors import InputError, closest
from dejavu.tables.database import flatten


def require_json(value: Any, where: str) -> None:
    """Refuse values that YAML reads as dates, and keys that it reads as no text, such as yes, no and 007."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InputError(
                    f"configuration key {where or 'at the top'!r}: YAML reads one of its keys as {key!r}, which is no "
                    "text: put it in quotation marks."
                )
            require_json(part, f"{where}.{key}" if where else key)
    elif isinstance(value, (list, tuple)):
        for part in value:
            require_json(part, where)
    elif isinstance(value, (date, time)):
        raise InputError(
            f"configuration key {where!r}: YAML reads its value as the date {value}: put it in quotation marks."
        )


def own_keys(recipe: Mapping[str, Any], schema_file: Path) -> dict[str, Any]:
    """Return the keys of a complete recipe whose values are not the defaults.

    These keys are the parameter of a job, so the job does not run again when the schema gets a new key with a default.
    """
    known = read_schema(schema_file)["properties"]["models"]["additionalProperties"]["properties"]
    return {
        key: value for key, value in recipe.items() if "default" not in known[key] or value != known[key]["default"]
    }


@cache
def read_schema(file: Path) -> dict:
    """Return the schema as one document, in which every ``$ref`` to a file beside it is replaced by that file."""
    return _with_files(_load(file), file.parent)


def _with_files(part: Any, folder: Path) -> Any:
    if isinstance(part, list):
        return [_with_files(entry, folder) for entry in part]
    if not isinstance(part, dict):
        return part
    if str(part.get("$ref", "")).endswith(".yaml"):
        part = _load(folder / part["$ref"]) | {key: value for key, value in part.items() if key != "$ref"}
    return {key: _with_files(value, folder) for key, value in part.items()}


def _load(file: Path) -> dict:
    # Every job of a cluster reads the schema, so speed counts. libyaml's loader is the fastest, but may be missing.
    return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_exponents(section: Any) -> None:
    """Turn texts like ``1e-3`` into numbers, in place and within lists. YAML 1.1 reads such numbers as texts."""
    entries = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    for key, value in entries:
        if isinstance(value, list):
            read_exponents(value)
        elif isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
            section[key] = float(value)


def check(config: dict, schema: dict) -> None:
    """Refuse a configuration that breaks the schema or has a number that is not finite."""
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(config), key=lambda e: (len(e.absolute_path), e.message)
    )
    if errors:
        raise InputError(_sentence(errors[0]))
    for key, value in flatten(config):
        if value in ("NaN", "Infinity", "-Infinity"):
            raise InputError(f"configuration key {key!r} is {value}, but it must be a finite number.")


def _sentence(error: Any) -> str:
    path = [str(part) for part in error.absolute_path]
    where = ".".join(path) or "the configuration"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = sorted(key for key in error.instance if key not in known)
        key = unknown[0]
        return f"configuration key {'.'.join([*path, key])!r} is unknown{closest(key, known)}: " + (
            f"{where} takes {', '.join(known)}." if known else f"{where} takes no key."
        )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"configuration key {'.'.join([*path, missing[0]])!r} is missing: add it."
    if "propertyNames" in error.absolute_schema_path:
        return (
            f"configuration key {where!r}: the name {error.instance!r} may hold only letters, digits, '_', '.' and '-'."
        )
    shown = json.dumps(error.instance)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"configuration key {where!r} is {shown}, but it must be {_wanted(error)}."


def _wanted(error: Any) -> str:
    value = error.validator_value
    if error.validator == "type":
        names = {
            "integer": "a whole number",
            "number": "a number",
            "string": "a text",
            "array": "a list",
            "object": "a section of keys",
            "null": "empty",
        }
        return " or ".join(names.get(kind, kind) for kind in ([value] if isinstance(value, str) else value))
    if error.validator == "anyOf":
        return "a whole number of at least 1, or all"
    phrases = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "greater than {}",
        "exclusiveMaximum": "less than {}",
        "minItems": "a list of at least {} entries",
        "maxItems": "a list of at most {} entries",
        "minProperties": "a section with at least {} key",
        "minLength": "a text of at least {} character",
        "uniqueItems": "a list without repeated entries",
        "enum": "one of {}",
    }
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return phrases.get(str(error.validator), error.message).format(shown)


def fill_defaults(value: Any, schema: dict, root: dict) -> None:
    """Set missing keys to the schema's defaults, in place, also within sections that are defaults themselves.

    Where the schema asks for an integer, turn a whole number that is written as a float into one.
    """
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = root["$defs"][name]
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        if "integer" in part.get("type", []) and isinstance(value.get(key), float):
            # The schema accepts 8.0e+4 as a whole number, but a path needs 80000, not 80000.0.
            value[key] = int(value[key])
    properties = schema.get("properties", {})
    for key, part in properties.items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
    for key, part in value.items():
        below = properties.get(key, schema.get("additionalProperties"))
        if isinstance(below, dict):
            fill_defaults(part, below, root)
