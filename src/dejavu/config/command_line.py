"""Values of ``--config``: Snakemake reads what is inside braces and brackets as texts; the schema says their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import yaml


def typed(value: Any, entered: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return a value of the configuration in which texts of the command line have the types that the schema says.

    A text becomes what YAML reads in it where the schema takes that, as in a file; otherwise it stays a text. What the
    command line did not give stays as it is.

    Args:
        value: the whole configuration, or a part of it; command line and files are merged in it.
        entered: what the command line gave for it, as Snakemake read it.
        schema: of this value.
        root: the whole schema, which has the definitions that others refer to.
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
    # where neither is taken, the refusal shows what YAML reads
    return read if takes.is_valid(read) or not takes.is_valid(text) else text
