"""Values of ``--config``: Snakemake reads values inside braces and brackets as texts; the schema gives their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import yaml


def typed(value: Any, entered: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return a value of the configuration in which texts from the command line have the types of the schema.

    YAML parses each such text, as it would in a file. The parsed value replaces the text if the schema allows it;
    otherwise the text stays. Values that did not come from the command line stay as they are.

    Args:
        value: the whole configuration or a part of it, merged from files and command line.
        entered: the value that the command line gives for this part, as Snakemake read it.
        schema: the JSON schema of this value.
        root: the whole schema, which has the definitions that ``$ref`` refers to.
    """
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if isinstance(value, Mapping) and isinstance(entered, Mapping):
        return {
            key: typed(part, entered[key], _below(schema, key), root) if key in entered else part
            for key, part in value.items()
        }
    if isinstance(value, list) and value == entered:
        return [typed(part, part, schema.get("items", {}), root) for part in value]
    if isinstance(value, str) and value == entered:
        return _read(value, schema, root)
    return value


def _below(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return below if isinstance(below, Mapping) else {}


def _read(text: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    takes = jsonschema.Draft202012Validator({**schema, "$defs": root.get("$defs", {})})
    # If the schema allows neither, the parsed value is the better one to show in the refusal.
    return read if takes.is_valid(read) or not takes.is_valid(text) else text
