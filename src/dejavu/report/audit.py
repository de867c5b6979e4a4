"""The audit of a run as JSON: every number is that of a query in ``workflow/sql``, which it names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from dejavu.files import write_json
from dejavu.report.limits import limits
from dejavu.report.queries import Queries

# of the JSON's form; the first number changes where a reader of the older form would fail
SCHEMA_VERSION = "1.0"
# part of the audit -> its query, one row a record; the second list is filed under each model
OF_THE_RUN = {
    "roles": "roles",
    "hashes": "hashes",
    "blind_baseline": "blind_baseline",
}
OF_A_MODEL = {
    "sides": "sides",
    "verdicts": "verdicts",
    "gaps": "result_table",
    "membership": "attacks",
    "single_samples": "remembered_shares",
    "confirmations": "confirmations",
    "over_trainings": "recipe_intervals",
    "privacy": "privacy",
    "utility": "utility",
}


def audit(queries: Queries, dataset: str, split: str) -> dict[str, Any]:
    """Return the audit of a split as a value for JSON; numbers that are not finite become null.

    Args:
        queries: the queries on the database.
        dataset, split: the names of the dataset and of the split.
    """
    says = limits(queries)
    rows = {part: queries.rows(query) for part, query in OF_A_MODEL.items()}
    models = [
        {
            **measured,
            "limits": says.get(measured["model"], []),
            **{part: [row for row in found if row["model"] == measured["model"]] for part, found in rows.items()},
        }
        for measured in queries.rows("measured_models")
    ]
    written_by = {row["key"]: row["value"] for row in queries.rows("provenance")}
    return _plain(
        {
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "split": split,
            "written_by": written_by,
            "cell": {"k": queries.config("report.k"), "labels": str(queries.config("report.labels"))},
            "draws": queries.config("measure.bootstrap"),
            **{part: queries.rows(query) for part, query in OF_THE_RUN.items()},
            "models": models,
            "queries": {part: f"workflow/sql/{query}.sql" for part, query in (OF_THE_RUN | OF_A_MODEL).items()},
        }
    )


def write_audit(value: Mapping[str, Any], schema: Path, path: Path) -> None:
    """Write an audit.

    Args:
        value: what :func:`audit` returns.
        schema: the JSON Schema, ``workflow/schemas/audit.schema.json``.
        path: file to write.

    Raises:
        jsonschema.ValidationError: when the audit is not of the schema, which is a bug.
    """
    validator(schema).validate(value)
    write_json(path, value)


@cache
def validator(schema: Path) -> Any:
    """Return a validator of the schema of audits, or of a later form of it, after a check of the schema itself."""
    described = json.loads(schema.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(described)
    return jsonschema.Draft202012Validator(described)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
