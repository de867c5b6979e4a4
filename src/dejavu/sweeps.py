"""Studies: the values along one axis become points, and points add models and splits to the configuration."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from dejavu.errors import InputError, closest
from dejavu.sides import samples_seen
from dejavu.tables.fields import SIDES
from dejavu.tables.roles import SHARED

# Axes that are no key of a recipe.
CHECKPOINT = "checkpoint"
# axis -> the roles whose limit it is
SIZE_AXES = {"training_set_size": SIDES, "public_set_size": ("public",), "shared_set_size": (SHARED,)}
SPLIT_AXES = (*SIZE_AXES, "deduplicate")
_NO_AXIS = ("like", "sides", "checkpoints")


def expand_studies(config: dict, schema: Mapping) -> None:
    """Add the models and splits of every study to the configuration, in place, and ``points`` to every study.

    Every value of a study gives one point, ``{value, split, model, samples_seen}``. If a model of the split already has
    that value, the point uses it and no model is added. For instance, text_mask 0 means the study's own model if that
    masks nothing.
    ``models`` of a split becomes the list of the models that are measured in the split.

    Args:
        config: a configuration with all defaults, checked against its schema only.
        schema: the JSON schema of the configuration.

    Raises:
        InputError: when a study names a model, split or axis that does not exist, or the axis does not take a value.
    """
    models, splits = list(config["models"]), list(config["splits"])
    for name, split in config["splits"].items():
        for model in split["models"] or []:
            _require(f"splits.{name}.models", model, models, "model")
        split["models"] = list(split["models"] or models)
    trained = [model for model in models if "sides" not in config["models"][model]]
    for name, study in config["studies"].items():
        where = f"studies.{name}"
        study["model"] = _named_or_only(f"{where}.model", study["model"], trained, "trained model")
        study["split"] = _named_or_only(f"{where}.split", study["split"], splits, "split")
        _require(f"{where}.model", study["model"], config["splits"][study["split"]]["models"], "model of its split")
        _check_values(where, study, schema)
        study["points"] = [_point(config, study, value) for value in study["values"]]


def settle_measured(config: dict) -> None:
    """Turn ``models`` of every split into model -> the numbers of samples seen at which it is measured, ascending.

    A split that a study added measures only the last checkpoint of each model.
    """
    studies = config["studies"].values()
    made = {point["split"] for study in studies for point in study["points"]} - {study["split"] for study in studies}
    models = config["models"]
    for name, split in config["splits"].items():
        split["models"] = {
            model: sorted(
                {samples_seen(models, model)} | (set() if name in made else set(models[model].get("checkpoints", [])))
            )
            for model in split["models"]
        }


def compared_with(config: Mapping, likes: Mapping[str, str | None]) -> dict[str, str]:
    """Return model -> the model that it is compared with.

    A model is compared with the model in its ``like``. A model that a study added is compared with the study's own
    model, and a model whose side a belongs to another model is compared with that model. The first by name of the
    remaining models is compared with none, and the others are compared with it. The order of a configuration means
    nothing, so the names decide.

    Args:
        config: a complete configuration with expanded studies.
        likes: model of the configuration as written -> the name in its ``like``, or None.
    """
    origins = {name: like for name, like in likes.items() if like is not None}
    for name, model in config["models"].items():
        source = model.get("sides", {}).get("a", {}).get("model")
        if source is not None and name not in origins:
            origins[name] = source
    for study in config["studies"].values():
        made = {point["model"] for point in study["points"]} - set(likes)
        origins |= {name: study["model"] for name in made if name not in origins}
    remaining = sorted(set(config["models"]) - set(origins))
    return dict(sorted({**origins, **dict.fromkeys(remaining[1:], remaining[0] if remaining else "")}.items()))


def _point(config: dict, study: Mapping, value: Any) -> dict:
    model, split, axis = study["model"], study["split"], study["axis"]
    seen = None
    if axis == CHECKPOINT:
        seen, recipe = value, config["models"][model]
        if value > recipe["samples_seen"]:
            raise InputError(
                f"a study asks for a checkpoint of {model} at {value:,} samples seen, but its samples_seen is "
                f"{recipe['samples_seen']:,}: lower the value, or raise samples_seen."
            )
        if value < recipe["samples_seen"]:
            recipe["checkpoints"] = sorted({*recipe["checkpoints"], value})
    elif axis in SPLIT_AXES:
        split = _split_with(config, study, value)
    else:
        _require_effect(study, config["models"][model])
        model = _model_with(config, study, value)
    seen = seen or int(config["models"][model]["samples_seen"])
    return {"value": value, "split": split, "model": model, "samples_seen": seen}


def _split_with(config: dict, study: Mapping, value: Any) -> str:
    """Return the name of the split with this value, adding it if needed: only the roles of the study's axis differ."""
    base = config["splits"][study["split"]]
    changed = copy.deepcopy(base)
    if study["axis"] == "deduplicate":
        changed["deduplicate"] = value
    else:
        for role in SIZE_AXES[study["axis"]]:
            if role not in changed["roles"]:
                raise InputError(
                    f"a study varies {study['axis']}, but splits.{study['split']} has no role {role}: add "
                    f"splits.{study['split']}.roles.{role}, or take another axis."
                )
            changed["roles"][role]["limit"] = value
    if changed == base:
        return study["split"]
    name = _name(study["split"], study["axis"], value)
    made = config["splits"].setdefault(name, changed | {"models": []})
    if {**made, "models": []} != {**changed, "models": []}:
        raise InputError(f"splits.{name} has the name that a study gives to a split of its own: rename it.")
    made["models"] = sorted({*made["models"], study["model"]})
    return name


def _model_with(config: dict, study: Mapping, value: Any) -> str:
    """Return the name of the model with this value, adding it if needed; it keeps only its last checkpoint."""
    measured = config["splits"][study["split"]]["models"]
    changed = {**config["models"][study["model"]], study["axis"]: value, "checkpoints": []}
    for model in measured:
        if {**config["models"][model], "checkpoints": []} == changed:
            return model
    name = _name(study["model"], study["axis"], value)
    if config["models"].setdefault(name, changed) != changed:
        raise InputError(f"models.{name} has the name that a study gives to a model of its own: rename it.")
    measured.append(name)
    return name


# axis -> (a key of the recipe, the value of this key that makes the axis idle, what to do about it)
_IDLE = {
    "temperature": ("learn_temperature", True, "set learn_temperature: false, or take max_logit_scale as the axis"),
    "max_logit_scale": ("learn_temperature", False, "set learn_temperature: true, or take temperature as the axis"),
    "text_mask_unit": ("text_mask", 0, "set text_mask to what is to be hidden"),
    "text_mask_with": ("text_mask", 0, "set text_mask to what is to be hidden"),
}


def _require_effect(study: Mapping, recipe: Mapping) -> None:
    """Refuse an axis that another key of the recipe makes idle, since its trainings would hardly differ."""
    key, idle, remedy = _IDLE.get(study["axis"], ("", None, ""))
    if key and recipe[key] == idle:
        raise InputError(
            f"a study varies {study['axis']} of models.{study['model']}, whose {key} is {json.dumps(idle)}, so "
            f"{'only the start of training would differ' if study['axis'] == 'temperature' else 'nothing would differ'}"
            f": {remedy} in models.{study['model']}."
        )


def _name(base: str, axis: str, value: Any) -> str:
    shown = Path(value).stem if isinstance(value, str) else json.dumps(value)
    return f"{base}.{axis}-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", shown).strip("-")


def _named_or_only(where: str, named: str | None, known: Sequence[str], kind: str) -> str:
    """Return the name that a study gives; where it gives none, return the only known name."""
    if named is None and len(known) != 1:
        raise InputError(f"configuration key {where!r} is missing: add it, a {kind}: {', '.join(known) or 'none'}.")
    if named is not None:
        _require(where, named, known, kind)
    return named or known[0]


def _require(where: str, named: str, known: Sequence[str], kind: str) -> None:
    if named not in known:
        raise InputError(
            f"{where} names {named!r}, which is no {kind}{closest(named, known)}: "
            f"there are {', '.join(known) or 'none'}."
        )


def _check_values(where: str, study: Mapping, schema: Mapping) -> None:
    """Refuse an axis that does not exist, and a value that the axis does not take."""
    recipe = schema["properties"]["models"]["additionalProperties"]["properties"]
    count = {"type": "integer", "minimum": 1}
    axes = {key: part for key, part in recipe.items() if key not in _NO_AXIS}
    axes |= dict.fromkeys((*SPLIT_AXES, CHECKPOINT), count) | {"deduplicate": {"type": "boolean"}}
    _require(f"{where}.axis", study["axis"], list(axes), "axis")
    for value in study["values"]:
        error = next(jsonschema.Draft202012Validator(axes[study["axis"]]).iter_errors(value), None)
        if error is not None:
            raise InputError(f"{where}.values: {error.message}, which {study['axis']} does not take: correct it.")
