"""What the methods text of a run says: data, models, test and statistics, as the database has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dejavu.memorization.metrics import METRICS
from dejavu.memorization.verdicts import QUERY_NAMES
from dejavu.report.queries import Queries
from dejavu.training.recipe import Recipe

# keys of a recipe that change what training sees or how it ends, said where they are not at their defaults
MITIGATIONS = (
    "text_mask",
    "text_mask_unit",
    "text_mask_with",
    "caption_dropout",
    "caption_augmentation",
    "crop_scale",
    "flip",
    "color_jitter",
    "gray_scale",
    "gradient_clip",
    "temperature",
    "learn_temperature",
)
LIBRARIES = ("torch", "open_clip", "snakemake", "duckdb", "faiss")


def methods(queries: Queries) -> dict[str, Any]:
    """Return what the template of the methods text shows besides what all templates have."""
    config = {row["key"]: json.loads(row["value"]) for row in queries.config_rows()}
    sides, attacks = queries.rows("sides"), queries.rows("attacks")
    roles, written_by = queries.rows("roles"), {row["key"]: row["value"] for row in queries.rows("provenance")}
    one_models = {row["model"] for row in queries.rows("one_models")}
    measured = {row["model"] for row in queries.rows("measured_models")}
    return {
        "roles": roles,
        "public": sum(row["samples"] for row in roles if row["role"] == "public"),
        "recipes": list(_recipes(config, [row for row in sides if row["model"] in measured])),
        "checkpoints": [row for row in sides if row["kind"] == "checkpoint"],
        "references": [row for row in sides if row["side"] == "b" and row["model"] in one_models],
        "faiss": any("faiss" in (row["search_engine"] or "") for row in sides),
        "k": config.get("measure.k", []),
        "labels": config.get("measure.labels", []),
        "query_texts": [QUERY_NAMES[query] for query in config.get("measure.queries", [])],
        "metrics": [metric for metric in METRICS if metric.is_tested],
        "draws": config["measure.bootstrap"],
        "families": queries.rows("families"),
        "reported_k": config["report.k"],
        "reported_labels": config["report.labels"],
        "attacks": attacks,
        "clipmem": any(row["attack"] == "clipmem" for row in attacks),
        "shares": queries.rows("remembered_shares"),
        "privacy": queries.rows("privacy"),
        "blind": queries.rows("blind_baseline"),
        "replicates": max((row["replicates"] for row in queries.rows("recipe_intervals")), default=0),
        "libraries": [name for name in LIBRARIES if written_by.get(name)],
    }


def _recipes(config: Mapping[str, Any], sides: list[dict]) -> Iterator[dict[str, Any]]:
    """Yield every recipe that the measured sides were trained with, with its name and what is not at its default."""
    defaults = {name: spec.default for name, spec in Recipe.__dataclass_fields__.items()}
    names = {row["source"] for row in sides if row["kind"] in ("trained", "model")}
    for name in sorted(names):
        prefix = f"models.{name}."
        recipe = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
        changed = [(key, recipe[key]) for key in MITIGATIONS if key in recipe and recipe[key] != defaults.get(key)]
        # what words are hidden with says nothing where none are
        hides = recipe.get("text_mask", 0) > 0
        yield {
            **recipe,
            "name": name,
            "architecture": str(recipe["architecture"]).rpartition("/")[2],
            "mitigations": [pair for pair in changed if hides or not pair[0].startswith("text_mask")],
        }
