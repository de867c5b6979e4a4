"""The configuration whose cost is asked: read and completed as the workflow does, without any of its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dejavu.config import load_config
from dejavu.costs.memory import PROJECT
from dejavu.costs.sizes import find_datasets, find_sizes
from dejavu.costs.work import Planned
from dejavu.errors import InputError

SCHEMA = PROJECT / "workflow" / "schemas" / "config.schema.yaml"


def read_config(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        InputError: when it is missing or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: correct the path.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path} is no YAML ({problem}): mend it.") from None


def plan_of(given: Any, pairs: Mapping[str, int]) -> Planned:
    """Return a configuration with its datasets and their sizes.

    Args:
        given: the configuration as it is written.
        pairs: dataset -> its number of pairs, where somebody said it.

    Raises:
        InputError: when the configuration is wrong, or files are missing whose number of pairs is not given.
    """
    config = load_config(given, SCHEMA, PROJECT)
    datasets = find_datasets(config, pairs)
    return Planned(config, datasets, find_sizes(config, datasets, pairs))
