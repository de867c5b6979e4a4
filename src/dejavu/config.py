"""The configuration: checked, defaults filled in, and refused with a sentence where it makes no sense."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping
from datetime import date, time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from dejavu.checkpoints import Checkpoint
from dejavu.data.forms.base import Form
from dejavu.data.forms.registry import form_of
from dejavu.errors import InputError, closest, loss_mismatch
from dejavu.files import require_plain_name
from dejavu.sides import KINDS
from dejavu.sweeps import compared_with, expand_studies, settle_measured
from dejavu.tables.database import flatten
from dejavu.tables.fields import ROLES, SIDES
from dejavu.tables.queries import QUERIES


def load_config(given: Mapping[str, Any], schema_file: Path, base: Path) -> dict:
    """Checks a configuration and fills in the defaults of the schema; ``like`` is resolved.

    Args:
        given: the configuration as written.
        schema_file: the JSON schema, in YAML.
        base: folder of the workflow, where architectures are looked for after the working directory.

    Returns:
        A new configuration in which every key is present and every model is complete; ``compared_with`` says which
        model each is compared with.

    Raises:
        InputError: naming the key, what is wrong and what to do.
    """
    schema = _read_schema(schema_file)
    if not isinstance(given, Mapping):
        raise InputError("the configuration has no keys: see config/README.md for those that it takes.")
    _require_json(given, "")
    config = json.loads(json.dumps(given))
    for model in config["models"].values() if isinstance(config.get("models"), dict) else []:
        _read_exponents(model)
    for study in config["studies"].values() if isinstance(config.get("studies"), dict) else []:
        _read_exponents(study)
    _check(config, schema)
    likes = {name: model.get("like") for name, model in config["models"].items()}
    config["models"] = {name: _resolved(name, config["models"]) for name in config["models"]}
    for name, dataset in config["datasets"].items():
        _check_annotate(f"datasets.{name}.annotate", dataset.get("annotate", {}))
    _fill_defaults(config, schema, schema)
    # a set of them, so in one order, whatever that of the configuration
    config["measure"]["queries"] = [query for query in QUERIES if query in config["measure"]["queries"]]
    config["models"] = {name: _settled(model) for name, model in config["models"].items()}
    _require_recipes(config["models"])
    expand_studies(config, schema)
    for name, dataset in config["datasets"].items():
        _check_dataset(name, dataset)
        dataset["annotate"] = _settled_annotate(dataset["annotate"])
    for name, split in config["splits"].items():
        _check_split(name, split, config)
    for name, model in config["models"].items():
        if "sides" in model:
            _check_sides(name, model["sides"], config, base)
        else:
            _check_model(name, model, config, base)
    _check_report(config)
    _check_utility(config)
    settle_measured(config)
    config["compared_with"] = compared_with(config, likes)
    return config


def _require_json(value: Any, where: str) -> None:
    """Refuses what YAML makes of texts that look like something else: dates, and yes, no, 007 as keys."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InputError(
                    f"configuration key {where or 'at the top'!r}: YAML reads one of its keys as {key!r}, which is no "
                    "text: put it in quotation marks."
                )
            _require_json(part, f"{where}.{key}" if where else key)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _require_json(part, where)
    elif isinstance(value, (date, time)):
        raise InputError(
            f"configuration key {where!r}: YAML reads its value as the date {value}: put it in quotation marks."
        )


def own_keys(recipe: Mapping[str, Any], schema_file: Path) -> dict[str, Any]:
    """The keys of a complete recipe that do not stand at their default.

    What is made from these alone stays as it is when a new key comes, whose default is what was done before.
    """
    known = _read_schema(schema_file)["properties"]["models"]["additionalProperties"]["properties"]
    return {
        key: value for key, value in recipe.items() if "default" not in known[key] or value != known[key]["default"]
    }


@cache
def _read_schema(file: Path) -> dict:
    # libyaml's where there is one: every job of a cluster reads the schema
    return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def architecture_path(architecture: str, base: Path) -> Path | None:
    """The JSON file of an architecture, from the working directory or the workflow's folder; None for a name."""
    if not architecture.endswith(".json"):
        return None
    path = Path(architecture)
    return path if path.is_file() or path.is_absolute() else base / path


def _read_exponents(section: Any) -> None:
    """Takes ``1e-3`` for a number, which YAML 1.1, unlike everybody else, reads as text; also within lists."""
    entries = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    for key, value in entries:
        if isinstance(value, list):
            _read_exponents(value)
        elif isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
            section[key] = float(value)


def _check(config: dict, schema: dict) -> None:
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


def _fill_defaults(value: Any, schema: dict, root: dict) -> None:
    """Sets missing keys to the schema's defaults, in place, also inside sections that are defaults themselves.

    A whole number written with a point becomes a whole number.
    """
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = root["$defs"][name]
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        if "integer" in part.get("type", []) and isinstance(value.get(key), float):
            value[key] = int(value[key])  # 8.0e+4 is a whole number to the schema, and must be one in file names
    properties = schema.get("properties", {})
    for key, part in properties.items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
    for key, part in value.items():
        below = properties.get(key, schema.get("additionalProperties"))
        if isinstance(below, dict):
            _fill_defaults(part, below, root)


def _resolved(name: str, models: Mapping[str, dict]) -> dict:
    """A model with everything that its chain of ``like`` gives it."""
    chain = [name]
    while (like := models[chain[-1]].get("like")) is not None:
        if like not in models:
            raise InputError(
                f"models.{chain[-1]}.like names {like!r}, which is no model{closest(like, models)}: "
                f"the models are {', '.join(models)}."
            )
        if like in chain:
            raise InputError(
                f"models.{name}.like goes in a circle ({' -> '.join([*chain, like])}): give one of them its own keys."
            )
        chain.append(like)
    merged: dict = {}
    for link in reversed(chain):
        merged |= models[link]
    merged.pop("like", None)
    trained = sorted(set(merged) - {"sides"})
    if merged.get("sides") is not None and trained:
        raise InputError(
            f"models.{name} has sides, which are not trained, and {trained[0]}, which is about training: "
            "remove one of them."
        )
    return merged


def _settled(model: dict) -> dict:
    """A model without the keys that do not concern it: either a recipe to train, or its sides."""
    if model["sides"] is None:
        return {key: value for key, value in model.items() if key != "sides"}
    for side in model["sides"].values():
        if side["search"] is None:
            reads_only = any(side[key] is not None for key, kind in KINDS.items() if not kind.has_images)
            side["search"] = "captions" if reads_only else "images"
    return {"sides": model["sides"]}


def _check_dataset(name: str, dataset: dict) -> None:
    form = form_of(name, dataset)
    form.check()
    _check_images(f"datasets.{name}", dataset, form)


def _check_images(where: str, dataset: dict, form: Form) -> None:
    """Refuses keys about images that contradict each other, and settles what the columns are then."""
    if form.images_are_in_tars:
        dataset["images"] = "tar"
    columns, tar = dataset["columns"], dataset["images"] == "tar"
    for key, is_set in (("images: tar", tar), ("image_root", dataset["image_root"] is not None)):
        if is_set and form.key != "raw":
            raise InputError(f"{where} has {key}, which is about raw files, but it has {form.key}: remove one of them.")
    if tar and columns["image"] is not None:
        raise InputError(
            f"{where}.columns.image names the column {columns['image']!r}, but with images: tar the images are in the "
            "tar beside each file: remove one of them."
        )
    if tar and dataset["image_root"] is not None:
        raise InputError(f"{where}.image_root is about paths, but with images: tar there are none: remove one of them.")
    if dataset["store"] == "shrink" and dataset["short_side"] is None:
        raise InputError(f"configuration key '{where}.short_side' is missing: add it, since store is shrink.")
    if dataset["store"] != "shrink" and dataset["short_side"] is not None:
        raise InputError(
            f"{where}.short_side is {dataset['short_side']}, but store is {dataset['store']}, which leaves images as "
            "they are: set store to shrink, or remove short_side."
        )
    if tar:
        columns["key"] = columns["key"] or "key"
    else:
        columns["image"] = columns["image"] or "image"


# what each source of objects takes, and what it cannot do without
ANNOTATE_KEYS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "column": ((), None),
    "import": (("files",), "files"),
    "detector": (("model", "vocabulary", "min_score", "batch_size", "torch_threads"), "model"),
}


def _check_annotate(where: str, annotate: Mapping) -> None:
    """Checks the source of a dataset's objects as it was written, before defaults hide what was not."""
    source = annotate.get("from", "column")
    takes, needed = ANNOTATE_KEYS[source]
    if needed is not None and needed not in annotate:
        raise InputError(f"configuration key '{where}.{needed}' is missing: add it, since objects are from {source}.")
    model = annotate.get("model", "")
    if source == "detector" and not Path(model).is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise InputError(f"{where}.model: the folder {model} does not exist: correct the path, or name a model.")
    for key in sorted(set(annotate) - {"from", *takes}):
        owner = next(other for other, (keys, _) in ANNOTATE_KEYS.items() if key in keys)
        raise InputError(
            f"{where} has {key}, which is about objects from {owner}, but they are from {source}: "
            f"remove it, or set from to {owner}."
        )


def _settled_annotate(annotate: Mapping) -> dict:
    """The source of a dataset's objects without the defaults of others."""
    return {key: annotate[key] for key in ("from", *ANNOTATE_KEYS[annotate["from"]][0])}


def _check_split(name: str, split: dict, config: dict) -> None:
    datasets, roles = config["datasets"], split["roles"]
    if name == "studies":
        raise InputError("splits.studies: the folder of that name is for studies: give the split another name.")
    _require_dataset(f"splits.{name}.dataset", split["dataset"], datasets)
    for role in ROLES:
        where, section = f"splits.{name}.roles.{role}", roles[role]
        if section["dataset"] is None:
            section["dataset"] = split["dataset"]
        _require_dataset(f"{where}.dataset", section["dataset"], datasets)
        if role != "public" and datasets[section["dataset"]]["columns"]["caption"] is None:
            raise InputError(
                f"{where}: the dataset {section['dataset']!r} has no captions (its columns.caption is empty), so it "
                "can only be searched, as role public: name another dataset."
            )
        if section["interval"] is None and section["uids"] is None:
            raise InputError(
                f"configuration key '{where}.interval' is missing: add it, or uids, a list of the role's samples."
            )
        if section["interval"] is not None and section["uids"] is not None:
            raise InputError(f"{where} has both interval and uids: remove one of them.")
        for key, default in (("uids_column", "uid"), ("max_missing", 0.01)):
            if section["uids"] is None and section[key] != default:
                raise InputError(f"{where}.{key} is about a list, but the role has no uids: remove it.")
        if section["uids"] is not None and not Path(section["uids"]).is_file():
            raise InputError(f"{where}.uids: the file {section['uids']} does not exist: correct the path.")
    _check_intervals(name, roles)
    for role in ROLES:
        _check_supply(name, role, roles[role], datasets, max(config["measure"]["k"]))
    limit, k = roles["public"]["limit"], max(config["measure"]["k"])
    if limit is not None and k > limit:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but splits.{name}.roles.public.limit is {limit:,}: "
            "lower k, or raise the limit."
        )


def _require_dataset(where: str, dataset: str, datasets: Mapping) -> None:
    if dataset not in datasets:
        raise InputError(
            f"{where} names {dataset!r}, which is no dataset{closest(dataset, datasets)}: "
            f"the datasets are {', '.join(datasets)}."
        )


def _check_intervals(name: str, roles: dict) -> None:
    drawn = [role for role in ROLES if roles[role]["interval"] is not None]
    for role in drawn:
        low, high = roles[role]["interval"]
        if low >= high:
            raise InputError(
                f"splits.{name}.roles.{role}.interval is [{low}, {high}], which is empty: "
                "the first number must be smaller."
            )
    ordered = sorted(drawn, key=lambda role: (roles[role]["dataset"], roles[role]["interval"]))
    for one, other in zip(ordered, ordered[1:], strict=False):
        same = roles[one]["dataset"] == roles[other]["dataset"]
        if same and roles[one]["interval"][1] > roles[other]["interval"][0]:
            raise InputError(
                f"splits.{name}.roles: the intervals of {one} {roles[one]['interval']} and {other} "
                f"{roles[other]['interval']} overlap: a sample may have one role only, so move one of them."
            )


def _check_supply(name: str, role: str, section: dict, datasets: Mapping, k: int) -> None:
    """Refuses a limit that a synthetic dataset can hardly supply: beyond six standard deviations of the hash."""
    dataset = datasets[section["dataset"]]
    known = form_of(section["dataset"], dataset).supply
    if known is None or section["interval"] is None:
        return
    images, captions = known
    # where every caption of an image is a pair, all of them have its role
    each = captions if dataset["captions"] == "all" else 1
    limit = section["limit"]
    low, high = section["interval"]
    share = high - low
    most = each * (images * share + 6 * math.sqrt(images * share * (1 - share)))
    pairs = each * images
    supply = f"its interval [{low}, {high}) holds about {pairs * share:,.0f} of the dataset's {pairs:,} pairs"
    if limit is not None and limit > most:
        raise InputError(
            f"splits.{name}.roles.{role}.limit is {limit:,}, but {supply}: "
            "lower the limit, widen the interval, or raise pairs."
        )
    if role == "public" and limit is None and k > most:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but splits.{name}.roles.public has fewer: {supply}; "
            "lower k, widen the interval, or raise pairs."
        )


def _require_recipes(models: Mapping[str, dict]) -> None:
    for name, model in models.items():
        for key in ("architecture", "samples_seen"):
            if key not in model and "sides" not in model:
                raise InputError(f"configuration key 'models.{name}.{key}' is missing: add it, or a like that has it.")


def _check_model(name: str, model: dict, config: dict, base: Path) -> None:
    found = _check_architecture(name, model["architecture"], base)
    if found is not None and ("init_logit_bias" in found) != (model["loss"] == "siglip"):
        raise InputError(f"models.{name}: {loss_mismatch(model['architecture'], model['loss'])}")
    if model["samples_seen"] < model["batch_size"]:
        raise InputError(
            f"models.{name}.samples_seen is smaller than its batch_size {model['batch_size']:,}: raise it."
        )
    _check_batch(name, model)
    _check_nodes(name, model, config["training"]["nodes"])
    _check_kept_checkpoints(name, model)
    if model["crop_scale"] is not None and model["crop_scale"][0] > model["crop_scale"][1]:
        raise InputError(
            f"models.{name}.crop_scale is {model['crop_scale']}, the lowest share and the highest: swap the two."
        )
    if 1 / model["temperature"] > model["max_logit_scale"]:
        raise InputError(
            f"models.{name}.temperature is {model['temperature']}, whose inverse is above max_logit_scale "
            f"{model['max_logit_scale']}: raise either."
        )
    for split_name, split in config["splits"].items():
        for role in SIDES if name in split["models"] else ():
            limit = split["roles"][role]["limit"]
            if limit is not None and limit < model["batch_size"]:
                raise InputError(
                    f"splits.{split_name}.roles.{role}.limit is {limit:,}, fewer than one batch of "
                    f"models.{name}.batch_size {model['batch_size']:,}: raise the limit, or lower batch_size."
                )


def _check_batch(name: str, model: dict) -> None:
    """Refuses a batch that its processes and their parts cannot share equally."""
    parts = model["processes"] * model["accumulation"]
    if model["batch_size"] % parts:
        raise InputError(
            f"models.{name}.batch_size is {model['batch_size']:,}, the number of pairs in all processes together, but "
            f"processes {model['processes']} times accumulation {model['accumulation']} is {parts}, which does not "
            "divide it: change one of the three."
        )


def _check_nodes(name: str, model: dict, nodes: int) -> None:
    """Refuses processes that the nodes of a cluster cannot share equally; a single one needs no other."""
    if model["processes"] > 1 and model["processes"] % nodes:
        raise InputError(
            f"models.{name}.processes is {model['processes']}, which training.nodes {nodes} does not divide: "
            "change either."
        )


def _check_kept_checkpoints(name: str, model: dict) -> None:
    """Puts the checkpoints that are kept in order, and refuses those that training does not reach."""
    model["checkpoints"] = sorted(int(count) for count in model["checkpoints"])
    reached = model["samples_seen"] // model["batch_size"] * model["batch_size"]
    for count in model["checkpoints"]:
        if count >= model["samples_seen"]:
            raise InputError(
                f"models.{name}.checkpoints has {count:,}, but samples_seen is {model['samples_seen']:,}, at which a "
                "checkpoint is written anyway: name smaller numbers."
            )
        if count > reached:
            raise InputError(
                f"models.{name}.checkpoints has {count:,}, but the whole batches in samples_seen end at {reached:,}: "
                "name smaller numbers."
            )


def _check_sides(name: str, sides: dict, config: dict, base: Path) -> None:
    """Checks a model whose sides are not trained for it: another model's, a checkpoint, or a text encoder."""
    for letter, side in sides.items():
        where = f"models.{name}.sides.{letter}"
        kinds = [kind for kind in KINDS if side[kind] is not None]
        if len(kinds) != 1:
            raise InputError(f"{where} needs exactly one of {', '.join(KINDS)}: it has {len(kinds)}.")
        for key, owner in ((key, kind) for kind, about in KINDS.items() for key in about.keys):
            if side[key] is not None and kinds[0] != owner:
                raise InputError(f"{where}.{key} is about a {KINDS[owner].noun}, and this is none: remove it.")
        if kinds[0] == "model":
            trained = {other: model for other, model in config["models"].items() if "sides" not in model}
            if side["model"] not in trained:
                raise InputError(
                    f"{where}.model names {side['model']!r}, which is no trained model"
                    f"{closest(side['model'], trained)}: the trained models are {', '.join(trained) or 'none'}."
                )
            _check_kept(where, side, trained[side["model"]])
        if not KINDS[kinds[0]].has_images and (letter == "a" or side["search"] == "images"):
            raise InputError(
                f"{where}: a text encoder is the reference, so it is side b, and it searches captions."
                if letter == "a"
                else f"{where}.search is images, but a text encoder can only search captions: remove the key."
            )
        if side["search"] == "captions":
            _require_captions(where, name, config)
        if kinds[0] == "checkpoint":
            _check_checkpoint(where, side)
            if side["architecture"] is not None:
                _check_architecture(f"{name}.sides.{letter}", side["architecture"], base)
        if kinds[0] != "model" and KINDS[kinds[0]].has_images:
            _check_membership(name, letter, config)


def _require_captions(where: str, name: str, config: dict) -> None:
    """Refuses a side that searches captions of a public set that has none."""
    for split_name, split in config["splits"].items():
        dataset = split["roles"]["public"]["dataset"]
        if name in split["models"] and config["datasets"][dataset]["columns"]["caption"] is None:
            raise InputError(
                f"{where} searches captions, but the public set of splits.{split_name}, {dataset!r}, has none: name "
                f"another dataset in splits.{split_name}.roles.public, or leave the model out of its models."
            )


def _check_checkpoint(where: str, side: dict) -> None:
    """Refuses a path where nothing is, and a file or a tag without its architecture; expands ``~``."""
    side["checkpoint"] = source = str(Path(side["checkpoint"]).expanduser())
    require_plain_name(f"{where}.checkpoint", source)
    checkpoint = Checkpoint.of(source)
    if checkpoint.path is not None and not checkpoint.path.exists():
        raise InputError(f"{where}.checkpoint: there is no file or folder {checkpoint.path}: correct the path.")
    if checkpoint.names_architecture and side["architecture"] is not None:
        raise InputError(f"{where}.architecture: the folder of the checkpoint says what it is: remove it.")
    if not checkpoint.names_architecture and side["architecture"] is None:
        raise InputError(
            f"configuration key '{where}.architecture' is missing: add it, since no folder says what the model is."
        )


def _check_kept(where: str, side: dict, model: dict) -> None:
    kept = [*model["checkpoints"], model["samples_seen"]]
    if side["samples_seen"] is not None and side["samples_seen"] not in kept:
        raise InputError(
            f"{where}.samples_seen is {side['samples_seen']:,}, but the checkpoints of {side['model']} are at "
            f"{', '.join(f'{seen:,}' for seen in kept)}: add it to models.{side['model']}.checkpoints."
        )


def _check_membership(name: str, letter: str, config: dict) -> None:
    where = f"models.{name}.sides.{letter}"
    for split_name, split in config["splits"].items():
        if name in split["models"] and split["roles"][letter]["uids"] is None:
            raise InputError(
                f"{where} is a checkpoint, so what it was trained on must be declared: give splits.{split_name}.roles."
                f"{letter} the file of its training samples' uids, as uids, in place of interval. A role drawn by hash "
                "would mix samples that it has seen with samples that it has not, and measure nothing."
            )


def _check_architecture(name: str, architecture: str, base: Path) -> dict | None:
    """The architecture's configuration; None where OpenCLIP, which knows its name, is not installed here."""
    path = architecture_path(architecture, base)
    if path is None:
        # the names of OpenCLIP's own configuration files, without importing it, which takes seconds
        spec = find_spec("open_clip")
        folders = [Path(place) for place in spec.submodule_search_locations or []] if spec else []
        known = {file.stem: file for folder in folders for file in (folder / "model_configs").glob("*.json")}
        if known and architecture not in known:
            raise InputError(
                f"models.{name}.architecture names {architecture!r}, which OpenCLIP does not know"
                f"{closest(architecture, known)}: name one that it knows, or the path of a JSON file."
            )
        return json.loads(known[architecture].read_text(encoding="utf-8")) if known else None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"models.{name}.architecture: the file {architecture} does not exist: correct the path."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"models.{name}.architecture: {architecture} is not a JSON file ({error}): mend it.") from None
    missing = [
        key for key in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(content, dict) or key not in content
    ]
    if missing:
        raise InputError(
            f"models.{name}.architecture: {architecture} lacks {', '.join(missing)}, which OpenCLIP needs: add them."
        )
    return content


def _check_report(config: dict) -> None:
    report, measure = config["report"], config["measure"]
    for key in ("k", "labels"):
        if report[key] not in measure[key]:
            raise InputError(
                f"report.{key} is {report[key]!r}, which measure.{key} {measure[key]} does not contain: add it there, "
                f"or set report.{key} to one of them."
            )


# the files of each task, in place of which a benchmark may be drawn
BENCHMARK_FILES = {"zero_shot": ("data",), "linear_probe": ("train", "test"), "compositional": ("data",)}


def _check_utility(config: dict) -> None:
    drawn = [name for name, dataset in config["datasets"].items() if form_of(name, dataset).world is not None]
    for task, keys in BENCHMARK_FILES.items():
        for name, benchmark in config["utility"][task].items():
            where = f"utility.{task}.{name}"
            given = [key for key in keys if benchmark[key] is not None]
            if benchmark["synthetic"] is not None and given:
                raise InputError(f"{where} has both synthetic and {given[0]}: remove one of them.")
            if benchmark["synthetic"] is None and len(given) < len(keys):
                missing = next(key for key in keys if key not in given)
                raise InputError(
                    f"configuration key '{where}.{missing}' is missing: add it, or synthetic, an embedded dataset."
                )
            if benchmark["synthetic"] is not None and benchmark["synthetic"] not in drawn:
                raise InputError(
                    f"{where}.synthetic names {benchmark['synthetic']!r}, which is no dataset that is drawn"
                    f"{closest(benchmark['synthetic'], drawn)}: those are {', '.join(drawn) or 'none'}."
                )
