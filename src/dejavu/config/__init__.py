"""The configuration: check it, fill in its defaults, and refuse a mistake with one sentence.

Modules: ``schema`` (rules of the JSON schema), ``command_line`` (values of ``--config``), and one or two for each
section: ``datasets``, ``splits``, ``recipes`` and ``model_sides`` (both for ``models``), ``architectures``,
``evaluation`` (for ``report`` and ``utility``). ``reference`` writes the reference page from the schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.config.command_line import typed
from dejavu.config.datasets import check_annotate, check_dataset, settled_annotate
from dejavu.config.evaluation import check_report, check_utility
from dejavu.config.model_sides import check_sides
from dejavu.config.recipes import check_recipe, require_recipes, resolved, settled
from dejavu.config.schema import check, fill_defaults, read_exponents, read_schema, require_json
from dejavu.config.splits import check_split
from dejavu.errors import InputError
from dejavu.replicates import expand_replicates
from dejavu.sweeps import compared_with, expand_studies, settle_measured
from dejavu.tables.queries import QUERIES


def load_config(
    configuration: Mapping[str, Any], schema_file: Path, base: Path, entered: Mapping[str, Any] | None = None
) -> dict:
    """Check a configuration, fill in the defaults of the schema, and resolve ``like``.

    Args:
        configuration: the configuration as written, in which ``entered`` is already merged.
        schema_file: the JSON schema, in YAML.
        base: folder of the workflow, which is searched for architectures after the working directory.
        entered: the values of ``--config`` on the command line, as Snakemake read them.

    Returns:
        A new configuration in which every key is present and every model is complete. Its key ``compared_with`` maps
        each model to the model that it is compared with.

    Raises:
        InputError: naming the key, what is wrong and what to do.
    """
    schema = read_schema(schema_file)
    if not isinstance(configuration, Mapping):
        raise InputError("the configuration has no keys: docs/reference/configuration.md lists those that it takes.")
    require_json(configuration, "")
    config = typed(json.loads(json.dumps(configuration)), entered or {}, schema, schema)
    for model in config["models"].values() if isinstance(config.get("models"), dict) else []:
        read_exponents(model)
    for study in config["studies"].values() if isinstance(config.get("studies"), dict) else []:
        read_exponents(study)
    check(config, schema)
    likes = {name: model.get("like") for name, model in config["models"].items()}
    config["models"] = {name: resolved(name, config["models"]) for name in config["models"]}
    for name, dataset in config["datasets"].items():
        check_annotate(f"datasets.{name}.annotate", dataset.get("annotate", {}))
    fill_defaults(config, schema, schema)
    # The order of the queries means nothing, so a fixed order makes two configurations with the same queries equal.
    config["measure"]["queries"] = [query for query in QUERIES if query in config["measure"]["queries"]]
    config["models"] = {name: settled(model) for name, model in config["models"].items()}
    require_recipes(config["models"])
    expand_studies(config, schema)
    for name, dataset in config["datasets"].items():
        check_dataset(name, dataset)
        dataset["annotate"] = settled_annotate(dataset["annotate"])
    for name, split in config["splits"].items():
        check_split(name, split, config)
    for name, model in config["models"].items():
        if "sides" in model:
            check_sides(name, model["sides"], config, base)
        else:
            check_recipe(name, model, config, base)
    check_report(config)
    check_utility(config)
    settle_measured(config)
    expand_replicates(config)
    config["compared_with"] = compared_with(config, likes)
    return config
