"""Sections of ``datasets``: the form of the raw data, the place of the images, and the source of the objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dejavu.data.forms.base import Form
from dejavu.data.forms.registry import form_of
from dejavu.errors import InputError


def check_dataset(name: str, dataset: dict) -> None:
    """Refuse a dataset without exactly one form, or with keys that do not fit it; fill in its columns, in place."""
    form = form_of(name, dataset)
    form.check()
    _check_images(f"datasets.{name}", dataset, form)


def _check_images(where: str, dataset: dict, form: Form) -> None:
    """Refuse keys about images that contradict each other, and fill in the columns of images or keys, in place."""
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


# source of objects -> the keys that it takes, and the key that it needs
ANNOTATE_KEYS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "column": ((), None),
    "import": (("files",), "files"),
    "detector": (("model", "vocabulary", "min_score", "batch_size", "torch_threads"), "model"),
    "none": ((), None),
}


def check_annotate(where: str, annotate: Mapping) -> None:
    """Check the section ``annotate`` as written. Once defaults are filled in, a missing key can no longer be seen."""
    source = annotate.get("from", "column")
    takes, needed = ANNOTATE_KEYS[source]
    if needed is not None and needed not in annotate:
        raise InputError(f"configuration key '{where}.{needed}' is missing: add it, since objects are from {source}.")
    model = annotate.get("model", "")
    if source == "detector" and not Path(model).is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise InputError(f"{where}.model: the folder {model} does not exist: correct the path, or name a model.")
    for key in sorted(set(annotate) - {"from", *takes}):
        owner = next(name for name, (keys, _) in ANNOTATE_KEYS.items() if key in keys)
        raise InputError(
            f"{where} has {key}, which is about objects from {owner}, but they are from {source}: "
            f"remove it, or set from to {owner}."
        )


def settled_annotate(annotate: Mapping) -> dict:
    """Return the section ``annotate`` without the keys of other sources than its own."""
    return {key: annotate[key] for key in ("from", *ANNOTATE_KEYS[annotate["from"]][0])}
